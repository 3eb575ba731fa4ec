package checks

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Bounds of what one result may carry. Evidence beyond them is cut with a
// mark: the journal and the screen must survive a module that found too much.
const (
	maxNoteCells  = 160
	maxErrCells   = 400
	maxTextCells  = 400
	maxLineCells  = 4096
	maxDetail     = 200
	maxDetailSize = 64 << 10
	maxRows       = 500
	maxFacts      = 2000
)

// finish turns an outcome into a Result: scrub, derive, record, judge.
func (r *Runner) finish(c Check, got outcome, at time.Time, took, waited time.Duration) Result {
	res := Result{
		ID: c.ID, Target: c.Target, At: at, Took: took, Waited: waited,
		Warn: c.Rules.Warn.Text, Fail: c.Rules.Fail.Text, RuleSource: ruleSource(c.Rules),
	}
	if c.Module != nil {
		res.Module = c.Module.Name
	}
	r.scrub(&res, got.findings)
	if got.err != nil {
		r.fail(&res, got.err)
		return res
	}
	if c.Module != nil && !r.measured(c, &res, got.findings) {
		return res
	}
	res = r.judged(c, res, at)
	if doubt := got.findings.NotUnderstood; doubt != "" && res.Level == OK {
		res.Level, res.Class, res.Err = Unknown, Parse, r.line(doubt, maxErrCells)
	}
	return res
}

// judged derives what the history adds, records and applies the rules.
func (r *Runner) judged(c Check, res Result, at time.Time) Result {
	specs := c.Module.remembered()
	res.Facts = derive(specs, r.Env().History, c.ID, res.Facts, at)
	r.record(specs, c.ID, res.Facts, at)
	verdict := Judge(c.Module, c.Rules, res.Facts)
	res.Level, res.Why, res.Undecided = verdict.Level, verdict.Why, verdict.Undecided
	if len(verdict.Undecided) > 0 {
		res.Class = NoData
		res.Err = "no value for " + strings.Join(verdict.Undecided, ", ") + ", which the rule needs"
	}
	if len(verdict.LeftOut) > 0 {
		res.Detail = append(res.Detail, "not yet known and left out of the rule: "+strings.Join(verdict.LeftOut, ", "))
	}
	return res
}

func ruleSource(rules Rules) string {
	switch {
	case rules.Fail.Source == rules.Warn.Source || rules.Warn.Text == "":
		return rules.Fail.Source
	case rules.Fail.Text == "":
		return rules.Warn.Source
	}
	return "warn: " + rules.Warn.Source + ", fail: " + rules.Fail.Source
}

func (r *Runner) fail(res *Result, err error) {
	var absent NotHere
	if errors.As(err, &absent) {
		res.Level, res.Class = Skipped, Unconfigured
	} else {
		res.Level, res.Class = Unknown, classify(err)
	}
	res.Err = r.line(err.Error(), maxErrCells)
	if res.Note == "" {
		res.Note = r.line(err.Error(), maxNoteCells)
	}
}

// line is a text redacted, clean and cut to a number of cells.
func (r *Runner) line(text string, cells int) string { return clean.Line(r.redact(text), cells) }

// scrub copies findings into the result; nothing a module reported reaches
// anybody without passing here.
func (r *Runner) scrub(res *Result, f Findings) {
	res.Note = r.line(f.Note, maxNoteCells)
	if f.Target != "" {
		res.Target = f.Target
	}
	res.Target = r.line(res.Target, maxNoteCells)
	for i, one := range f.Facts {
		if i == maxFacts {
			res.Detail = append(res.Detail, fmt.Sprintf("and %d more facts", len(f.Facts)-i))
			break
		}
		one.Label = r.line(one.Label, maxTextCells)
		one.Value = r.value(one.Value)
		res.Facts = append(res.Facts, one)
	}
	for _, p := range f.Phases {
		p.Name = r.line(p.Name, maxTextCells)
		p.Ms = float64(p.Took) / float64(time.Millisecond)
		res.Phases = append(res.Phases, p)
	}
	for _, t := range f.Tables {
		res.Tables = append(res.Tables, r.table(t))
	}
	res.Detail = append(res.Detail, r.detail(f.Detail)...)
	res.Fingerprint = r.line(f.Fingerprint, maxTextCells)
	for _, lock := range f.Locks {
		res.Locks = append(res.Locks, r.line(lock, maxTextCells))
	}
}

func (r *Runner) value(v fact.Value) fact.Value {
	if v.Type == fact.Text {
		v.Text = r.line(v.Text, maxTextCells)
	}
	return v
}

func (r *Runner) table(t Table) Table {
	scrubbed := Table{Name: r.line(t.Name, maxTextCells)}
	for _, c := range t.Columns { // a query's columns are named by its server
		c.Name, c.Unit = r.line(c.Name, maxTextCells), r.line(c.Unit, maxTextCells)
		scrubbed.Columns = append(scrubbed.Columns, c)
	}
	for i, row := range t.Rows {
		if i == maxRows {
			break
		}
		cells := make([]fact.Value, len(row))
		for j, v := range row {
			cells[j] = r.value(v)
		}
		scrubbed.Rows = append(scrubbed.Rows, cells)
	}
	return scrubbed
}

func (r *Runner) detail(lines []string) []string {
	var kept []string
	size := 0
	for i, l := range lines {
		l = r.line(l, maxLineCells)
		size += len(l)
		if i == maxDetail || size > maxDetailSize {
			return append(kept, fmt.Sprintf("and %d more lines", len(lines)-i))
		}
		kept = append(kept, l)
	}
	return kept
}

func (r *Runner) record(specs map[string]fact.Spec, check string, facts []fact.Fact, at time.Time) {
	recorder, ok := r.Env().History.(Recorder)
	if !ok {
		return
	}
	for _, f := range facts {
		if _, kept := specs[f.Name]; kept && f.Type.Numeric() {
			recorder.Record(check, f.Name, f.Label, Sample{at, f.Num})
		}
	}
}
