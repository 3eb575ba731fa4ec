package markdown

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// Options are what a document is read against.
type Options struct {
	Registry *checks.Registry       // required: the modules there are
	Now      time.Time              // for review_by; zero: not checked
	Layer    string                 // goes into Runbook.Layer
	HasFile  func(path string) bool // of relative links; nil: not checked
}

// parse is the state of reading one document.
type parse struct {
	o      Options
	report *report
	book   runbooks.Runbook

	declaresWindow bool // whether or not it can be used

	sections []*draft
	entries  []*entry
}

// draft is a section while it is being read.
type draft struct {
	runbooks.Section
	at    place
	level int // of its heading
	bound bool
	f     *fields
	items []*entry
}

// Parse reads one document. The runbook is usable only if no diagnostic is an
// error; all problems are reported at once. path is for the diagnostics.
func Parse(path string, source []byte, o Options) (runbooks.Runbook, []Diagnostic) {
	p := &parse{o: o, report: &report{file: path}}
	p.book = runbooks.Runbook{Path: path, Layer: o.Layer, Source: source, Hash: sha256.Sum256(source)}
	clean := normal(source)
	if !bounds(clean, p.report) {
		return p.book, p.report.sorted()
	}
	front, rest, found := cutFront(clean)
	p.front(front, found)
	doc := scan(rest)
	p.structure(&doc)
	for _, e := range p.entries {
		p.bind(e)
		p.references(e)
	}
	p.lint(&doc)
	p.assemble()
	return p.book, p.report.sorted()
}

// normal blanks a byte order mark and carriage returns; offsets stay.
func normal(source []byte) []byte {
	clean := bytes.ReplaceAll(source, []byte("\r"), []byte(" "))
	if bytes.HasPrefix(clean, []byte("\xef\xbb\xbf")) {
		copy(clean, "   ")
	}
	return clean
}

// structure walks the parts in their order: headings open sections and groups,
// items are listed, fences are bound to what stands above them.
func (p *parse) structure(doc *outline) {
	parts := doc.inOrder()
	w := walker{parse: p, doc: doc, base: baseLevel(parts)}
	for i, part := range parts {
		until := len(doc.lines) + 1
		if i+1 < len(parts) {
			until = parts[i+1].at.line
		}
		switch part.kind {
		case headingPart:
			w.heading(part, until)
		case itemPart:
			w.task(part, until)
		case fencePart:
			w.fence(part, until)
		}
	}
	w.leave()
	p.sections = w.sections
}

// baseLevel is the level of headings that are sections where no block says so:
// below a single title, or the highest there is.
func baseLevel(parts []part) int {
	count := map[int]int{}
	for _, h := range parts {
		if h.kind == headingPart {
			count[h.level]++
		}
	}
	for level := 1; level <= 6; level++ {
		if count[level] == 0 {
			continue
		}
		deeper := 0
		for l := level + 1; l <= 6; l++ {
			deeper += count[l]
		}
		if count[level] == 1 && deeper > 0 {
			continue
		}
		return level
	}
	return 1
}

func (p *parse) assemble() {
	for _, d := range p.sections {
		if len(d.items) == 0 && !d.bound {
			continue
		}
		for _, e := range d.items {
			d.Items = append(d.Items, e.Item)
		}
		p.book.Sections = append(p.book.Sections, d.Section)
	}
	if p.book.Title == "" {
		p.book.Title = p.book.ID
	}
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug is a title as part of an id.
func slug(title string) string {
	return strings.Trim(notSlug.ReplaceAllString(strings.ToLower(title), "-"), "-")
}
