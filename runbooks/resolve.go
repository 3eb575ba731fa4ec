package runbooks

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Site is what a run asks of the site file.
type Site interface {
	// Service is the entry under "services" of that id.
	Service(id string) (checks.Check, bool)

	// Limits are the site's rules and parameters for a module, zero if it has none.
	Limits(module string) (checks.Rules, map[string]any)

	// Var is a variable of the site.
	Var(name string) (string, bool)
}

// Resolve binds a check to a site: the module's defaults, under the site's
// limits, under the service the item names, under the item's own block. vars
// gives the variables of the document and the run and wins over the site's; it
// may be nil, and so may site. A service the site does not have is a
// checks.NotHere: the item does not apply.
func Resolve(it Item, site Site, vars func(string) (string, bool)) (checks.Check, error) {
	service, named := checks.Check{}, false
	if it.Service != "" {
		if site != nil {
			service, named = site.Service(it.Service)
		}
		if !named {
			return checks.Check{}, checks.NotHere{What: fmt.Sprintf("no service %q in the site file", it.Service)}
		}
	}
	m := it.Module
	if m == nil {
		m = service.Module
	}
	if m == nil {
		return checks.Check{}, checks.Failed(checks.Missing, "no module %q in this build", it.Use)
	}
	own, err := Expand(it.With, lookup(vars, site))
	if err != nil {
		return checks.Check{}, checks.Failed(checks.Unconfigured, "%w", err)
	}
	var limits checks.Rules
	raw := map[string]any{}
	if site != nil {
		var params map[string]any
		limits, params = site.Limits(m.Name)
		maps.Copy(raw, params)
	}
	maps.Copy(raw, carried(m, service))
	maps.Copy(raw, own)
	rules := mostSpecific(it.Rules, limits)
	if service.Module == m {
		rules = mostSpecific(it.Rules, service.Rules, limits)
	}
	return bind(it, m, service, raw, rules)
}

func bind(it Item, m *checks.Module, service checks.Check, raw map[string]any, rules checks.Rules) (checks.Check, error) {
	c, problems := checks.NewCheck(m, checkID(it, m, service), raw, rules)
	if len(problems) > 0 {
		return checks.Check{}, checks.Failed(checks.Unconfigured, "%w", errors.Join(problems...))
	}
	c.Title, c.Timeout, c.Connection = it.Title, it.Timeout, it.Connection
	c.Origin = it.Check.Origin
	if service.Module != nil {
		c.Target = service.Target
		if c.Timeout == 0 && service.Module == m {
			c.Timeout = service.Timeout
		}
		if c.Connection == "" && service.Module.Kind == m.Kind {
			c.Connection = service.Connection
		}
	}
	return c, nil
}

// standing are the ids under which a site watches its named entries: an item
// about the same thing shares their history, so that "usual" and "growth" are
// known to a runbook that is walked once a day. It is never written to.
var standing = map[string]struct{ param, prefix string }{
	"backup.fresh":     {"set", "backup."},
	"backup.integrity": {"set", "integrity."},
	"log.count":        {"source", "log."},
}

// checkID is the id under which history knows the check: the service's, that
// of the site's own standing check where the item asks for the same, else the
// item's.
func checkID(it Item, m *checks.Module, service checks.Check) string {
	switch {
	case service.Module == m:
		return service.ID
	case service.Module == nil && len(it.With) == 0 && it.Connection == "":
		return m.Name
	}
	entry, ok := standing[m.Name]
	if name, given := it.With[entry.param].(string); ok && given && len(it.With) == 1 {
		return entry.prefix + name
	}
	return it.ID
}

// carried are the parameters that a service gives to a module: those of the
// same name and type that the service sets to something else than its
// module's default. So http.latency takes the URL of a service of http.get.
func carried(m *checks.Module, service checks.Check) map[string]any {
	raw := map[string]any{}
	if service.Module == nil {
		return raw
	}
	defaults, _ := checks.Bind(service.Module, nil) // required ones are missing, and not defaults
	for _, p := range m.Params {
		q, same := service.Module.Param(p.Name)
		value := service.Args.Value(p.Name)
		if !same || q.Type != p.Type || value == nil {
			continue
		}
		if service.Module != m && reflect.DeepEqual(value, defaults.Value(p.Name)) {
			continue
		}
		raw[p.Name] = asRaw(p.Type, value)
	}
	return raw
}

// asRaw turns a typed argument into a form that Bind reads.
func asRaw(t checks.ParamType, value any) any {
	n, isNumber := value.(float64)
	switch {
	case isNumber && t == checks.PercentParam:
		return strconv.FormatFloat(n, 'f', -1, 64) + "%"
	case isNumber:
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return value
}

// mostSpecific takes each rule from the first that has it.
func mostSpecific(from ...checks.Rules) checks.Rules {
	var rules checks.Rules
	for _, r := range from {
		if rules.Warn.Text == "" {
			rules.Warn = r.Warn
		}
		if rules.Fail.Text == "" {
			rules.Fail = r.Fail
		}
	}
	return rules
}

func lookup(vars func(string) (string, bool), site Site) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if vars != nil {
			if v, ok := vars(name); ok {
				return v, true
			}
		}
		if site != nil {
			return site.Var(name)
		}
		return "", false
	}
}

// Expand replaces ${name} in every text of the parameters, once: what a
// variable holds is never looked at again. A name without a value is an error.
func Expand(params map[string]any, value func(string) (string, bool)) (map[string]any, error) {
	var missing []string
	expanded := make(map[string]any, len(params))
	for name, v := range params {
		expanded[name] = expandAny(v, value, &missing)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no value for %s", strings.Join(missing, ", "))
	}
	return expanded, nil
}

func expandAny(v any, value func(string) (string, bool), missing *[]string) any {
	switch v := v.(type) {
	case string:
		return expandText(v, value, missing)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = expandAny(v[i], value, missing)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k := range v {
			m[k] = expandAny(v[k], value, missing)
		}
		return m
	}
	return v
}

func expandText(text string, value func(string) (string, bool), missing *[]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		v, ok := value(name)
		if !ok {
			*missing = append(*missing, "${"+name+"}")
		}
		b.WriteString(v)
		text = after
	}
}

// Variables lists the names that ${name} refers to in the parameters.
func Variables(params map[string]any) []string {
	var names []string
	_, _ = Expand(params, func(name string) (string, bool) { // it cannot fail: every name has a value
		names = append(names, name)
		return "", true
	})
	return names
}
