package checks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// resultWire is a Result in JSON, the contract of "check --json" and
// "triage --json" and the form a result has in the journal. Fields may be
// added, never renamed.
type resultWire struct {
	ID         string      `json:"id"`
	Module     string      `json:"module"`
	Target     string      `json:"target"`
	Level      Level       `json:"level"`
	Facts      []fact.Fact `json:"facts"`
	Why        []Breach    `json:"why"`
	Undecided  []string    `json:"undecided,omitempty"`
	Note       string      `json:"note"`
	Err        string      `json:"error"`
	Class      Class       `json:"class"`
	At         string      `json:"at"`
	TookMs     float64     `json:"took_ms"`
	WaitedMs   float64     `json:"waited_ms,omitempty"`
	OverMs     float64     `json:"over_ms,omitempty"`
	Since      string      `json:"since,omitempty"`
	Collecting bool        `json:"collecting,omitempty"`
	Phases     []Phase     `json:"phases,omitempty"`
	Detail     []string    `json:"detail,omitempty"`
	Tables     []tableWire `json:"tables,omitempty"`
	Warn       string      `json:"warn,omitempty"`
	Fail       string      `json:"fail,omitempty"`
	RuleSource string      `json:"rule_source,omitempty"`

	Fingerprint string   `json:"fingerprint,omitempty"`
	Locks       []string `json:"locks,omitempty"`
}

type tableWire struct {
	Name    string       `json:"name"`
	Columns []columnWire `json:"columns"`
	Rows    [][]any      `json:"rows"`
}

type columnWire struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Unit string `json:"unit,omitempty"`
}

// timeLayout is RFC 3339 with milliseconds and zone.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON writes the documented form: durations in milliseconds, sizes in
// bytes, ratios as percent numbers, times in RFC 3339 with zone.
func (r Result) MarshalJSON() ([]byte, error) {
	w := resultWire{
		ID: r.ID, Module: r.Module, Target: r.Target, Level: r.Level,
		Facts: r.Facts, Why: r.Why, Undecided: r.Undecided,
		Note: r.Note, Err: r.Err, Class: r.Class,
		At: r.At.Format(timeLayout), TookMs: milliseconds(r.Took), WaitedMs: milliseconds(r.Waited),
		Phases: r.Phases, Detail: r.Detail, Warn: r.Warn, Fail: r.Fail, RuleSource: r.RuleSource,
		Fingerprint: r.Fingerprint, Locks: r.Locks,
		OverMs: milliseconds(r.Over), Collecting: r.Collecting,
	}
	if !r.Since.IsZero() {
		w.Since = r.Since.Format(timeLayout)
	}
	if w.Facts == nil {
		w.Facts = []fact.Fact{}
	}
	if w.Why == nil {
		w.Why = []Breach{}
	}
	for _, t := range r.Tables {
		w.Tables = append(w.Tables, wireTable(t))
	}
	return unescaped(w)
}

// unescaped is JSON in which a rule reads "used > 80%" and not "used \u003e 80%".
func unescaped(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// milliseconds keeps microseconds and no more, so that output is short.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

func wireTable(t Table) tableWire {
	w := tableWire{Name: t.Name, Rows: make([][]any, len(t.Rows))}
	for _, c := range t.Columns {
		w.Columns = append(w.Columns, columnWire{c.Name, c.Type.String(), c.Unit})
	}
	for i, row := range t.Rows {
		w.Rows[i] = make([]any, len(row))
		for j, v := range row {
			w.Rows[i][j] = v.JSON()
		}
	}
	return w
}

// UnmarshalJSON reads what MarshalJSON wrote; times keep milliseconds.
func (r *Result) UnmarshalJSON(raw []byte) error {
	var w resultWire
	if err := json.Unmarshal(raw, &w); err != nil {
		return fmt.Errorf("decoding a result: %w", err)
	}
	at, err := time.Parse(time.RFC3339, w.At)
	if err != nil {
		return fmt.Errorf("decoding result %q: %w", w.ID, err)
	}
	*r = Result{
		ID: w.ID, Module: w.Module, Target: w.Target, Level: w.Level,
		Facts: w.Facts, Why: w.Why, Undecided: w.Undecided,
		Note: w.Note, Err: w.Err, Class: w.Class, At: at,
		Took: time.Duration(w.TookMs * float64(time.Millisecond)), Waited: time.Duration(w.WaitedMs * float64(time.Millisecond)),
		Phases: w.Phases, Detail: w.Detail, Warn: w.Warn, Fail: w.Fail, RuleSource: w.RuleSource,
		Fingerprint: w.Fingerprint, Locks: w.Locks,
		Over: time.Duration(w.OverMs * float64(time.Millisecond)), Collecting: w.Collecting,
	}
	if w.Since != "" {
		if r.Since, err = time.Parse(time.RFC3339, w.Since); err != nil {
			return fmt.Errorf("decoding result %q: %w", w.ID, err)
		}
	}
	for i := range r.Phases {
		r.Phases[i].Took = time.Duration(r.Phases[i].Ms * float64(time.Millisecond))
	}
	for _, t := range w.Tables {
		table, err := unwireTable(t)
		if err != nil {
			return fmt.Errorf("decoding table %q of result %q: %w", t.Name, w.ID, err)
		}
		r.Tables = append(r.Tables, table)
	}
	return nil
}

func unwireTable(w tableWire) (Table, error) {
	t := Table{Name: w.Name}
	for _, c := range w.Columns {
		kind, err := fact.ParseType(c.Type)
		if err != nil {
			return Table{}, err
		}
		t.Columns = append(t.Columns, Column{c.Name, kind, c.Unit})
	}
	for _, row := range w.Rows {
		cells := make([]fact.Value, len(row))
		for j, raw := range row {
			if j >= len(t.Columns) {
				return Table{}, fmt.Errorf("a row has %d cells for %d columns", len(row), len(t.Columns))
			}
			v, err := fact.FromJSON(t.Columns[j].Type, raw)
			if err != nil {
				return Table{}, err
			}
			cells[j] = v
		}
		t.Rows = append(t.Rows, cells)
	}
	return t, nil
}
