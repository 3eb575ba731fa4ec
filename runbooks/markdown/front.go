package markdown

import (
	"bytes"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// schemaVersion is the only version of the format there is.
const schemaVersion = "1"

// cutFront splits the front matter off and blanks it, so that every offset in
// what is left is the document's own. at is the line of its first key.
func cutFront(source []byte) (front string, rest []byte, found bool) {
	first, after, _ := bytes.Cut(source, []byte("\n"))
	if string(bytes.TrimSpace(first)) != "---" {
		return "", source, false
	}
	end := 0
	for l := range bytes.Lines(after) {
		end += len(l)
		if string(bytes.TrimRight(l, " \t\r\n")) == "---" {
			all := len(first) + 1 + end
			front = string(after[:end-len(l)])
			return front, append(blank(source[:all]), source[all:]...), true
		}
	}
	return "", source, false
}

// blank keeps the line ends and nothing else.
func blank(source []byte) []byte {
	out := make([]byte, len(source))
	for i, c := range source {
		if out[i] = ' '; c == '\n' {
			out[i] = '\n'
		}
	}
	return out
}

// front reads the front matter.
func (p *parse) front(body string, found bool) {
	if !found {
		p.report.err(top, "no-front-matter", "begin with ---, runbook: id, schema: 1, ---", "the document has no front matter")
		return
	}
	where := func(line, col int) place { return place{line + 1, col} }
	b, ok := block(body, where, p.report)
	if !ok {
		return
	}
	f := read(b, p.report)
	p.book.ID = f.text("runbook")
	if p.book.ID == "" {
		p.report.err(f.block.at, "no-id", "write runbook: name", "the front matter names no runbook")
	} else if !idForm.MatchString(p.book.ID) {
		p.report.err(f.at("runbook"), "bad-id", "write lms-operations", "%q is not an id: lower-case words joined by - or _", p.book.ID)
	}
	if v := f.text("schema"); v != schemaVersion {
		p.report.err(f.at("schema"), "schema", "write schema: 1", "schema is %q, this version reads 1", v)
	}
	p.book.Title, p.book.Owner, p.book.Guide = f.text("title"), f.text("owner"), f.rows()
	p.reviewBy(f)
	p.zone(f)
	p.vars(f)
	p.window(f)
	f.rest("the front matter")
}

func (p *parse) reviewBy(f *fields) {
	text := f.text("review_by")
	if text == "" {
		return
	}
	at, _ := f.block.get("review_by")
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		p.report.err(at.at, "wrong-type", "write 2027-03-01", "review_by: %q is not a day", text)
		return
	}
	p.book.ReviewBy = day
	if !p.o.Now.IsZero() && p.o.Now.After(day.AddDate(0, 0, 1)) {
		p.report.warn(at.at, "review-overdue", "read it through and move the date", "the runbook was to be reviewed by %s", text)
	}
}

func (p *parse) zone(f *fields) {
	text := f.text("timezone")
	if text == "" {
		return
	}
	zone, err := time.LoadLocation(text)
	if err != nil || text == "Local" {
		at, _ := f.block.get("timezone")
		p.report.err(at.at, "wrong-type", "write Europe/Paris", "timezone: there is no zone %q", text)
		return
	}
	p.book.Zone = zone
}

func (p *parse) vars(f *fields) {
	m, _ := f.get("vars", mapping)
	inner := read(m, p.report)
	for _, field := range m.fields {
		if p.book.Vars == nil {
			p.book.Vars = map[string]string{}
		}
		p.book.Vars[field.key] = inner.text(field.key)
		p.suspicious(field.key, field.value)
	}
}

// kinds are the second words of a fence that is ours.
var kinds = []string{"check", "action", "confirm", "decide", "hold", "section"}

// nearKind suggests a kind where the second word of a yaml fence is a slip.
func nearKind(word string) string {
	if hint := checks.Nearest(word, kinds); strings.HasPrefix(hint, "did") {
		return hint
	}
	return ""
}
