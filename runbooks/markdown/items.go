package markdown

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// entry is an item while it is being read, with the places that lint needs.
type entry struct {
	runbooks.Item
	at     place
	bound  bool // it has a block
	idAt   place
	needs  []needAt
	with   node
	fields *fields
}

// decodeItem gives the item the meaning of its block.
func (p *parse) decodeItem(e *entry, kind string, b node) {
	f := read(b, p.report)
	e.bound, e.fields = true, f
	e.Kind = runbooks.Kind(kind)
	e.ID, e.idAt = f.id(), f.at("id")
	e.Was = f.texts("was")
	e.needs = f.needs()
	e.Guide = f.rows()
	switch e.Kind {
	case runbooks.Check:
		p.decodeUse(e, f)
	case runbooks.Action:
		p.decodeUse(e, f)
		e.Danger = f.number("danger", 0, 3)
		e.Verify, e.Undo, e.Always = f.text("verify"), f.text("undo"), f.text("always")
		e.Signers = f.number("signers", 0, 5)
		e.AnyTime = f.oneOf("window", "any") != ""
	case runbooks.Confirm:
		p.decodeEvidence(e, f)
		e.Rules = p.rules(f)
		e.Signers = f.number("signers", 0, 5)
	case runbooks.Decide:
		p.decodeOptions(e, f)
		e.Signers = f.number("signers", 0, 5)
	case runbooks.Hold:
		p.decodeHold(e, f)
	}
	for _, n := range e.needs {
		e.Needs = append(e.Needs, n.Need)
	}
	e.Extra = f.rest("a " + kind + " block")
}

func (p *parse) decodeUse(e *entry, f *fields) {
	e.Use, e.Service, e.Connection = f.text("use"), f.text("service"), f.text("connection")
	e.Timeout = f.duration("timeout")
	e.with, _ = f.get("with", mapping)
	if len(e.with.fields) > 0 {
		e.With = map[string]any{}
		for _, field := range e.with.fields {
			e.With[field.key] = field.value.raw(false)
		}
	}
	e.Rules = p.rules(f)
	if e.Use == "" && e.Service == "" {
		p.report.err(f.block.at, "no-module", "write use: family.subject", "%s does not say what it uses", blockName(e))
	}
}

func blockName(e *entry) string {
	if e.ID != "" {
		return e.ID
	}
	return "the block"
}

func (p *parse) rules(f *fields) checks.Rules {
	rule := func(key string) checks.Rule {
		n, ok := f.get(key, scalar)
		if !ok {
			return checks.Rule{}
		}
		return checks.Rule{Text: n.text, Source: fmt.Sprintf("%s:%d:%d", p.report.file, n.at.line, n.at.col)}
	}
	return checks.Rules{Warn: rule("warn"), Fail: rule("fail")}
}

func (p *parse) decodeEvidence(e *entry, f *fields) {
	m, _ := f.get("evidence", mapping)
	types := make([]string, 0, 5)
	for _, t := range runbooks.FieldTypes() {
		types = append(types, string(t))
	}
	inner := read(m, p.report)
	for _, field := range m.fields {
		if !factForm.MatchString(field.key) {
			p.report.err(field.at, "bad-id", "write sent_at", "%q is not a name: lower-case words joined by _", field.key)
		}
		if t := inner.oneOf(field.key, types...); t != "" {
			e.Evidence = append(e.Evidence, runbooks.Field{Name: field.key, Type: runbooks.FieldType(t)})
		}
	}
}

// decodeOptions reads "{go: maint-off, rollback: restore}" or "[yes, no]".
func (p *parse) decodeOptions(e *entry, f *fields) {
	n, _ := f.block.get("options")
	if n.kind == sequence {
		for _, name := range f.texts("options") {
			e.Options = append(e.Options, runbooks.Option{Name: name})
		}
	} else {
		m, _ := f.get("options", mapping)
		inner := read(m, p.report)
		for _, field := range m.fields {
			e.Options = append(e.Options, runbooks.Option{Name: field.key, Item: inner.text(field.key)})
		}
	}
	if len(e.Options) < 2 {
		p.report.err(f.at("options"), "no-choice", "one option is not a decision", "%s has fewer than two options", blockName(e))
	}
}

// holdTimer is the one thing a hold can use.
const holdTimer = "hold.timer"

func (p *parse) decodeHold(e *entry, f *fields) {
	if e.Use = f.text("use"); e.Use != "" && e.Use != holdTimer {
		p.report.err(f.at("use"), "unknown-module", "write "+holdTimer, "a hold cannot use %s", e.Use)
	}
	e.Hold.For = f.duration("for")
	if e.Hold.For <= 0 {
		p.report.err(f.at("for"), "wrong-type", "write for: 60m", "%s does not say how long to wait", blockName(e))
	}
	sample, ok := f.get("sample", mapping)
	if !ok {
		return
	}
	inner := read(sample, p.report)
	e.Hold.Every, e.Hold.Items = inner.duration("every"), inner.texts("items")
	inner.rest("sample")
}

// isOurs splits the info string of a fence: "yaml check" is ours, everything
// else is text.
func isOurs(info string) (kind string, ours bool) {
	words := strings.Fields(info)
	if len(words) != 2 || words[0] != "yaml" {
		return "", false
	}
	switch words[1] {
	case "check", "action", "confirm", "decide", "hold", "section":
		return words[1], true
	}
	return words[1], false
}
