// Package rule is the small language that judges facts:
//
//	used > 80% or inodes > 80%
//	age > 26h and (size_ratio < 70% or ok == false)
//
// A comparison names a declared fact, an operator and a literal with its unit.
// Logic has three values, because a fact can be missing: what cannot be
// decided is never taken for a pass. Read eval.go for how labelled facts and
// missing ones are treated.
//
// The package knows facts and nothing else: no modules, no levels.
package rule

import (
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Bounds on a rule's text; a rule that a person can review is far inside them.
const (
	maxLength      = 1000
	maxDepth       = 20
	maxComparisons = 50
	maxBranches    = 200 // of the disjunctive form that is evaluated
)

// An Expr is a parsed rule. The zero Expr judges nothing.
type Expr struct {
	root     *node
	branches [][]comparison // disjunctive normal form: any of these, all of each
}

// kind says what a node of the tree is.
type kind uint8

const (
	compare kind = iota
	and
	or
)

// node is a comparison, or an "and" or "or" of at least two others.
type node struct {
	kind kind
	cmp  comparison
	kids []*node
}

// comparison is `fact op literal`.
type comparison struct {
	col  int // 1-based column of the fact's name
	fact string
	op   string
	lit  literal
}

// literal is a typed constant; text is how it is written.
type literal struct {
	kind litKind
	num  float64 // in the unit facts are kept in: percent, ms, bytes
	word string
	text string
}

type litKind uint8

const (
	plain litKind = iota // 12
	percent
	duration
	bytes
	boolean
	word
)

// String prints the rule in one normal form; parsing it gives the same rule.
func (e Expr) String() string {
	if e.root == nil {
		return ""
	}
	return e.root.print(false)
}

func (n *node) print(insideAnd bool) string {
	if n.kind == compare {
		return n.cmp.String()
	}
	parts := make([]string, len(n.kids))
	for i, k := range n.kids {
		parts[i] = k.print(n.kind == and)
	}
	if n.kind == and {
		return strings.Join(parts, " and ")
	}
	text := strings.Join(parts, " or ")
	if insideAnd {
		return "(" + text + ")"
	}
	return text
}

// String is the comparison in its normal form.
func (c comparison) String() string { return c.fact + " " + c.op + " " + c.lit.text }

// Facts lists the facts the rule names, in the order they first occur.
func (e Expr) Facts() []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range e.comparisons() {
		if !seen[c.fact] {
			seen[c.fact] = true
			names = append(names, c.fact)
		}
	}
	return names
}

func (e Expr) comparisons() []comparison {
	var all []comparison
	var visit func(*node)
	visit = func(n *node) {
		if n == nil {
			return
		}
		if n.kind == compare {
			all = append(all, n.cmp)
		}
		for _, k := range n.kids {
			visit(k)
		}
	}
	visit(e.root)
	return all
}

// expand is the disjunctive form: a list of branches, any of which makes the
// rule true when all its comparisons are. nil if there would be too many.
func expand(n *node) [][]comparison {
	switch n.kind {
	case compare:
		return [][]comparison{{n.cmp}}
	case or:
		var all [][]comparison
		for _, k := range n.kids {
			branches := expand(k)
			if branches == nil || len(all)+len(branches) > maxBranches {
				return nil
			}
			all = append(all, branches...)
		}
		return all
	}
	product := [][]comparison{nil}
	for _, k := range n.kids {
		branches := expand(k)
		if branches == nil || len(product)*len(branches) > maxBranches {
			return nil
		}
		product = cross(product, branches)
	}
	return product
}

func cross(left, right [][]comparison) [][]comparison {
	var all [][]comparison
	for _, l := range left {
		for _, r := range right {
			all = append(all, append(l[:len(l):len(l)], r...))
		}
	}
	return all
}

// suits reports whether the literal can be compared with facts of the type.
func (l literal) suits(t fact.Type) bool {
	switch l.kind {
	case plain:
		return t == fact.Count
	case percent:
		return t == fact.Percent
	case duration:
		return t == fact.Duration
	case bytes:
		return t == fact.Bytes
	case boolean:
		return t == fact.Bool
	default:
		return t == fact.Text
	}
}
