package markdown

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// lint looks at the document as a whole.
func (p *parse) lint(doc *outline) {
	if len(p.entries) == 0 {
		p.report.warn(top, "no-items", "an item is a line - [ ] title", "the document has no items")
	}
	if len(p.entries) > maxItems {
		p.report.err(top, "too-many", "split it", "the document has %d items, more than %d", len(p.entries), maxItems)
		return
	}
	p.uniqueIDs()
	p.uniqueSections()
	for _, e := range p.entries {
		p.variables(e)
	}
	for _, d := range p.sections {
		p.gates(d)
		p.cycles(d)
		p.cadence(d)
		p.inWindow(d)
	}
	p.brokenLinks(doc)
}

func (p *parse) uniqueIDs() {
	first := map[string]*entry{}
	for _, e := range p.entries {
		if other, twice := first[e.ID]; twice {
			p.report.err(e.idAt, "duplicate-id", fmt.Sprintf("first in line %d", other.Line), "the id %q is used twice", e.ID)
			continue
		}
		first[e.ID] = e
	}
	for _, e := range p.entries {
		for _, was := range e.Was {
			if other, ok := first[was]; ok {
				p.report.err(e.fields.valueAt("was"), "duplicate-id", "", "was: %q is still the id of the item in line %d", was, other.Line)
			}
		}
	}
}

func (p *parse) uniqueSections() {
	first := map[string]*draft{}
	for _, d := range p.sections {
		other, twice := first[d.ID]
		switch {
		case !twice:
			first[d.ID] = d
		case d.bound:
			p.report.err(d.f.valueAt("id"), "duplicate-id", "", "the section id %q is used in line %d", d.ID, other.Line)
		default:
			d.ID = fmt.Sprintf("%s-%d", d.ID, d.Line)
		}
	}
}

// gates checks what items refer to: needs, undo, options, samples. A run walks
// one section, so what it needs must stand in it.
func (p *parse) gates(d *draft) {
	ids := p.ids(d.items)
	everywhere := p.ids(p.entries)
	refer := func(at place, code, id string) {
		switch {
		case slices.Contains(ids, id):
		case slices.Contains(everywhere, id):
			p.report.err(at, code, "a run walks one section", "%q stands in another section", id)
		default:
			p.report.err(at, code, checks.Nearest(id, ids), "there is no item %q", id)
		}
	}
	for _, e := range d.items {
		for _, n := range e.needs {
			if n.Item == e.ID {
				p.report.err(n.at, "cycle", "", "%s needs itself", e.ID)
				continue
			}
			refer(n.at, "unknown-need", n.Item)
		}
		if e.Undo != "" && e.Undo != "none" {
			refer(e.fields.valueAt("undo"), "unknown-item", e.Undo)
		}
		for _, o := range e.Options {
			if o.Item != "" {
				refer(e.fields.valueAt("options"), "unknown-item", o.Item)
			}
		}
		for _, id := range e.Hold.Items {
			refer(e.fields.valueAt("sample"), "unknown-item", id)
		}
	}
	for _, id := range d.Abort {
		refer(d.f.valueAt("abort"), "unknown-item", id)
	}
}

func (p *parse) ids(entries []*entry) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return ids
}

// cycles reports each item from which needs lead back to itself, once a cycle.
func (p *parse) cycles(d *draft) {
	const (
		unseen = iota
		onPath
		done
	)
	byID := map[string]*entry{}
	for _, e := range d.items {
		byID[e.ID] = e
	}
	state := map[*entry]int{}
	var visit func(e *entry)
	visit = func(e *entry) {
		state[e] = onPath
		for _, n := range e.needs {
			next := byID[n.Item]
			if next == nil || next == e {
				continue
			}
			if state[next] == onPath {
				p.report.err(n.at, "cycle", "", "%s needs %s, which needs it in turn", e.ID, next.ID)
			}
			if state[next] == unseen {
				visit(next)
			}
		}
		state[e] = done
	}
	for _, e := range d.items {
		if state[e] == unseen {
			visit(e)
		}
	}
}

// shortest is how long the shortest period of a cadence is.
var shortest = map[schedule.Cadence]time.Duration{
	schedule.Daily: 23 * time.Hour, schedule.Weekly: 7*24*time.Hour - time.Hour, schedule.Monthly: 28*24*time.Hour - time.Hour,
	schedule.Window: 28*24*time.Hour - time.Hour, schedule.Quarterly: 90*24*time.Hour - time.Hour,
}

// cadence reports a section that contradicts itself.
func (p *parse) cadence(d *draft) {
	if !d.bound {
		return
	}
	if longest, recurs := shortest[d.Plan.Cadence]; recurs && d.Plan.Grace >= longest {
		p.report.err(d.f.valueAt("grace"), "cadence", "", "a grace of %v is longer than a %s period", d.Plan.Grace, d.Plan.Cadence)
	}
	if d.f.has("grace") && !d.Plan.Recurs() {
		p.report.err(d.f.valueAt("grace"), "cadence", "", "a section without cadence has no grace")
	}
	for _, word := range []schedule.Cadence{schedule.Daily, schedule.Weekly, schedule.Monthly, schedule.Quarterly} {
		if slices.Contains(strings.Fields(strings.ToLower(d.Title)), string(word)) && d.Plan.Cadence != word {
			p.report.warn(d.f.valueAt("cadence"), "cadence", "", "the heading says %s, the block says %q", word, d.Plan.Cadence)
		}
	}
}

var (
	secretName  = regexp.MustCompile(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key)s?$`)
	secretInURL = regexp.MustCompile(`://[^/\s:@]+:[^/\s@]+@`)
	secretShape = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY|(?i)password=[^$\s]`)
	placeholder = regexp.MustCompile(`(?i)your-?(own-?)?domain|example\.(com|org|net)|new_strong_password|package-name|change-?me|<[a-z][a-z0-9 _-]*>`)
)

// suspicious looks for secrets and for placeholders in a value and below it.
func (p *parse) suspicious(key string, n node) {
	for _, v := range n.list {
		p.suspicious(key, v)
	}
	for _, f := range n.fields {
		p.suspicious(f.key, f.value)
	}
	if n.kind != scalar {
		return
	}
	literal := n.text != "" && !strings.Contains(n.text, "${")
	switch {
	case secretName.MatchString(key) && literal, secretInURL.MatchString(n.text), secretShape.MatchString(n.text):
		p.report.err(n.at, "secret", "keep it in the site file as ${env:NAME} or ${file:PATH}", "%s holds a secret in plain text", key)
	case placeholder.MatchString(n.text), n.text == "TOKEN", n.text == "TODO":
		p.report.err(n.at, "placeholder", "put the real value there", "%s holds the placeholder %q", key, placeholderIn(n.text))
	}
}

// references looks for placeholders in what an item shows to be copied: a
// command for yourdomain.com, pasted in the night, does its work elsewhere.
func (p *parse) references(e *entry) {
	for _, ref := range e.References {
		for i, line := range strings.Split(ref.Text, "\n") {
			if found := placeholder.FindString(line); found != "" {
				p.report.err(place{ref.Line + 1 + i, 1}, "placeholder", "put the real value there", "%s shows a command with the placeholder %q", blockName(e), found)
				break
			}
		}
	}
}

func placeholderIn(text string) string {
	if found := placeholder.FindString(text); found != "" {
		return found
	}
	return text
}

// brokenLinks checks anchors of this document, and files next to it.
func (p *parse) brokenLinks(doc *outline) {
	anchors := map[string]bool{}
	for _, h := range doc.parts {
		if h.kind == headingPart {
			anchors[slug(h.title)] = true
		}
	}
	for _, l := range doc.links {
		file, anchor, hasAnchor := strings.Cut(l.to, "#")
		switch {
		case strings.Contains(file, ":") || strings.HasPrefix(file, "/"):
		case file == "" && hasAnchor && !anchors[slug(anchor)]:
			p.report.warn(l.at, "broken-link", "", "no heading has the anchor #%s", anchor)
		case file != "" && p.o.HasFile != nil && !p.o.HasFile(file):
			p.report.warn(l.at, "broken-link", "", "there is no file %s", file)
		}
	}
}
