package rule

import (
	"fmt"
	"math"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A Problem is one thing wrong with a rule that parses.
type Problem struct {
	Col  int
	Msg  string
	Hint string
}

// Lint checks a rule against the facts it may name: unknown facts, wrong
// units, order where there is none, labels that cannot meet, and branches
// that can never or must always be true.
func (e Expr) Lint(specs []fact.Spec) []Problem {
	byName := map[string]fact.Spec{}
	for _, s := range specs {
		byName[s.Name] = s
	}
	var problems []Problem
	for _, c := range e.comparisons() {
		if p, bad := c.lint(byName); bad {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return problems // contradictions among misread comparisons would only confuse
	}
	for _, branch := range e.branches {
		problems = append(problems, lintBranch(branch, byName)...)
	}
	return problems
}

func (c comparison) lint(specs map[string]fact.Spec) (Problem, bool) {
	s, known := specs[c.fact]
	switch {
	case !known:
		return Problem{c.col, fmt.Sprintf("there is no fact %q", c.fact), nearestFact(c.fact, specs)}, true
	case s.Type == fact.Time:
		return Problem{c.col, fmt.Sprintf("%s is a time and cannot be compared", c.fact), "compare an age"}, true
	case !c.lit.suits(s.Type):
		return Problem{c.col, fmt.Sprintf("%s is a %s, found %s", c.fact, s.Type, c.lit.text), "write " + sample(s.Type)}, true
	case !s.Type.Numeric() && c.op != "==" && c.op != "!=":
		return Problem{c.col, fmt.Sprintf("%s is a %s and has no order", c.fact, s.Type), "use == or !="}, true
	}
	return Problem{}, false
}

func sample(t fact.Type) string {
	return map[fact.Type]string{
		fact.Count: "a plain number: 10", fact.Percent: "a percentage: 80%", fact.Duration: "a duration: 26h or 500ms",
		fact.Bytes: "a size: 1GiB", fact.Bool: "true or false", fact.Text: `a text: "running"`,
	}[t]
}

// nearestFact suggests a declared name that shares a part with the wrong one,
// or lists them.
func nearestFact(wrong string, specs map[string]fact.Spec) string {
	var names []string
	for name := range specs {
		names = append(names, name)
	}
	names = unique(names)
	if len(names) == 0 {
		return "none is declared"
	}
	best, shared := "", 2
	for _, name := range names {
		if swapped(wrong, name) {
			return fmt.Sprintf("did you mean %q?", name)
		}
		if n := commonPrefix(wrong, name); n > shared {
			best, shared = name, n
		}
		if best == "" && len(wrong) > 2 && strings.Contains(name, wrong) {
			best = name
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "one of " + strings.Join(names, ", ")
}

// swapped reports whether two names are one slip of a finger apart: a letter
// left out, doubled, wrong, or two of them the wrong way round.
func swapped(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := commonPrefix(a, b)
	switch len(b) - len(a) {
	case 1:
		return a[i:] == b[i+1:]
	case 0:
		return i < len(a) && (a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:])
	}
	return false
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// lintBranch looks at an "and" of comparisons as one set of constraints.
func lintBranch(branch []comparison, specs map[string]fact.Spec) []Problem {
	var problems []Problem
	dimension, owner := "", ""
	limits := map[string]*span{}
	always := true
	for _, c := range branch {
		s := specs[c.fact]
		if s.Label != "" && dimension != "" && s.Label != dimension {
			problems = append(problems, Problem{c.col, fmt.Sprintf("%s is per %s and %s per %s: they never meet", c.fact, s.Label, owner, dimension), `join them with "or"`})
		}
		if s.Label != "" {
			dimension, owner = s.Label, c.fact
		}
		if limits[c.fact] == nil {
			limits[c.fact] = domain(s)
		}
		if !limits[c.fact].narrow(c) {
			problems = append(problems, Problem{c.col, fmt.Sprintf("this can never be true: %s", join(branch)), "a rule that cannot fail is no check"})
			return problems
		}
		always = always && domain(s).implies(c)
	}
	if always {
		problems = append(problems, Problem{branch[0].col, fmt.Sprintf("this is always true: %s", join(branch)), ""})
	}
	return problems
}

func join(branch []comparison) string {
	parts := make([]string, len(branch))
	for i, c := range branch {
		parts[i] = c.String()
	}
	return strings.Join(parts, " and ")
}

// span is the set of values a fact can still have: an interval of numbers, or
// at most one word with words it is not.
type span struct {
	low, high         float64
	lowOpen, highOpen bool
	is                string
	fixed             bool
	not               map[string]bool
	text, boolean     bool
}

// domain is what a fact can be at all. Sizes and counts are never negative;
// a change or a time left can be.
func domain(s fact.Spec) *span {
	d := &span{low: math.Inf(-1), high: math.Inf(1), text: s.Type == fact.Text, boolean: s.Type == fact.Bool, not: map[string]bool{}}
	switch {
	case s.Type == fact.Bool:
		d.low, d.high = 0, 1
	case s.Type == fact.Bytes, s.Type == fact.Count && !s.Signed, s.Type == fact.Percent && !strings.HasSuffix(s.Name, "_growth"):
		d.low = 0
	}
	return d
}

// narrow applies a comparison and reports whether any value is left.
func (s *span) narrow(c comparison) bool {
	if s.text {
		return s.narrowText(c)
	}
	switch n := c.lit.num; c.op {
	case ">":
		s.raise(n, true)
	case ">=":
		s.raise(n, false)
	case "<":
		s.lower(n, true)
	case "<=":
		s.lower(n, false)
	case "==":
		s.raise(n, false)
		s.lower(n, false)
	default:
		if s.boolean {
			s.raise(1-n, false)
			s.lower(1-n, false)
		}
	}
	return s.low < s.high || s.low == s.high && !s.lowOpen && !s.highOpen
}

func (s *span) raise(n float64, open bool) {
	if n > s.low || n == s.low && open {
		s.low, s.lowOpen = n, open
	}
}

func (s *span) lower(n float64, open bool) {
	if n < s.high || n == s.high && open {
		s.high, s.highOpen = n, open
	}
}

func (s *span) narrowText(c comparison) bool {
	if c.op == "!=" {
		s.not[c.lit.word] = true
	} else if s.fixed && s.is != c.lit.word {
		return false
	} else {
		s.is, s.fixed = c.lit.word, true
	}
	return !s.fixed || !s.not[s.is]
}

// implies reports whether every value of the domain satisfies the comparison.
func (s *span) implies(c comparison) bool {
	if s.text {
		return false
	}
	switch c.op {
	case ">":
		return s.low > c.lit.num
	case ">=":
		return s.low >= c.lit.num
	case "<":
		return s.high < c.lit.num
	case "<=":
		return s.high <= c.lit.num
	}
	return false
}
