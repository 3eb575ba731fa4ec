package checks

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks/rule"
)

// Own is what one action has to itself while it is previewed, done and looked
// at again: the fields of Env of the same names.
type Own = Env

// Preview asks an action what it would do. Nothing is judged: the level is ok
// if the action could be begun and unknown or skipped, with the reason, if not.
func (r *Runner) Preview(ctx context.Context, c Check, own Own) Result {
	return r.aside(ctx, c, own, c.Module.Preview, func(res *Result) { res.Level = OK })
}

// Probe looks from outside whether an action was done, and judges what it
// finds by the rule verify, the module's own if that is empty: ok if it holds,
// crit if it does not, unknown if that cannot be told.
func (r *Runner) Probe(ctx context.Context, c Check, own Own, verify Rule) Result {
	if verify.Text == "" {
		verify = Rule{Text: c.Module.Verify, Source: c.Module.Name}
	}
	if verify.Text == "" {
		verify = Rule{Text: "done == true", Source: c.Module.Name}
	}
	return r.aside(ctx, c, own, c.Module.Probe, func(res *Result) {
		res.Fail, res.Warn, res.RuleSource = "not ("+verify.Text+")", "", verify.Source
		v := Holds(c.Module, verify, *res)
		res.Level, res.Why, res.Undecided = v.Level, v.Why, v.Undecided
		if v.Level == Unknown {
			res.Class, res.Err = NoData, "it cannot be told whether "+verify.Text
		}
	})
}

// Act does what an action does. It is called in a process of its own and
// needs no slot; deadline, panics, scrubbing and judgement are those of Run.
func (r *Runner) Act(ctx context.Context, c Check, own Own) Result {
	began := time.Now()
	got := r.call(ctx, c, c.Module.Run, own, actGrace, func() {})
	return r.finish(c, got, r.Env().Now(), time.Since(began), 0)
}

// aside runs a module's function that is not Run; its facts are neither
// recorded as history nor judged by the check's rules.
func (r *Runner) aside(ctx context.Context, c Check, own Own, do phase, judge func(*Result)) Result {
	began := time.Now()
	res := Result{ID: c.ID, Module: c.Module.Name, Target: c.Target}
	if do == nil {
		r.fail(&res, Failed(Internal, "%s cannot be asked that", c.Module.Name))
		return res
	}
	c.ID += "#aside" // a hanging check must not keep its preview from being asked
	got := r.call(ctx, c, do, own, grace, func() {})
	res.At, res.Took = r.Env().Now(), time.Since(began)
	r.scrub(&res, got.findings)
	if got.err != nil {
		r.fail(&res, got.err)
		return res
	}
	judge(&res)
	return res
}

// Holds judges facts by a rule that must be true: ok if it is, crit if it is
// not, unknown if a fact it needs is absent, an optional one too.
func Holds(m *Module, must Rule, res Result) Verdict {
	v, err := evaluate(must.Text, res.Facts, m.AllFacts())
	switch {
	case err != nil:
		return Verdict{Level: Unknown, Undecided: []string{err.Error()}}
	case v.Truth == rule.False:
		return Verdict{Level: Crit, Why: breaches(v.Decided, must, Crit)}
	case v.Truth == rule.Undecided || len(v.LeftOut) > 0:
		return Verdict{Level: Unknown, Undecided: compact(append(v.Missing, v.LeftOut...))}
	}
	return Verdict{Level: OK, Why: breaches(v.Decided, must, OK)}
}
