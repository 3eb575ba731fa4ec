package pane

import (
	"strings"

	"github.com/advanced-lms/opsdeck/ui/theme"
)

// A Twig is one step of indentation of a row that hangs in a tree.
type Twig uint8

// The twigs: nothing more comes below, something does, the row itself with
// others after it, the row itself as the last.
const (
	Bare Twig = iota
	Trunk
	Branch
	LastBranch
)

// twigWidth is the width of every twig.
const twigWidth = 2

// mostTwigs bounds the indentation: what hangs deeper is drawn at this depth.
const mostTwigs = 8

// Twigs gives each row of a tree its twigs. The rows come in order, a row
// before what hangs from it; depths are 0 for a root, and a step down of more
// than one counts as one.
func Twigs(depths []int) [][]Twig {
	rows := make([][]Twig, len(depths))
	steps := stepwise(depths)
	var open [mostTwigs + 1]bool // depths at which another row follows, before a lesser one
	for i := len(steps) - 1; i >= 0; i-- {
		depth := steps[i]
		rows[i] = lineage(depth, open)
		for d := depth + 1; d <= mostTwigs; d++ {
			open[d] = false
		}
		open[depth] = true
	}
	return rows
}

// stepwise are depths that begin at a root and go down one at a time.
func stepwise(depths []int) []int {
	steps := make([]int, len(depths))
	above := -1
	for i, d := range depths {
		steps[i] = clamp(d, 0, min(above+1, mostTwigs))
		above = steps[i]
	}
	return steps
}

func lineage(depth int, open [mostTwigs + 1]bool) []Twig {
	if depth == 0 {
		return nil
	}
	twigs := make([]Twig, depth)
	for d := 1; d < depth; d++ {
		if open[d] {
			twigs[d-1] = Trunk
		}
	}
	twigs[depth-1] = LastBranch
	if open[depth] {
		twigs[depth-1] = Branch
	}
	return twigs
}

// twigs draws them; each glyph has its ASCII twin.
func twigs(th *theme.Theme, list []Twig) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	for _, t := range list {
		switch t {
		case Trunk:
			b.WriteString(th.Vertical + " ")
		case Branch:
			b.WriteString(th.RightTee + th.Horizontal)
		case LastBranch:
			b.WriteString(th.BottomLeft + th.Horizontal)
		default:
			b.WriteString("  ")
		}
	}
	return b.String()
}
