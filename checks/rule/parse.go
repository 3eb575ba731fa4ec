package rule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A SyntaxError is why a text is not a rule, at a 1-based column.
type SyntaxError struct {
	Col  int
	Msg  string
	Hint string
}

// Error is the message with column and hint.
func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("column %d: %s", e.Col, e.Msg)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

const example = `write for example used > 80% or ok == false`

// Parse reads a rule.
func Parse(src string) (Expr, error) {
	if len(src) > maxLength {
		return Expr{}, &SyntaxError{maxLength, fmt.Sprintf("the rule is longer than %d bytes", maxLength), "split it into several checks"}
	}
	tokens, err := lex(src)
	if err != nil {
		return Expr{}, err
	}
	p := &parser{tokens: tokens}
	root, err := p.or(0)
	if err != nil {
		return Expr{}, err
	}
	if t := p.peek(); t.kind != endToken {
		return Expr{}, &SyntaxError{t.col, fmt.Sprintf("found %q after a complete rule", t.text), `join comparisons with "and" or "or"`}
	}
	branches := expand(root)
	if branches == nil {
		return Expr{}, &SyntaxError{1, fmt.Sprintf("the rule has more than %d combinations", maxBranches), "split it into several checks"}
	}
	return Expr{root, branches}, nil
}

type parser struct {
	tokens      []token
	comparisons int
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != endToken {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) or(depth int) (*node, error)  { return p.list(depth, or, "or", p.and) }
func (p *parser) and(depth int) (*node, error) { return p.list(depth, and, "and", p.operand) }

// list reads operands joined by one word; nested lists of the same kind are
// flattened so that printing and parsing agree.
func (p *parser) list(depth int, k kind, joiner string, operand func(int) (*node, error)) (*node, error) {
	n := &node{kind: k}
	for {
		kid, err := operand(depth)
		if err != nil {
			return nil, err
		}
		if kid.kind == k {
			n.kids = append(n.kids, kid.kids...)
		} else {
			n.kids = append(n.kids, kid)
		}
		if t := p.peek(); t.kind != wordToken || t.text != joiner {
			break
		}
		p.next()
	}
	if len(n.kids) == 1 {
		return n.kids[0], nil
	}
	return n, nil
}

func (p *parser) operand(depth int) (*node, error) {
	t := p.peek()
	if t.kind != openToken {
		return p.comparison()
	}
	if depth == maxDepth {
		return nil, &SyntaxError{t.col, fmt.Sprintf("parentheses are nested deeper than %d", maxDepth), ""}
	}
	p.next()
	inner, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if end := p.next(); end.kind != closeToken {
		return nil, &SyntaxError{end.col, fmt.Sprintf(`found %s, expected ")"`, end.shown()), ""}
	}
	return inner, nil
}

func (p *parser) comparison() (*node, error) {
	if p.comparisons++; p.comparisons > maxComparisons {
		return nil, &SyntaxError{p.peek().col, fmt.Sprintf("more than %d comparisons", maxComparisons), "split it into several checks"}
	}
	name := p.next()
	if name.kind != wordToken || !isFactName(name.text) || isKeyword(name.text) {
		return nil, &SyntaxError{name.col, fmt.Sprintf("found %s, expected the name of a fact", name.shown()), example}
	}
	op := p.next()
	if op.kind != opToken {
		hint := "one of > >= < <= == !="
		if op.text == "=" {
			hint = "write == to compare"
		}
		return nil, &SyntaxError{op.col, fmt.Sprintf("found %s, expected an operator after %q", op.shown(), name.text), hint}
	}
	value := p.next()
	lit, err := parseLiteral(value)
	if err != nil {
		return nil, err
	}
	return &node{kind: compare, cmp: comparison{name.col, name.text, op.text, lit}}, nil
}

func isKeyword(s string) bool { return s == "and" || s == "or" || s == "true" || s == "false" }

func isFactName(s string) bool {
	for i, r := range s {
		if !(r >= 'a' && r <= 'z' || r == '_' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}

// units maps a suffix to its kind and its scale in the unit facts are kept in.
var units = map[string]struct {
	kind  litKind
	scale float64
}{
	"": {plain, 1}, "%": {percent, 1},
	"us": {duration, 0.001}, "ms": {duration, 1}, "s": {duration, 1000}, "m": {duration, 60e3}, "h": {duration, 3600e3}, "d": {duration, 24 * 3600e3}, "w": {duration, 7 * 24 * 3600e3},
	"B": {bytes, 1}, "KiB": {bytes, 1 << 10}, "MiB": {bytes, 1 << 20}, "GiB": {bytes, 1 << 30}, "TiB": {bytes, 1 << 40},
}

func parseLiteral(t token) (literal, error) {
	switch {
	case t.kind == quoteToken:
		return literal{kind: word, word: t.value, text: strconv.Quote(t.value)}, nil
	case t.kind == numberToken:
		return parseQuantity(t)
	case t.kind == wordToken && (t.text == "true" || t.text == "false"):
		l := literal{kind: boolean, text: t.text}
		if t.text == "true" {
			l.num = 1
		}
		return l, nil
	case t.kind == wordToken && !isKeyword(t.text):
		return literal{kind: word, word: t.text, text: t.text}, nil
	}
	return literal{}, &SyntaxError{t.col, fmt.Sprintf("found %s, expected a value", t.shown()), "a number with its unit, true, false or a text: 80%, 26h, 1GiB"}
}

func parseQuantity(t token) (literal, error) {
	split := strings.IndexFunc(t.text, func(r rune) bool { return r != '-' && r != '.' && (r < '0' || r > '9') })
	if split < 0 {
		split = len(t.text)
	}
	number, suffix := t.text[:split], t.text[split:]
	unit, known := units[suffix]
	if !known {
		return literal{}, &SyntaxError{t.col, fmt.Sprintf("unit %q of %s is not known", suffix, t.text), "one of % us ms s m h d w B KiB MiB GiB TiB"}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(n*unit.scale, 0) {
		return literal{}, &SyntaxError{t.col, fmt.Sprintf("%q is not a number", number), ""}
	}
	return literal{kind: unit.kind, num: n * unit.scale, text: t.text}, nil
}
