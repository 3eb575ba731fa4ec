package checks

import (
	"errors"
	"slices"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/rule"
)

// A Verdict is what the rules make of some facts.
type Verdict struct {
	Level     Level
	Why       []Breach // the comparisons that were true and decided
	Undecided []string // required facts that a rule needed and did not get
	LeftOut   []string // optional facts not there yet: comparisons left out
}

// Judge applies fail, then warn. A fail rule that is true is crit; one that
// cannot be decided is unknown, even if warn would be true, because the worse
// verdict is still open. Facts without any rule are ok.
func Judge(m *Module, rules Rules, facts []fact.Fact) Verdict {
	specs := m.AllFacts()
	verdict := Verdict{Level: OK}
	for _, step := range []struct {
		rule  Rule
		level Level
	}{{rules.Fail, Crit}, {rules.Warn, Warn}} {
		if step.rule.Text == "" {
			continue
		}
		v, err := evaluate(step.rule.Text, facts, specs)
		if err != nil {
			return Verdict{Level: Unknown, Undecided: []string{err.Error()}}
		}
		verdict.LeftOut = append(verdict.LeftOut, v.LeftOut...)
		switch v.Truth {
		case rule.True:
			verdict.Level = step.level
			verdict.Why = breaches(v.Decided, step.rule, step.level)
			verdict.LeftOut = compact(verdict.LeftOut)
			return verdict
		case rule.Undecided:
			verdict.Level = Unknown
			verdict.Undecided = compact(v.Missing)
			verdict.LeftOut = compact(verdict.LeftOut)
			return verdict
		}
	}
	verdict.LeftOut = compact(verdict.LeftOut)
	return verdict
}

func evaluate(text string, facts []fact.Fact, specs []fact.Spec) (rule.Verdict, error) {
	expr, err := rule.Parse(text)
	if err != nil {
		return rule.Verdict{}, err
	}
	return expr.Eval(facts, specs), nil
}

func breaches(decided []rule.Comparison, r Rule, level Level) []Breach {
	why := make([]Breach, len(decided))
	for i, c := range decided {
		why[i] = Breach{Fact: c.Fact, Label: c.Label, Value: c.Value, Rule: c.Text, Level: level, Source: r.Source}
	}
	return why
}

func compact(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// A RuleError is one thing wrong with a rule, at a column of its text.
type RuleError struct {
	Rule string
	Col  int // 1-based column in Rule
	Msg  string
	Hint string
}

// Error is the message with its hint.
func (e RuleError) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + " (" + e.Hint + ")"
}

// LintRule checks a rule against the facts a module declares: syntax, unknown
// facts, units, rules that can never fail. An empty rule is fine.
func LintRule(m *Module, text string) []error {
	if text == "" {
		return nil
	}
	expr, err := rule.Parse(text)
	if err != nil {
		var syntax *rule.SyntaxError
		if errors.As(err, &syntax) {
			return []error{RuleError{text, syntax.Col, syntax.Msg, syntax.Hint}}
		}
		return []error{RuleError{Rule: text, Col: 1, Msg: err.Error()}}
	}
	var problems []error
	for _, p := range expr.Lint(m.AllFacts()) {
		problems = append(problems, RuleError{text, p.Col, p.Msg, p.Hint})
	}
	return problems
}
