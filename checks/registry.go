package checks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A Registry holds every module the program was built with. It is made once,
// from explicit families, and never changes.
type Registry struct {
	families []Family
	modules  []*Module // sorted by name
	byName   map[string]*Module
}

// NewRegistry joins families. A duplicate name or a module that lacks what
// the catalogue, the linter or the Runner need is an error; all are reported.
func NewRegistry(families ...Family) (*Registry, error) {
	r := &Registry{families: families, byName: map[string]*Module{}}
	var problems []error
	for _, f := range families {
		for _, m := range f.Modules {
			if err := complete(m); err != nil {
				problems = append(problems, fmt.Errorf("module %s of family %s: %w", m.Name, f.Name, err))
			}
			if r.byName[m.Name] != nil {
				problems = append(problems, fmt.Errorf("module %s is registered twice", m.Name))
			}
			r.byName[m.Name] = m
			r.modules = append(r.modules, m)
		}
	}
	slices.SortFunc(r.modules, func(a, b *Module) int { return strings.Compare(a.Name, b.Name) })
	return r, errors.Join(problems...)
}

func complete(m *Module) error {
	family, subject, ok := strings.Cut(m.Name, ".")
	switch {
	case !ok || family == "" || subject == "":
		return errors.New(`the name is not "family.subject"`)
	case m.Doc == "":
		return errors.New("no doc")
	case m.Run == nil:
		return errors.New("no Run")
	case len(m.Facts) == 0:
		return errors.New("no facts declared")
	case m.Effect != ReadOnly && (m.Preview == nil || m.Probe == nil || m.Danger == 0):
		return errors.New("it changes something, so it needs Preview, Probe and a danger level")
	case (m.Warn != "" || m.Fail != "") && m.Source == "":
		return errors.New("default rules without a source")
	}
	return nil
}

// Lookup returns the module of that name.
func (r *Registry) Lookup(name string) (*Module, bool) {
	m, ok := r.byName[name]
	return m, ok
}

// Modules lists every module, sorted by name.
func (r *Registry) Modules() []*Module { return r.modules }

// Families lists the families in the order main joined them.
func (r *Registry) Families() []Family { return r.families }

// Names lists every module's name, sorted.
func (r *Registry) Names() []string {
	names := make([]string, len(r.modules))
	for i, m := range r.modules {
		names[i] = m.Name
	}
	return names
}

// Kinds lists the kinds of connections that some family can open, sorted.
func (r *Registry) Kinds() []string {
	var kinds []string
	for _, f := range r.families {
		if f.Kind != "" && !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// AllFacts are the module's declared facts and those the Runner derives from
// them: NAME_usual, NAME_ratio and NAME_growth.
func (m *Module) AllFacts() []fact.Spec {
	specs := slices.Clone(m.Facts)
	for _, s := range m.Facts {
		if s.Usual {
			specs = append(specs,
				derived(s, "_usual", s.Type, "median of "+s.Name+" at this hour of the last 7 days"),
				derived(s, "_ratio", fact.Percent, s.Name+" as a share of the usual"))
		}
		if s.Growth {
			specs = append(specs, derived(s, "_growth", fact.Percent, "change of "+s.Name+" over 7 days"))
		}
	}
	return specs
}

func derived(from fact.Spec, suffix string, t fact.Type, doc string) fact.Spec {
	d := fact.Spec{Name: from.Name + suffix, Type: t, Doc: doc, Worse: from.Worse, Label: from.Label, Optional: true}
	if t == from.Type {
		d.Unit = from.Unit
	}
	return d
}

// FactSpec returns the declaration of a fact, derived ones included.
func (m *Module) FactSpec(name string) (fact.Spec, bool) {
	for _, s := range m.AllFacts() {
		if s.Name == name {
			return s, true
		}
	}
	return fact.Spec{}, false
}

// DefaultRules are the module's own rules with their source.
func (m *Module) DefaultRules() Rules {
	return Rules{Warn: Rule{m.Warn, m.Source}, Fail: Rule{m.Fail, m.Source}}
}

// Deadline is how long one run of the check may take.
func (c Check) Deadline() time.Duration {
	switch {
	case c.Timeout > 0:
		return c.Timeout
	case c.Module != nil && c.Module.Timeout > 0:
		return c.Module.Timeout
	}
	return DefaultTimeout
}

// Interval is how often the monitor samples the check.
func (c Check) Interval() time.Duration {
	switch {
	case c.Every > 0:
		return c.Every
	case c.Module != nil && c.Module.Every > 0:
		return c.Module.Every
	}
	return DefaultEvery
}

// NewCheck binds a module to raw arguments and rules. Rules left empty are
// the module's own. All problems are returned at once.
func NewCheck(m *Module, id string, raw map[string]any, rules Rules) (Check, []error) {
	args, argProblems := Bind(m, raw)
	var problems []error
	for _, p := range argProblems {
		problems = append(problems, p)
	}
	own := m.DefaultRules()
	if rules.Warn.Text == "" {
		rules.Warn = own.Warn
	}
	if rules.Fail.Text == "" {
		rules.Fail = own.Fail
	}
	for _, r := range []Rule{rules.Warn, rules.Fail} {
		problems = append(problems, LintRule(m, r.Text)...)
	}
	return Check{ID: id, Title: m.Doc, Module: m, Args: args, Rules: rules}, problems
}
