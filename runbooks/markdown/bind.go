package markdown

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/rule"
	"github.com/advanced-lms/opsdeck/runbooks"
)

var factForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// bind asks the catalogue about an item: is there such a module, does it take
// these parameters, can its facts be judged by these rules. What the site
// decides (services, limits, site variables) is left to the run.
func (p *parse) bind(e *entry) {
	switch e.Kind {
	case runbooks.Check, runbooks.Action:
		p.bindModule(e)
	case runbooks.Confirm:
		p.bindRules(e, &checks.Module{Name: "confirm", Facts: e.Facts()})
	}
}

func (p *parse) bindModule(e *entry) {
	e.Check.Origin = fmt.Sprintf("%s:%d", p.report.file, e.Line)
	if e.Use == "" {
		if e.Service != "" {
			p.ruleSyntax(e)
		}
		return
	}
	m, ok := p.o.Registry.Lookup(e.Use)
	if !ok {
		p.report.err(e.fields.valueAt("use"), "unknown-module", checks.Nearest(e.Use, p.o.Registry.Names()), "there is no module %q", e.Use)
		return
	}
	e.Module = m
	p.effect(e, m)
	p.bindRules(e, m)
	p.connection(e, m)
	p.parameters(e, m)
}

// effect holds the author to what the module says of itself. That something
// checks what came of an action needs no word here: the registry takes none
// without a Probe, and a verify that always holds is an error of its rule.
func (p *parse) effect(e *entry, m *checks.Module) {
	use := e.fields.valueAt("use")
	if e.Kind == runbooks.Check {
		if m.Effect != checks.ReadOnly {
			p.report.err(use, "check-mutates", "write yaml action", "%s changes the system (%s) and is no check", m.Name, m.Effect)
		}
		return
	}
	if m.Effect == checks.ReadOnly {
		p.report.err(use, "action-reads", "write yaml check", "%s changes nothing and is no action", m.Name)
		return
	}
	if e.fields.has("danger") && e.Danger < m.Danger {
		p.report.err(e.fields.valueAt("danger"), "danger-lowered", "", "%s has danger %d at least; a runbook may only raise it", m.Name, m.Danger)
	}
	e.Danger = max(e.Danger, m.Danger)
	if e.Always != "" && !slices.Contains(m.Always, e.Always) {
		hint := "leave it out"
		if len(m.Always) > 0 {
			hint = checks.Nearest(e.Always, m.Always)
		}
		p.report.err(e.fields.valueAt("always"), "always", hint, "%s does no %q at its end", m.Name, e.Always)
	}
	if e.Timeout == 0 {
		p.report.warn(use, "no-timeout", "write timeout: 15m", "%s changes the system and has no timeout", e.ID)
	}
	if e.Danger >= 2 && len(e.Needs) == 0 {
		p.report.warn(use, "no-gate", "write needs: [the-backup]", "%s has danger %d and needs nothing before it", e.ID, e.Danger)
	}
	if e.Danger >= 3 && e.Undo == "" {
		p.report.warn(use, "no-undo", "write undo: item, or undo: none", "%s has danger %d and no way back", e.ID, e.Danger)
	}
}

func (p *parse) connection(e *entry, m *checks.Module) {
	if e.Connection != "" && m.Kind == "" {
		p.report.err(e.fields.valueAt("connection"), "no-connection", "", "%s uses no connection", m.Name)
	}
}

func (p *parse) bindRules(e *entry, m *checks.Module) {
	for _, r := range []struct{ key, text string }{{"warn", e.Rules.Warn.Text}, {"fail", e.Rules.Fail.Text}, {"verify", e.Verify}} {
		for _, problem := range checks.LintRule(m, r.text) {
			p.rule(e, r.key, problem)
		}
	}
}

// ruleSyntax is all that can be said of a rule whose module only the site knows.
func (p *parse) ruleSyntax(e *entry) {
	for _, r := range []struct{ key, text string }{{"warn", e.Rules.Warn.Text}, {"fail", e.Rules.Fail.Text}} {
		var syntax *rule.SyntaxError
		if _, err := rule.Parse(r.text); r.text != "" && errors.As(err, &syntax) {
			p.rule(e, r.key, checks.RuleError{Rule: r.text, Col: syntax.Col, Msg: syntax.Msg, Hint: syntax.Hint})
		}
	}
}

func (p *parse) rule(e *entry, key string, problem error) {
	n, _ := e.fields.block.get(key)
	at := n.at
	var in checks.RuleError
	if !errors.As(problem, &in) {
		p.report.err(at, "rule", "", "%s: %v", key, problem)
		return
	}
	at.col += max(0, in.Col-1)
	if n.quoted {
		at.col++
	}
	p.report.err(at, "rule", in.Hint, "%s: %s", key, in.Msg)
}

// parameters binds what is known now and reports what cannot be right.
func (p *parse) parameters(e *entry, m *checks.Module) {
	for _, f := range e.with.fields {
		p.suspicious(f.key, f.value)
	}
	known, open := p.expanded(e)
	args, problems := checks.Bind(m, known)
	complete := e.Service == "" && len(open) == 0
	for _, problem := range problems {
		name, _, _ := strings.Cut(problem.Path, ".")
		_, given := known[name]
		if slices.Contains(open, name) || !given && !complete {
			continue // a service, the site's limits or a variable may still give it
		}
		p.report.err(e.argAt(problem.Path), "parameter", problem.Hint, "%s", problem.Msg)
	}
	if complete && len(problems) == 0 {
		e.Bound = true
		e.Check = checks.Check{
			ID: e.ID, Title: e.Title, Module: m, Args: args, Connection: e.Connection, Timeout: e.Timeout,
			Rules: withDefaults(e.Rules, m.DefaultRules()), Origin: e.Check.Origin,
		}
	}
}

func withDefaults(own, defaults checks.Rules) checks.Rules {
	if own.Warn.Text == "" {
		own.Warn = defaults.Warn
	}
	if own.Fail.Text == "" {
		own.Fail = defaults.Fail
	}
	return own
}

// expanded are the parameters with the document's variables; open names those
// that hold a variable only the site or the run knows.
func (p *parse) expanded(e *entry) (known map[string]any, open []string) {
	known = map[string]any{}
	for name, value := range e.With {
		one, err := runbooks.Expand(map[string]any{name: value}, func(v string) (string, bool) {
			text, ok := p.book.Vars[v]
			return text, ok
		})
		if err != nil {
			open = append(open, name)
			continue
		}
		known[name] = one[name]
	}
	return known, open
}

// variables checks the names that are not the document's: facts of needed
// items, secrets, the run.
func (p *parse) variables(e *entry) {
	for _, f := range e.with.fields {
		for _, name := range runbooks.Variables(map[string]any{f.key: f.value.raw(false)}) {
			p.variable(e, f, name)
		}
	}
}

func (p *parse) variable(e *entry, f field, name string) {
	_, own := p.book.Vars[name]
	item, factName, isFact := strings.Cut(name, ".")
	switch {
	case own, name == "run.id", name == "run.started":
		return
	case strings.HasPrefix(name, "secret:"):
		p.report.err(f.value.at, "secret", "name a connection of the site file", "a check's parameters are recorded and cannot hold ${%s}", name)
	case !isFact && !factForm.MatchString(name):
		p.report.err(f.value.at, "variable", "", "${%s} is not a name", name)
	case isFact && !slices.ContainsFunc(e.Needs, func(n runbooks.Need) bool { return n.Item == item }):
		p.report.err(f.value.at, "variable", "write needs: ["+item+"]", "${%s} is a fact of an item that %s does not need", name, e.ID)
	case isFact:
		i := slices.IndexFunc(p.entries, func(o *entry) bool { return o.ID == item })
		if i < 0 || p.entries[i].Module == nil {
			return // an unknown need is reported where it stands
		}
		if _, ok := p.entries[i].Module.FactSpec(factName); !ok {
			p.report.err(f.value.at, "variable", "", "%s has no fact %q", p.entries[i].Module.Name, factName)
		}
	}
}

// valueAt is the place of a key's value.
func (f *fields) valueAt(key string) place {
	if n, ok := f.block.get(key); ok {
		return n.at
	}
	return f.block.at
}

// argAt is the place of a parameter: "expect.status" is followed as far as it goes.
func (e *entry) argAt(path string) place {
	n, at := e.with, e.fields.at("with")
	if !e.fields.has("with") {
		at = e.fields.valueAt("use")
	}
	for _, key := range strings.Split(path, ".") {
		found := false
		for _, f := range n.fields {
			if f.key == key {
				n, at, found = f.value, f.at, true
				break
			}
		}
		if !found {
			return at
		}
	}
	return at
}
