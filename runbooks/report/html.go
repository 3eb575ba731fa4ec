package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// HTML writes the report as one page without scripts and without anything from
// elsewhere: it can be kept beside a ticket, and prints well.
func HTML(w io.Writer, r Report) error {
	return document.Execute(w, struct {
		Report
		Summary  [][]string
		Timeline template.HTML
	}{r, summary(r), timeline(r)})
}

// document is parsed once; html/template escapes whatever a run holds.
var document = template.Must(template.New("report").Funcs(template.FuncMap{
	"words": words, "stamp": stamp, "span": span, "said": said, "rows": attemptRows, "facts": factRows, "spark": spark, "text": shown,
	"last": func(t Trend) string { return t.said(len(t.Points) - 1) },
}).Parse(pageHTML))

// shown is text without what a browser would hide or act on.
func shown(s string) string { return clean.Block(s, 64<<10) }

const pageHTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{text .Title}} {{text .Run}}</title>
<style>
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
</head>
<body>
<h1>{{text .Title}}: <span class="{{.State}}">{{words (print .State)}}</span></h1>
<table>{{range .Summary}}<tr><th>{{text (index . 0)}}</th><td>{{text (index . 1)}}</td></tr>{{end}}</table>
<h2>Times</h2>
{{.Timeline}}
<h2>Items</h2>
<table><tr><th>State</th><th>Item</th><th>What was found</th></tr>
{{range .Items}}<tr><td class="{{.State}}">{{words (print .State)}}</td><td>{{text .Title}}</td><td>{{text .Note}}</td></tr>
{{end}}</table>
{{range .Items}}
<h3 id="{{text .ID}}">{{text .Title}} <span class="{{.State}}">{{words (print .State)}}</span></h3>
<table>
<tr><th>Item</th><td>{{text .ID}}, {{text (print .Kind)}}{{with .Module}}, {{text .}}{{end}}</td></tr>
{{with .EstimateMs}}<tr><th>Usually takes</th><td>{{span .}}</td></tr>{{end}}
{{with .Choice}}<tr><th>Chosen</th><td>{{text .}}</td></tr>{{end}}
{{with .Skipped}}<tr><th>Skipped</th><td>{{text (said .)}}</td></tr>{{end}}
{{with .Override}}<tr><th>Overridden</th><td>{{text (said .)}}</td></tr>{{end}}
{{with .Seen}}<tr><th>Seen</th><td>{{text (said .)}}</td></tr>{{end}}
{{range .Notes}}<tr><th>Note</th><td>{{text (said .)}}</td></tr>{{end}}
{{range .Signatures}}<tr><th>Signed</th><td>{{text (said .)}}</td></tr>{{end}}
{{range .Attempts}}<tr><th>Attempt {{.N}}</th><td>{{stamp .Started}} by {{text .By.String}}: <span class="{{.State}}">{{words (print .State)}}</span></td></tr>
{{range rows .}}<tr><th>{{text (index . 0)}}</th><td>{{text (index . 1)}}</td></tr>{{end}}
{{with .Result}}{{range facts .Facts}}<tr><th>{{text (index . 0)}}</th><td>{{text (index . 1)}}</td></tr>{{end}}{{end}}
{{end}}</table>
{{range .Exhibits}}<p>{{text .Heading}}</p><pre>{{text .Text}}</pre>
{{end}}{{range .Attempts}}{{with .Action}}{{with .Tail}}<pre>{{text .}}</pre>{{end}}{{end}}{{end}}
{{end}}
{{with .Notes}}<h2>Notes on the run</h2><table>{{range .}}<tr><td>{{text (said .)}}</td></tr>{{end}}</table>{{end}}
{{range .Exhibits}}<h2>{{text .Heading}}</h2><pre>{{text .Text}}</pre>
{{end}}{{with .Signatures}}<h2>Signatures</h2><table>{{range .}}<tr><td>{{text (said .)}}</td></tr>{{end}}</table>{{end}}
{{with .Trends}}<h2>Against earlier runs</h2><table>
{{range .}}<tr><td>{{text .Item}}</td><td>{{text .Fact}} {{text .Label}}</td><td>{{spark .}}</td><td>{{last .}}</td></tr>
{{end}}</table>{{end}}
</body>
</html>
`

// timeline is a bar for every item that took time, against the whole run and
// its budget. Every text in it is escaped here: it goes into the page as it is.
func timeline(r Report) template.HTML {
	const width, row, names = 900.0, 18.0, 260.0
	type bar struct {
		title, state string
		from, to     float64
		usual        float64 // where it would have ended, as it usually does; 0: nobody knows
	}
	end := r.Opened.Add(time.Duration(max(r.TookMs, r.BudgetMs)) * time.Millisecond)
	whole := math.Max(1, ms(end.Sub(r.Opened)))
	x := func(t time.Time) float64 {
		return names + (width-names)*math.Min(1, math.Max(0, ms(t.Sub(r.Opened))/whole))
	}
	var bars []bar
	for _, it := range r.Items {
		for _, a := range it.Attempts {
			to := r.MadeAt
			if a.Ended != nil {
				to = *a.Ended
			}
			one := bar{title: it.Title, state: string(a.State), from: x(a.Started), to: x(to)}
			if it.EstimateMs > 0 {
				one.usual = x(a.Started.Add(time.Duration(it.EstimateMs * float64(time.Millisecond))))
			}
			bars = append(bars, one)
		}
	}
	if len(bars) == 0 {
		return "<p>Nothing was begun.</p>"
	}
	const most = 200
	bars = bars[:min(len(bars), most)]
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="when each item ran">`, width, row*float64(len(bars)+1))
	for i, one := range bars {
		y := row * float64(i)
		fmt.Fprintf(&b, `<text x="0" y="%g">%s</text>`, y+12, template.HTMLEscapeString(clean.Line(one.title, 38)))
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%g" width="%.1f" height="10" fill="currentColor"/>`, template.HTMLEscapeString(one.state), one.from, y+4, math.Max(2, one.to-one.from))
		if one.usual > 0 {
			fmt.Fprintf(&b, `<rect class="usual" x="%.1f" y="%g" width="%.1f" height="14" fill="none" stroke="currentColor"/>`, one.from, y+2, math.Max(2, one.usual-one.from))
		}
	}
	if r.BudgetMs > 0 {
		at := x(r.Opened.Add(time.Duration(r.BudgetMs) * time.Millisecond))
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="0" y2="%g" stroke="currentColor" stroke-dasharray="4 3"/>`, at, at, row*float64(len(bars)))
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="end">budget %s</text>`, at, row*float64(len(bars))+13, span(r.BudgetMs))
	}
	b.WriteString(`</svg><p>A bar is an attempt; its outline is how long the item usually takes, the dashed line the end of the budget.</p>`)
	return template.HTML(b.String()) //nolint:gosec // every text in it is escaped above
}

// spark is a trend as a line, from its smallest to its largest value.
func spark(t Trend) template.HTML {
	const width, height = 160.0, 28.0
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range t.Points {
		low, high = math.Min(low, p.Value), math.Max(high, p.Value)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-label="%d runs"><polyline fill="none" stroke="currentColor" points="`, width, height, width, height, len(t.Points))
	for i, p := range t.Points {
		x, y := 0.0, height/2
		if n := len(t.Points); n > 1 {
			x = 2 + (width-4)*float64(i)/float64(n-1)
		}
		if high > low {
			y = 2 + (height-4)*(high-p.Value)/(high-low)
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers alone
}
