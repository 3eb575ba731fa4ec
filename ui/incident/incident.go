// Package incident is test support: one bad night of a site, as the monitor
// would publish it. It is not part of the binary.
//
// The disk of the database is full, because its log was turned up; the
// database rejects writes, an idle session holds up a dozen others, the API is
// slow, and a cache does not answer. Calm is the same site on a good night,
// Away the same night with the server gone, Hostile one in which every text
// tries to break the screen.
package incident

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
)

// Night is the moment of the scene.
var Night = time.Date(2026, 11, 23, 3, 7, 12, 0, time.UTC)

// A state is being built.
type state struct{ watch.State }

func check(id, module, note, history string, facts ...fact.Fact) *state {
	ticks := ticks(history)
	s := &state{watch.State{
		Check:  checks.Check{ID: id, Module: moduleOf(module, facts)},
		Result: checks.Result{ID: id, Module: module, Level: checks.OK, Note: note, Facts: facts, At: Night.Add(-2 * time.Second), Took: 3 * time.Millisecond},
		Level:  checks.OK, Raw: checks.OK, Since: Night.Add(-7 * time.Hour), Streak: 2, Need: 2,
		StaleAfter: Night.Add(time.Hour), LastOK: Night.Add(-2 * time.Second), Ticks: ticks, Trend: map[string][]float64{},
	}}
	for _, f := range facts {
		if f.Type.Numeric() {
			s.Trend[watch.TrendKey(f.Name, f.Label)] = wave(f.Num, 60)
		}
	}
	return s
}

// moduleOf declares the facts a result has, as a real module would.
func moduleOf(name string, facts []fact.Fact) *checks.Module {
	m := &checks.Module{Name: name, Doc: "a check of the scene"}
	units := map[string]string{"tps": "/s", "swap_in": "/s", "swap_out": "/s", "drops": "/s", "matches": "records", "wal_rate": "/s"}
	for _, f := range facts {
		if _, known := m.FactSpec(f.Name); !known {
			m.Facts = append(m.Facts, fact.Spec{Name: f.Name, Type: f.Type, Unit: units[f.Name], Doc: "a fact of the scene"})
		}
	}
	return m
}

// wave is a history that ends at n.
func wave(n float64, samples int) []float64 {
	list := make([]float64, samples)
	for i := range list {
		list[i] = n * (0.85 + 0.15*math.Sin(float64(i-samples+1)*0.7+math.Pi/2))
	}
	list[samples-1] = n
	return list
}

// climb is a history that was low and rose to n.
func climb(low, n float64) []float64 {
	list := make([]float64, 60)
	for i := range list {
		list[i] = low + (n-low)*math.Max(0, float64(i-44)/15)
	}
	return list
}

// ticks turns ".=#?" into verdicts.
func ticks(text string) []watch.Tick {
	levels := map[rune]checks.Level{'.': checks.OK, '=': checks.Warn, '#': checks.Crit, '?': checks.Unknown}
	var list []watch.Tick
	for i, r := range text {
		list = append(list, watch.Tick{At: Night.Add(time.Duration(i-len(text)) * 10 * time.Second), Level: levels[r]})
	}
	return list
}

// bad gives the state a level, when it began, and the rules that were broken.
func (s *state) bad(level checks.Level, since string, why ...checks.Breach) *state {
	at, err := time.Parse("15:04", since)
	if err != nil {
		panic(err) // a mistake in the scene
	}
	s.Level, s.Raw, s.Result.Level = level, level, level
	s.Since = time.Date(2026, 11, 23, at.Hour(), at.Minute(), 0, 0, time.UTC)
	s.Streak, s.Need, s.LastOK = 3, 3, s.Since
	for _, b := range why {
		b.Level, b.Source = level, "guide"
		if f, ok := s.Result.Fact(b.Fact, b.Label); ok {
			b.Value = f.Value
		}
		s.Result.Why = append(s.Result.Why, b)
	}
	return s
}

func broke(name, label, rule string) checks.Breach {
	return checks.Breach{Fact: name, Label: label, Rule: name + " " + rule}
}

// failed makes the newest run one that found nothing out.
func (s *state) failed(class checks.Class, err string) *state {
	s.Result.Facts, s.Result.Tables, s.Result.Note = nil, nil, ""
	s.Result.Class, s.Result.Err = class, err
	s.Errors = []watch.Failure{{At: s.Result.At, Class: class, Err: err}}
	return s.bad(checks.Unknown, "02:52")
}

func (s *state) trend(name string, list []float64) *state {
	s.Trend[name] = list
	return s
}

func (s *state) table(name, columns string, rows ...[]fact.Value) *state {
	t := checks.Table{Name: name, Rows: rows}
	for i, c := range strings.Fields(columns) {
		kind := fact.Text
		if len(rows) > 0 && i < len(rows[0]) {
			kind = rows[0][i].Type
		}
		t.Columns = append(t.Columns, checks.Column{Name: c, Type: kind})
	}
	s.Result.Tables = append(s.Result.Tables, t)
	return s
}

// row makes values: texts, ints as counts, float64 as percent, durations, and
// sizes.
func row(cells ...any) []fact.Value {
	values := make([]fact.Value, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case int:
			values[i] = fact.NumberValue(c)
		case float64:
			values[i] = fact.PctValue(c)
		case time.Duration:
			values[i] = fact.DurValue(c)
		case size:
			values[i] = fact.SizeValue(float64(c))
		case bool:
			values[i] = fact.FlagValue(c)
		case fact.Value:
			values[i] = c
		default:
			values[i] = fact.WordValue(fmt.Sprint(c))
		}
	}
	return values
}

// What could not be found out, and what is not there.
var (
	unknown = fact.Value{Type: fact.Percent, Num: math.NaN()}
	blank   = fact.WordValue("")
)

type size float64

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

func snapshot(states ...*state) watch.Snapshot {
	s := watch.Snapshot{Seq: 7, At: Night.Add(-time.Second)}
	for _, st := range states {
		s.States = append(s.States, st.State)
	}
	return s
}

// Full is the bad night. Checks on demand have not been looked at: see Looked.
func Full() watch.Snapshot {
	return unlooked(snapshot(append(append(services(), host()...), database()...)...))
}

// unlooked adds the checks on demand, of which nothing is known.
func unlooked(s watch.Snapshot) watch.Snapshot {
	for _, st := range demanded() {
		s.States = append(s.States, watch.State{Check: st.Check})
	}
	return s
}

// Looked is the snapshot in which checks on demand are looked at and have
// answered: those named, without names all.
func Looked(s watch.Snapshot, ids ...string) watch.Snapshot {
	s.States = slices.Clone(s.States)
	for _, st := range demanded() {
		if i := slices.IndexFunc(s.States, func(have watch.State) bool { return have.Check.ID == st.Check.ID }); i >= 0 && (len(ids) == 0 || slices.Contains(ids, st.Check.ID)) {
			s.States[i] = st.State
			s.States[i].Looked = true
		}
	}
	s.Seq++
	return s
}

// Away is the bad night with the database server gone, after Full.
func Away() watch.Snapshot {
	db := database()
	reason := "dial tcp 127.0.0.1:5432: connect: connection refused"
	for _, s := range db {
		if s.Check.ID == "pg.ping" {
			s.Result.Facts = []fact.Fact{fact.Flag("ok", false), fact.Word("reason", reason)}
			s.Result.Note, s.Result.Why = reason, nil
			s.bad(checks.Crit, "03:05", broke("ok", "", "== false"))
			continue
		}
		s.failed(checks.Refused, reason)
		s.HeldBy = "pg.ping"
	}
	site := services()
	for _, s := range site {
		if s.Check.ID == "db" {
			s.Result.Facts, s.Result.Note = []fact.Fact{fact.Flag("ok", false), fact.Word("reason", reason)}, reason
			s.bad(checks.Crit, "03:05", broke("ok", "", "== false"))
		}
	}
	s := unlooked(snapshot(append(append(site, host()...), db...)...))
	s.Seq++
	return s
}

// Calm is a good night: every check is ok.
func Calm() watch.Snapshot {
	s := Full()
	for i := range s.States {
		st := &s.States[i]
		if st.Level == checks.Skipped || st.Check.OnDemand {
			continue
		}
		for _, b := range st.Result.Why {
			soothe(st, b.Fact, b.Label)
		}
		if len(st.Result.Why) > 0 {
			st.Result.Note = ""
		}
		st.Level, st.Raw, st.Result.Level, st.Result.Why = checks.OK, checks.OK, checks.OK, nil
		st.HeldBy, st.Stuck, st.Running, st.Flapping, st.Streak, st.Need = "", false, time.Time{}, false, 2, 2
		st.Since, st.Ticks = Night.Add(-7*time.Hour), ticks(strings.Repeat(".", 60))
	}
	return s
}

// soothe makes a fact that broke a rule a tenth of what it was.
func soothe(st *watch.State, name, label string) {
	for i := range st.Result.Facts {
		if f := &st.Result.Facts[i]; f.Name == name && f.Label == label && f.Type.Numeric() {
			if f.Num /= 10; f.Type == fact.Count {
				f.Num = math.Floor(f.Num)
			}
			st.Trend[watch.TrendKey(name, label)] = wave(f.Num, 60)
		}
		if f := &st.Result.Facts[i]; f.Name == name && f.Type == fact.Bool {
			f.Num = 1 - f.Num
		}
	}
}

// Hostile is the bad night in which every text is an attack and every number
// is none.
func Hostile() watch.Snapshot {
	evils := []string{
		"\x1b[2J\x1b]0;owned\x07", "tab\there\rback\nnewline", strings.Repeat("中文", 100), "e\u0301\u200d\u202e\ufe0f \U0001f469\u200d\U0001f4bb",
		"\xff\xfe bad utf-8", strings.Repeat("x", 5000), "\u0085\u009b31m C1", "", "\ufeffBOM\u2066isolate",
	}
	numbers := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1e300, 100}
	s := Looked(Full())
	for i := range s.States {
		st := &s.States[i]
		evil := evils[i%len(evils)]
		st.Check.Title, st.Result.Note, st.Result.Target, st.HeldBy = evil, evil, evil, ""
		st.Result.Detail = []string{evil}
		if i%4 == 3 {
			st.Result.Err, st.Result.Class = evil, "timeout"
		}
		for j := range st.Result.Facts {
			f := &st.Result.Facts[j]
			f.Num, f.Text = numbers[j%len(numbers)], evil
			if f.Label != "" {
				f.Label = evil + fmt.Sprint(j)
			}
		}
		for j := range st.Result.Why {
			st.Result.Why[j].Label, st.Result.Why[j].Rule = evil, evil
		}
		for _, t := range st.Result.Tables {
			for _, r := range t.Rows {
				for c := range r {
					r[c].Num, r[c].Text = numbers[c%len(numbers)], evil
				}
			}
		}
	}
	return s
}
