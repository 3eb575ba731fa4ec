package report

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// HTML writes the report as one page without scripts and without anything from
// elsewhere: it can be kept beside a ticket, and prints well.
//
// It is written by hand because html/template, by what it can reach through
// reflection, keeps every method of every library in the program: a quarter of
// it. What a run holds gets onto the page through text alone, which escapes it.
func HTML(w io.Writer, r Report) error {
	var s sheet
	s.markup(pageHead, "<title>")
	s.text(r.Title + " " + r.Run)
	s.markup("</title>\n", pageStyle, "</head>\n<body>\n<h1>")
	s.text(r.Title)
	s.markup(": ")
	s.state(string(r.State))
	s.markup("</h1>\n<table>\n")
	s.rows(summary(r))
	s.markup("</table>\n<h2>Times</h2>\n", timeline(r), "\n<h2>Items</h2>\n<table><tr><th>State</th><th>Item</th><th>What was found</th></tr>\n")
	for _, it := range r.Items {
		s.itemLine(it)
	}
	s.markup("</table>\n")
	for _, it := range r.Items {
		s.item(it)
	}
	s.remarks("Notes on the run", r.Notes)
	for _, e := range r.Exhibits {
		s.exhibit("h2", e)
	}
	s.remarks("Signatures", r.Signatures)
	s.trends(r.Trends)
	s.markup("</body>\n</html>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

// A sheet is a page that is being written.
type sheet struct{ strings.Builder }

// markup is ours, and goes onto the page as it stands.
func (s *sheet) markup(parts ...string) {
	for _, p := range parts {
		s.WriteString(p)
	}
}

// text is whatever a run holds.
func (s *sheet) text(t string) { s.WriteString(html.EscapeString(shown(t))) }

// state is one in words, in the colour of its class.
func (s *sheet) state(state string) {
	s.markup(`<span class="`, html.EscapeString(state), `">`)
	s.text(words(state))
	s.markup("</span>")
}

func (s *sheet) row(name, text string) {
	s.markup("<tr><th>")
	s.text(name)
	s.markup("</th><td>")
	s.text(text)
	s.markup("</td></tr>\n")
}

func (s *sheet) rows(list [][]string) {
	for _, r := range list {
		s.row(r[0], r[1])
	}
}

// itemLine is the item in the list of all.
func (s *sheet) itemLine(it Item) {
	s.markup(`<tr><td class="`, html.EscapeString(string(it.State)), `">`)
	s.text(words(string(it.State)))
	s.markup("</td><td>")
	s.text(it.Title)
	s.markup("</td><td>")
	s.text(it.Note)
	s.markup("</td></tr>\n")
}

// item is all that was recorded of it.
func (s *sheet) item(it Item) {
	s.markup(`<h3 id="`)
	s.text(it.ID)
	s.markup(`">`)
	s.text(it.Title)
	s.markup(" ")
	s.state(string(it.State))
	s.markup("</h3>\n<table>\n")
	s.row("Item", joined(it.ID, string(it.Kind), it.Module))
	if it.EstimateMs != 0 {
		s.row("Usually takes", span(it.EstimateMs))
	}
	if it.Choice != "" {
		s.row("Chosen", it.Choice)
	}
	for _, one := range []struct {
		name   string
		remark *Remark
	}{{"Skipped", it.Skipped}, {"Overridden", it.Override}, {"Seen", it.Seen}} {
		if one.remark != nil {
			s.row(one.name, said(*one.remark))
		}
	}
	for _, b := range it.Barred {
		s.row("Refused", said(b))
	}
	for _, n := range it.Notes {
		s.row("Note", said(n))
	}
	for _, n := range it.Signatures {
		s.row("Signed", said(n))
	}
	for _, a := range it.Attempts {
		s.attempt(a)
	}
	s.markup("</table>\n")
	for _, e := range it.Exhibits {
		s.exhibit("p", e)
	}
	for _, a := range it.Attempts {
		if a.Action == nil {
			continue
		}
		s.shown(a.Action.Shown)
		if a.Action.Tail != "" {
			s.output(a.Action.Tail)
		}
	}
	s.markup("\n")
}

// exhibit is what a person put into the record, under a heading of that kind.
func (s *sheet) exhibit(heading string, e Exhibit) {
	s.markup("<", heading, ">")
	s.text(e.Heading())
	s.markup("</", heading, ">")
	s.output(e.Text)
	s.markup("\n")
}

func (s *sheet) output(text string) {
	s.markup("<pre>")
	s.text(text)
	s.markup("</pre>")
}

func (s *sheet) attempt(a Attempt) {
	s.markup(fmt.Sprintf("<tr><th>Attempt %d</th><td>", a.N))
	s.text(stamp(a.Started) + " by " + a.By.String() + ": ")
	s.state(string(a.State))
	s.markup("</td></tr>\n")
	s.rows(attemptRows(a))
	if a.Result != nil {
		s.rows(factRows(a.Result.Facts))
	}
}

func (s *sheet) remarks(title string, list []Remark) {
	if len(list) == 0 {
		return
	}
	s.markup("<h2>", title, "</h2><table>")
	for _, r := range list {
		s.markup("<tr><td>")
		s.text(said(r))
		s.markup("</td></tr>")
	}
	s.markup("</table>\n")
}

func (s *sheet) trends(list []Trend) {
	if len(list) == 0 {
		return
	}
	s.markup("<h2>Against earlier runs</h2><table>\n")
	for _, t := range list {
		s.markup("<tr><td>")
		s.text(t.Item)
		s.markup("</td><td>")
		s.text(t.Fact + " " + t.Label)
		s.markup("</td><td>", spark(t), "</td><td>")
		s.text(t.said(len(t.Points) - 1))
		s.markup("</td></tr>\n")
	}
	s.markup("</table>\n")
}

// shown is text without what a browser would hide or act on.
func shown(s string) string { return clean.Block(s, 64<<10) }

const pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
`

const pageStyle = `<style>
:root { color-scheme: light dark; --line: #8886; --ok: #2a7d46; --warn: #a66a00; --bad: #b3261e; --dim: #888; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; } td:first-child { white-space: nowrap; }
pre { border-left: 3px solid var(--line); padding-left: .7rem; overflow-x: auto; white-space: pre-wrap; font-size: 13px; }
.passed, .ok, .completed { color: var(--ok); } .warned, .warn { color: var(--warn); }
.usual { opacity: .45; }
.failed, .crit, .errored, .interrupted, .aborted { color: var(--bad); } .skipped, .not_applicable, .pending { color: var(--dim); }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
@media print { body { margin: 0; max-width: none; } h3 { break-after: avoid; } table, pre { break-inside: avoid; } }
</style>
`
