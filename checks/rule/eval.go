package rule

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Truth is the value of a rule in three-valued logic.
type Truth uint8

// The truth values. The zero value claims nothing.
const (
	Undecided Truth = iota
	False
	True
)

// String is the value's name.
func (t Truth) String() string { return [...]string{"undecided", "false", "true"}[t] }

// A Comparison is one that was true and, with the others of its branch,
// decided the rule.
type Comparison struct {
	Fact  string
	Label string
	Value fact.Value
	Text  string // "used > 80%"
}

// A Verdict is what a rule makes of some facts.
type Verdict struct {
	Truth   Truth
	Decided []Comparison // of a true rule, the worst first
	Missing []string     // required facts that were not there
	LeftOut []string     // optional facts that were not there: their comparisons count as false
}

// Eval applies the rule to facts.
//
// A labelled fact (one per mount, per container) makes the rule true if any
// label does. Within one branch of "and" all labelled facts are those of the
// same label; a fact without a label combines with every label. A fact that
// is missing makes its comparison undecided, unless it is optional: then the
// comparison is left out, which is to say false. "true or undecided" is true,
// "false and undecided" is false.
func (e Expr) Eval(facts []fact.Fact, specs []fact.Spec) Verdict {
	if e.root == nil {
		return Verdict{Truth: False}
	}
	known := world{values: map[string]map[string]fact.Value{}, optional: map[string]bool{}}
	for _, f := range facts {
		if known.values[f.Name] == nil {
			known.values[f.Name] = map[string]fact.Value{}
		}
		known.values[f.Name][f.Label] = f.Value
	}
	worse := map[string]fact.Direction{}
	for _, s := range specs {
		known.optional[s.Name] = s.Optional
		worse[s.Name] = s.Worse
	}
	v := Verdict{Truth: False}
	for _, branch := range e.branches {
		for _, label := range known.labels(branch) {
			v.add(known.branch(branch, label))
		}
	}
	v.tidy(worse)
	return v
}

// world is the facts by name and label.
type world struct {
	values   map[string]map[string]fact.Value
	optional map[string]bool
}

// labels are those that any fact of the branch has; "" alone if none has.
func (w world) labels(branch []comparison) []string {
	var labels []string
	for _, c := range branch {
		for label := range w.values[c.fact] {
			if label != "" && !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	if len(labels) == 0 {
		return []string{""}
	}
	slices.Sort(labels)
	return labels
}

// branch evaluates an "and" of comparisons for one label.
func (w world) branch(branch []comparison, label string) Verdict {
	v := Verdict{Truth: True}
	for _, c := range branch {
		value, at, there := w.value(c.fact, label)
		switch {
		case !there && w.optional[c.fact]:
			v.Truth = False
			v.LeftOut = append(v.LeftOut, c.fact)
		case !there:
			v.Missing = append(v.Missing, c.fact)
			if v.Truth == True {
				v.Truth = Undecided
			}
		case !c.holds(value):
			v.Truth = False
		default:
			v.Decided = append(v.Decided, Comparison{c.fact, at, value, c.String()})
		}
	}
	if v.Truth == False {
		v.Missing = nil // a false branch does not need what is missing
	}
	if v.Truth != True {
		v.Decided = nil
	}
	return v
}

// value is the fact of the label, or the one without a label.
func (w world) value(name, label string) (v fact.Value, at string, there bool) {
	for _, at := range []string{label, ""} {
		if v, ok := w.values[name][at]; ok && !math.IsNaN(v.Num) {
			return v, at, true
		}
	}
	return fact.Value{}, "", false
}

func (c comparison) holds(v fact.Value) bool {
	if v.Type == fact.Text {
		same := v.Text == c.lit.word
		return same == (c.op == "==")
	}
	switch c.op {
	case ">":
		return v.Num > c.lit.num
	case ">=":
		return v.Num >= c.lit.num
	case "<":
		return v.Num < c.lit.num
	case "<=":
		return v.Num <= c.lit.num
	case "==":
		return v.Num == c.lit.num
	default:
		return v.Num != c.lit.num
	}
}

// add is the "or" of v and one more branch.
func (v *Verdict) add(b Verdict) {
	switch {
	case b.Truth == True:
		v.Truth = True
	case b.Truth == Undecided && v.Truth == False:
		v.Truth = Undecided
	}
	v.Decided = append(v.Decided, b.Decided...)
	v.Missing = append(v.Missing, b.Missing...)
	v.LeftOut = append(v.LeftOut, b.LeftOut...)
}

// tidy drops what a true rule did not need and orders the rest.
func (v *Verdict) tidy(worse map[string]fact.Direction) {
	if v.Truth == True {
		v.Missing = nil
	}
	v.Missing = unique(v.Missing)
	v.LeftOut = unique(v.LeftOut)
	var seen []Comparison
	for _, c := range v.Decided {
		if !slices.Contains(seen, c) {
			seen = append(seen, c)
		}
	}
	slices.SortStableFunc(seen, func(a, b Comparison) int {
		if a.Fact != b.Fact {
			return 0
		}
		switch worse[a.Fact] {
		case fact.Higher:
			return cmp.Compare(b.Value.Num, a.Value.Num)
		case fact.Lower:
			return cmp.Compare(a.Value.Num, b.Value.Num)
		}
		return strings.Compare(a.Label, b.Label)
	})
	v.Decided = seen
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
