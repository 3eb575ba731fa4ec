package markdown

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// walker follows the document from heading to heading.
type walker struct {
	*parse
	doc  *outline
	base int

	path     []part // headings that the place is under, outermost first
	section  *draft // that items go to; nil before the first
	item     *entry // that a block binds to; nil after a heading
	note     *string
	sections []*draft
}

func (w *walker) heading(h part, until int) {
	for len(w.path) > 0 && w.path[len(w.path)-1].level >= h.level {
		w.path = w.path[:len(w.path)-1]
	}
	if len(w.path) == 0 && w.book.Title == "" {
		w.book.Title = h.title
	}
	w.path = append(w.path, h)
	w.item = nil
	if w.section == nil || h.level <= w.section.level || !w.section.bound && h.level <= w.base {
		w.section = nil
		if h.level >= w.base {
			w.open(h)
		}
	} else {
		w.section.Groups = append(w.section.Groups, runbooks.Group{ID: w.slug(h.title), Title: h.title, Line: h.at.line})
	}
	w.note = w.noteOf()
	w.addNote(h.at.line+1, until)
}

// noteOf is where prose under the current heading goes.
func (w *walker) noteOf() *string {
	switch {
	case w.section == nil:
		return nil
	case len(w.section.Groups) > 0:
		return &w.section.Groups[len(w.section.Groups)-1].Note
	}
	return &w.section.Note
}

// open begins a section at a heading.
func (w *walker) open(h part) *draft {
	d := &draft{at: h.at, level: h.level}
	d.Title, d.Line, d.ID = h.title, h.at.line, w.slug(h.title)
	d.Mode = runbooks.DoConfirm
	w.sections = append(w.sections, d)
	w.section = d
	return d
}

func (w *walker) slug(title string) string {
	if s := slug(title); s != "" {
		return s
	}
	return "section"
}

// task lists an item.
func (w *walker) task(t part, until int) {
	if w.section == nil {
		w.open(part{title: w.book.ID, at: t.at, level: w.base})
	}
	e := &entry{at: t.at}
	e.Title, e.Kind, e.Line, e.Col = t.title, runbooks.Manual, t.at.line, t.at.col
	e.ID = w.derivedID(t.title)
	if n := len(w.section.Groups); n > 0 {
		e.Group = w.section.Groups[n-1].ID
	}
	if t.done {
		w.report.warn(t.at, "ticked", "state lives in runs, never in the document", "the box of %q is ticked", t.title)
	}
	if t.title == "" {
		w.report.err(t.at, "no-title", "", "the item has no title")
	}
	w.section.items = append(w.section.items, e)
	w.entries = append(w.entries, e)
	w.item, w.note = e, &e.Note
	w.addNote(t.at.line+1, until)
}

// derivedID is the slug of the heading path, for items without a block.
func (w *walker) derivedID(title string) string {
	var words []string
	for i, h := range w.path {
		if i == 0 && h.level < w.base {
			continue // the document's title says nothing
		}
		words = append(words, slug(h.title))
	}
	words = append(words, slug(title))
	if id := strings.Trim(strings.Join(words, "/"), "/"); id != "" {
		return id
	}
	return "item"
}

// fence binds a block to the item or the heading above it, or keeps it as text.
func (w *walker) fence(f part, until int) {
	kind, ours := isOurs(f.fence.info)
	switch {
	case !ours:
		if hint := nearKind(kind); kind != "" && hint != "" {
			w.report.warn(f.at, "unknown-block", hint, "a fence %q is text and is never run", f.fence.info)
		}
		if w.item != nil {
			language, _, _ := strings.Cut(f.fence.info, " ")
			w.item.References = append(w.item.References, runbooks.Reference{Lang: language, Text: f.fence.body, Line: f.at.line})
		}
	case kind == "section":
		w.sectionBlock(f)
	default:
		w.itemBlock(f, kind)
	}
	w.addNote(f.at.line+1, until)
}

// yaml reads a fence of ours; ok is false if it could not be read.
func (w *walker) yaml(f part) (b node, ok bool) {
	where := func(line, col int) place {
		column := 0
		if line >= 1 && line <= len(f.fence.columns) {
			column = f.fence.columns[line-1]
		}
		return place{min(f.fence.first+line-1, len(w.doc.lines)), max(1, col+column)}
	}
	b, ok = block(f.fence.body, where, w.report)
	if len(b.fields) == 0 {
		b.at = f.at
	}
	return b, ok
}

func (w *walker) itemBlock(f part, kind string) {
	b, ok := w.yaml(f)
	switch {
	case !ok:
		if w.item != nil {
			w.item.bound = true // it was meant to be
		}
	case w.item == nil:
		w.report.err(f.at, "no-item", "write - [ ] title above it", "no item stands above this block under its heading")
	case w.item.bound:
		w.report.err(f.at, "second-block", "write another - [ ] item for it", "the item %q has a block already", w.item.Title)
	default:
		derived := w.item.ID
		w.decodeItem(w.item, kind, b)
		if w.item.ID == "" {
			w.item.ID = derived
		}
	}
}

// sectionBlock turns the innermost heading into a section.
func (w *walker) sectionBlock(f part) {
	b, ok := w.yaml(f)
	if !ok {
		return
	}
	if len(w.path) == 0 {
		w.report.err(f.at, "no-item", "write a heading above it", "no heading stands above this section block")
		return
	}
	h := w.path[len(w.path)-1]
	if w.item != nil {
		w.report.err(f.at, "misplaced", "move it under the heading", "a section block stands below an item")
		return
	}
	d := w.section
	if d != nil && d.at == h.at && d.bound {
		w.report.err(f.at, "second-block", "", "the heading %q has a section block already", h.title)
		return
	}
	if d == nil || d.at != h.at {
		d = w.promote(h)
	}
	w.decodeSection(d, b)
}

// promote makes a section of a heading that opened a group or nothing.
func (w *walker) promote(h part) *draft {
	note := ""
	if d := w.section; d != nil && len(d.Groups) > 0 && d.Groups[len(d.Groups)-1].Line == h.at.line {
		note = d.Groups[len(d.Groups)-1].Note
		d.Groups = d.Groups[:len(d.Groups)-1]
	}
	d := w.open(h)
	d.Note = note
	w.note = &d.Note
	return d
}

func (w *walker) decodeSection(d *draft, b node) {
	f := read(b, w.report)
	d.bound, d.f = true, f
	if id := f.id(); id != "" {
		d.ID = id
	}
	d.Plan.Cadence = schedule.Cadence(f.oneOf("cadence", cadenceNames()...))
	d.Plan.Zone = w.book.Zone
	d.Plan.Grace = f.duration("grace")
	if due, ok := f.get("due", scalar); ok && d.Plan.Cadence != "" {
		parsed, err := schedule.ParseDue(d.Plan.Cadence, due.text)
		if err != nil {
			w.report.err(due.at, "cadence", "", "%v", err)
		}
		d.Plan.Due = parsed
	}
	if mode := f.oneOf("mode", string(runbooks.DoConfirm), string(runbooks.ReadDo)); mode != "" {
		d.Mode = runbooks.Mode(mode)
	}
	d.Requires, d.Abort, d.Budget = f.texts("requires"), f.texts("abort"), f.duration("budget")
	d.Guide = f.rows()
	f.rest("a section block")
}

func cadenceNames() []string {
	var names []string
	for _, c := range schedule.Cadences() {
		names = append(names, string(c))
	}
	return names
}

// addNote adds the prose of some lines to where it belongs.
func (w *walker) addNote(from, until int) {
	text := w.doc.prose(from, until)
	if w.note == nil || text == "" {
		return
	}
	if *w.note != "" {
		text = *w.note + "\n\n" + text
	}
	*w.note = text
}

// leave makes ids that were derived from headings unique.
func (w *walker) leave() {
	used := map[string]int{}
	for _, e := range w.entries {
		if e.fields != nil {
			used[e.ID] = 1
		}
	}
	for _, e := range w.entries {
		if e.fields != nil {
			continue
		}
		base := e.ID
		for used[e.ID] > 0 {
			used[base]++
			e.ID = fmt.Sprintf("%s-%d", base, used[base])
		}
		used[e.ID]++
	}
}
