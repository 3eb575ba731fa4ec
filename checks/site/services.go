package site

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// block is what a service or a limit says about a module.
type block struct {
	id, use string
	needs   []string

	idAt, useAt, withAt, warnAt, failAt, needsAt ast.Node
}

func (p *builder) limits(n ast.Node) {
	for _, f := range p.fields(n, "limits") {
		m, ok := p.reg.Lookup(f.key)
		if !ok {
			p.at(f.at, Error, codeUnknownWord, fmt.Sprintf("there is no module %q", f.key), checks.Nearest(f.key, p.reg.Names()))
			continue
		}
		p.site.limits[f.key] = p.limit(m, f.value)
	}
}

// limit reads rules, and takes every other key for a parameter.
func (p *builder) limit(m *checks.Module, n ast.Node) limit {
	l := limit{params: map[string]any{}}
	for _, f := range p.fields(n, "the limit of "+m.Name) {
		switch f.key {
		case "warn":
			l.rules.Warn = p.rule(m, f.value)
		case "fail":
			l.rules.Fail = p.rule(m, f.value)
		default:
			if _, ok := m.Param(f.key); !ok {
				p.at(f.at, Error, codeUnknownKey, fmt.Sprintf("%s has no parameter %q", m.Name, f.key), checks.Nearest(f.key, append(m.ParamNames(), "warn", "fail")))
				continue
			}
			l.params[f.key] = p.plain(f.value, f.key)
			p.argument(m, f)
		}
	}
	return l
}

// argument checks one parameter by itself.
func (p *builder) argument(m *checks.Module, f field) {
	_, problems := checks.Bind(m, map[string]any{f.key: p.plain(f.value, f.key)})
	for _, problem := range problems {
		if problem.Path == f.key {
			p.at(f.value, Error, codeArgument, problem.Msg, problem.Hint)
		}
	}
}

// rule reads and lints a rule and notes where it stands.
func (p *builder) rule(m *checks.Module, n ast.Node) checks.Rule {
	r := checks.Rule{Text: p.text(n, "rule"), Source: p.place(n)}
	for _, err := range checks.LintRule(m, r.Text) {
		p.ruleProblem(n, err)
	}
	return r
}

// ruleProblem puts a rule's problem at its own column.
func (p *builder) ruleProblem(n ast.Node, err error) {
	var re checks.RuleError
	before := len(p.problems)
	if !errors.As(err, &re) {
		p.at(n, Error, codeRule, err.Error(), "")
		return
	}
	p.at(n, Error, codeRule, re.Msg, re.Hint)
	added := &p.problems[before]
	added.Col = min(added.Col+re.Col-1, len(added.Excerpt)+1)
}

func (p *builder) services(n ast.Node) {
	for _, item := range p.items(n, "services") {
		p.service(item)
	}
	p.later = append(p.later, p.needsExist)
}

func (p *builder) service(n ast.Node) {
	b := block{}
	c := checks.Check{Origin: p.place(n)}
	p.dispatch(n, "a service", map[string]func(ast.Node){
		"id":         func(n ast.Node) { b.id, b.idAt = p.text(n, "id"), n },
		"use":        func(n ast.Node) { b.use, b.useAt = p.text(n, "use"), n },
		"with":       func(n ast.Node) { b.withAt = n },
		"warn":       func(n ast.Node) { b.warnAt = n },
		"fail":       func(n ast.Node) { b.failAt = n },
		"needs":      func(n ast.Node) { b.needsAt = n; p.texts(&b.needs, "needs")(n) },
		"every":      p.duration(&c.Every, "every"),
		"timeout":    p.duration(&c.Timeout, "timeout"),
		"confirm":    p.number(&c.Confirm, "confirm"),
		"clear":      p.number(&c.Clear, "clear"),
		"title":      p.into(&c.Title, "title"),
		"connection": p.into(&c.Connection, "connection"),
	}, "id", "use")
	m, ok := p.reg.Lookup(b.use)
	if !ok {
		if b.use != "" {
			p.at(b.useAt, Error, codeUnknownWord, fmt.Sprintf("there is no module %q", b.use), checks.Nearest(b.use, p.reg.Names()))
		}
		return
	}
	p.bindService(m, b, c)
}

func (p *builder) bindService(m *checks.Module, b block, c checks.Check) {
	if m.Effect != checks.ReadOnly {
		p.at(b.useAt, Error, codeWrongType, fmt.Sprintf("%s changes something and cannot be watched", m.Name), "services are read-only checks")
		return
	}
	if _, twice := p.site.Service(b.id); twice {
		p.at(b.idAt, Error, codeDuplicate, fmt.Sprintf("there are two services %q", b.id), "")
	}
	limits, params := p.site.Limits(m.Name)
	rules := limits
	if b.warnAt != nil {
		rules.Warn = p.rule(m, b.warnAt)
	}
	if b.failAt != nil {
		rules.Fail = p.rule(m, b.failAt)
	}
	raw := maps.Clone(params)
	if raw == nil {
		raw = map[string]any{}
	}
	if given, ok := p.plain(b.withAt, "with").(map[string]any); ok {
		maps.Copy(raw, given)
	}
	bound, problems := checks.NewCheck(m, b.id, raw, rules)
	p.bindProblems(b, problems)
	bound.Title, bound.Every, bound.Timeout, bound.Confirm, bound.Clear = c.Title, c.Every, c.Timeout, c.Confirm, c.Clear
	bound.Connection, bound.Needs, bound.Origin = c.Connection, b.needs, c.Origin
	p.site.Services = append(p.site.Services, bound)
	p.later = append(p.later, func() { p.namesExist(m, b, bound) })
}

// bindProblems puts each problem of an argument at the key it is about. Rules
// were linted at their own place already.
func (p *builder) bindProblems(b block, problems []error) {
	for _, err := range problems {
		var arg checks.ArgError
		if !errors.As(err, &arg) {
			continue
		}
		name, _, _ := strings.Cut(arg.Path, ".")
		p.at(p.argumentNode(b, name), Error, codeArgument, arg.Msg, arg.Hint)
	}
}

func (p *builder) argumentNode(b block, name string) ast.Node {
	var entries []*ast.MappingValueNode
	switch n := b.withAt.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	}
	for _, e := range entries {
		if key, ok := scalarText(e.Key); ok && key == name {
			return e.Key
		}
	}
	return b.useAt
}

// namesExist: what a service names elsewhere in the file must stand there.
func (p *builder) namesExist(m *checks.Module, b block, c checks.Check) {
	if m.Kind != "" {
		name := c.Connection
		if name == "" {
			name = "main"
		}
		if _, ok := p.site.Connection(m.Kind, name); !ok {
			p.at(b.useAt, Error, codeMissing, fmt.Sprintf("%s needs the connection %s.%s, which is not under connections", m.Name, m.Kind, name), "")
		}
	}
	for _, param := range m.Params {
		name := c.Args.Text(param.Name)
		if param.Names == "" || name == "" || slices.Contains(param.Shipped, name) {
			continue
		}
		if entries := p.site.Facts().Entries(param.Names); !slices.Contains(entries, name) {
			p.at(p.argumentNode(b, param.Name), Error, codeUnknownWord, fmt.Sprintf("there is no %q under %s", name, param.Names), checks.Nearest(name, entries))
		}
	}
}

// needsExist: a need names another check, and no check needs itself by way of
// others.
func (p *builder) needsExist() {
	known := map[string][]string{}
	for _, c := range p.site.Checks(p.reg) {
		known[c.ID] = c.Needs
	}
	for _, c := range p.site.Services {
		for _, need := range c.Needs {
			if _, ok := known[need]; !ok {
				p.addAt(c.Origin, codeUnknownWord, fmt.Sprintf("service %s needs %q, which is no check of this site", c.ID, need), checks.Nearest(need, keys(known)))
			}
		}
		if path := cycle(known, c.ID, c.ID, nil); path != nil {
			p.addAt(c.Origin, codeCycle, "services need each other: "+strings.Join(path, " -> "), "")
		}
	}
}

// addAt adds a problem at an origin "file:line:col".
func (p *builder) addAt(origin, code, msg, hint string) {
	problem := Problem{Severity: Error, Code: code, Msg: msg, Hint: hint}
	if _, err := fmt.Sscanf(strings.TrimPrefix(origin, p.file), ":%d:%d", &problem.Line, &problem.Col); err != nil {
		problem.Line, problem.Col = 1, 1
	}
	p.add(problem)
}

func cycle(needs map[string][]string, from, to string, path []string) []string {
	if slices.Contains(path, from) {
		return nil
	}
	path = append(path, from)
	for _, next := range needs[from] {
		if next == to {
			return append(path, to)
		}
		if found := cycle(needs, next, to, path); found != nil {
			return found
		}
	}
	return nil
}
