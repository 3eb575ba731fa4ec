package report

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// timeline is a bar for every item that took time, against the whole run and
// its budget. Every text in it is escaped here: it goes into the page as it is.
func timeline(r Report) string {
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
		fmt.Fprintf(&b, `<text x="0" y="%g">%s</text>`, y+12, html.EscapeString(clean.Line(one.title, 38)))
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%g" width="%.1f" height="10" fill="currentColor"/>`, html.EscapeString(one.state), one.from, y+4, math.Max(2, one.to-one.from))
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
	return b.String()
}

// spark is a trend as a line, from its smallest to its largest value.
func spark(t Trend) string {
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
	return b.String()
}
