package pane

import (
	"math"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/theme"
	"github.com/charmbracelet/x/ansi"
)

// Gauge draws a share of 0 to 1 in w cells, brackets included: "[=====-----]".
// A share that is not a number is drawn as "[?????]", never as empty.
func Gauge(th *theme.Theme, share float64, w int) string {
	inner := w - 2
	if inner < 1 {
		return spaces(w)
	}
	if math.IsNaN(share) {
		return "[" + strings.Repeat("?", inner) + "]"
	}
	full := int(math.Round(min(1, max(0, share)) * float64(inner)))
	if full == 0 && share > 0 {
		full = 1 // something is not nothing
	}
	return "[" + strings.Repeat(th.Full, full) + th.Faint.Render(strings.Repeat(th.Empty, inner-full)) + "]"
}

// Spark draws the newest w values, newest right, on a scale from 0 to top; a
// top of 0 means the largest value shown. NaN is drawn as "?".
func Spark(th *theme.Theme, values []float64, w int, top float64) string {
	if w <= 0 {
		return ""
	}
	if len(values) > w {
		values = values[len(values)-w:]
	}
	if top <= 0 {
		for _, v := range values {
			if !math.IsInf(v, 0) && v > top {
				top = v
			}
		}
	}
	var b strings.Builder
	b.WriteString(spaces(w - len(values)))
	for _, v := range values {
		b.WriteString(sparkGlyph(th, v, top))
	}
	return b.String()
}

func sparkGlyph(th *theme.Theme, v, top float64) string {
	if math.IsNaN(v) {
		return th.NoData
	}
	last := len(th.Spark) - 1
	if top <= 0 || v <= 0 {
		return th.Spark[0]
	}
	// The lowest glyph is kept for nothing at all.
	return th.Spark[min(last, max(1, int(math.Ceil(v/top*float64(last)))))]
}

// Ticks draws the newest w verdicts, newest right: low for ok, high for crit,
// "?" for unknown.
func Ticks(th *theme.Theme, ticks []watch.Tick, w int) string {
	if w <= 0 {
		return ""
	}
	if len(ticks) > w {
		ticks = ticks[len(ticks)-w:]
	}
	var b strings.Builder
	b.WriteString(spaces(w - len(ticks)))
	for i := 0; i < len(ticks); {
		n := i
		for n < len(ticks) && ticks[n].Level == ticks[i].Level {
			n++
		}
		run := strings.Repeat(tickGlyph(th, ticks[i].Level), n-i)
		if l := ticks[i].Level; l != checks.OK && l != checks.Skipped {
			run = th.Level(l).Render(run)
		}
		b.WriteString(run)
		i = n
	}
	return b.String()
}

func tickGlyph(th *theme.Theme, l checks.Level) string {
	last := len(th.Spark) - 1
	switch l {
	case checks.OK:
		return th.Spark[1]
	case checks.Warn:
		return th.Spark[last-1]
	case checks.Crit:
		return th.Spark[last]
	case checks.Skipped:
		return " "
	default:
		return th.NoData
	}
}

// splice replaces the cells of back from column x on by line.
func splice(back, line string, x int) string {
	w := Width(line)
	left := Pad(ansi.Truncate(back, x, ""), x)
	if strings.IndexByte(left, ansi.ESC) >= 0 {
		left += reset
	}
	return left + line + ansi.TruncateLeft(back, x+w, "")
}
