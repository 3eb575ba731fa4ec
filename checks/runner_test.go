package checks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// found makes a module that reports what run does, judged by the given rules.
func found(warn, fail string, run func(context.Context, Env) (Findings, error)) *Module {
	return &Module{
		Name: "test.probe", Doc: "what a test says", Source: "test", Warn: warn, Fail: fail,
		Facts: []fact.Spec{
			{Name: "used", Type: fact.Percent, Doc: "share used", Worse: fact.Higher, Label: "mount"},
			{Name: "ok", Type: fact.Bool, Doc: "whether it answered"},
			{Name: "count", Type: fact.Count, Doc: "how many", Usual: true, Growth: true},
		},
		Run: func(ctx context.Context, env Env, _ Args) (Findings, error) { return run(ctx, env) },
	}
}

func reporting(facts ...fact.Fact) func(context.Context, Env) (Findings, error) {
	return func(context.Context, Env) (Findings, error) { return Findings{Facts: facts}, nil }
}

func failing(err error) func(context.Context, Env) (Findings, error) {
	return func(context.Context, Env) (Findings, error) { return Findings{}, err }
}

func TestTheRunnerJudgesWhatAModuleFound(t *testing.T) {
	tests := []struct {
		name       string
		warn, fail string
		run        func(context.Context, Env) (Findings, error)
		want       Level
		class      Class
		says       string
	}{
		{"nothing is wrong", "used > 80%", "used > 90%", reporting(fact.Pct("used", 40).On("/")), OK, "", ""},
		{"exactly the limit passes", "used > 80%", "", reporting(fact.Pct("used", 80).On("/")), OK, "", ""},
		{"the worst label decides", "used > 80%", "used > 90%", reporting(fact.Pct("used", 85).On("/"), fact.Pct("used", 95).On("/var")), Crit, "", ""},
		{"warn alone", "used > 80%", "used > 90%", reporting(fact.Pct("used", 85).On("/")), Warn, "", ""},
		{"a fact that is not there is never a pass", "", "ok == false", reporting(), Unknown, NoData, "no value for ok"},
		{"an open fail outranks a true warn", "used > 80%", "ok == false", reporting(fact.Pct("used", 85).On("/")), Unknown, NoData, "ok"},
		{"a true fail outranks what is missing", "ok == false", "used > 90%", reporting(fact.Pct("used", 95).On("/")), Crit, "", ""},
		{"no rules judge nothing", "", "", reporting(), OK, "", ""},
		{"an error is unknown", "", "", failing(errors.New("cannot say")), Unknown, Other, "cannot say"},
		{"no permission is unknown", "", "", failing(fmt.Errorf("reading: %w", fs.ErrPermission)), Unknown, Denied, "permission"},
		{"a missing file is unknown", "", "", failing(fmt.Errorf("reading: %w", fs.ErrNotExist)), Unknown, Missing, "not exist"},
		{"a thing the site lacks is skipped", "", "", failing(NotHere{"no redis here"}), Skipped, Unconfigured, "no redis here"},
		{"a class given is kept", "", "", failing(Failed(Parse, "line 3 is odd")), Unknown, Parse, "line 3"},
		{"a panic is ours, and unknown", "", "", func(context.Context, Env) (Findings, error) { panic("boom") }, Unknown, Internal, "boom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := found(tt.warn, tt.fail, tt.run)
			res := NewRunner(Env{}, nil).Run(t.Context(), Check{ID: "x", Module: m, Rules: m.DefaultRules()})
			if res.Level != tt.want || res.Class != tt.class || !strings.Contains(res.Err, tt.says) {
				t.Errorf("got %v, class %q, error %q; want %v, %q, ...%q", res.Level, res.Class, res.Err, tt.want, tt.class, tt.says)
			}
		})
	}
}

func TestACheckWithoutAModuleIsAnInternalError(t *testing.T) {
	if res := NewRunner(Env{}, nil).Run(t.Context(), Check{ID: "x"}); res.Level != Unknown || res.Class != Internal {
		t.Errorf("got %v, %q", res.Level, res.Class)
	}
}

func TestTheBreachNamesFactLabelRuleAndSource(t *testing.T) {
	m := found("used > 80%", "", reporting(fact.Pct("used", 84.2).On("/var")))
	rules := Rules{Warn: Rule{"used > 80%", "opsdeck.yaml:40:12"}}
	res := NewRunner(Env{}, nil).Run(t.Context(), Check{ID: "x", Module: m, Rules: rules})
	if len(res.Why) != 1 {
		t.Fatalf("why: %+v", res.Why)
	}
	b := res.Why[0]
	if b.Fact != "used" || b.Label != "/var" || b.Value.Num != 84.2 || b.Rule != "used > 80%" || b.Level != Warn || b.Source != "opsdeck.yaml:40:12" {
		t.Errorf("got %+v", b)
	}
}

func TestACallThatIgnoresItsDeadlineIsAbandonedAndNotStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var started atomic.Int32
		m := found("", "", func(context.Context, Env) (Findings, error) {
			started.Add(1)
			<-release
			return Findings{}, nil
		})
		r := NewRunner(Env{}, nil)
		c := Check{ID: "x", Module: m, Timeout: time.Second}
		if res := r.Run(t.Context(), c); res.Level != Unknown || res.Class != Timeout {
			t.Errorf("the hanging run is %v, %q", res.Level, res.Class)
		}
		if r.Abandoned() != 1 {
			t.Errorf("%d abandoned calls, want 1", r.Abandoned())
		}
		if res := r.Run(t.Context(), c); res.Class != Timeout || started.Load() != 1 {
			t.Errorf("while it hangs the check is %q and was started %d times", res.Class, started.Load())
		}
		close(release)
		synctest.Wait()
		if res := r.Run(t.Context(), c); res.Level != OK || r.Abandoned() != 0 {
			t.Errorf("after its return the check is %v with %d abandoned", res.Level, r.Abandoned())
		}
	})
}

func TestNoMoreThanTwoRunsAtOneTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		m := found("", "", func(context.Context, Env) (Findings, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return Findings{}, nil
		})
		m.Reach, m.Kind = Network, "postgres"
		r := NewRunner(Env{}, nil)
		done := make(chan Result)
		for i := range 6 {
			go func() { done <- r.Run(t.Context(), Check{ID: fmt.Sprint(i), Module: m}) }()
		}
		var waited time.Duration
		for range 6 {
			waited = max(waited, (<-done).Waited)
		}
		if most.Load() != perTarget {
			t.Errorf("%d at once, want %d", most.Load(), perTarget)
		}
		if waited != 2*time.Second {
			t.Errorf("the last one waited %v, want 2s: waiting is not part of the deadline", waited)
		}
	})
}

// TestHangingCallsKeepTheirTargetAndNothingElse: a target that answers nobody
// gets no third call, and its checks do not take the slots of others.
func TestHangingCallsKeepTheirTargetAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		calls := map[string]int{}
		var mu sync.Mutex
		sick := &Module{Name: "pg.sick", Kind: "postgres", Reach: Network, Timeout: time.Second, Run: func(_ context.Context, env Env, _ Args) (Findings, error) {
			mu.Lock()
			calls[env.Check]++
			mu.Unlock()
			<-release
			return Findings{}, nil
		}}
		r := NewRunner(Env{}, nil)
		var all sync.WaitGroup
		results := make([]Result, 20)
		for i := range results {
			all.Go(func() {
				results[i] = r.Run(t.Context(), Check{ID: fmt.Sprintf("sick-%d", i), Module: sick})
			})
		}
		all.Wait()
		mu.Lock()
		begun := len(calls)
		mu.Unlock()
		if begun != 2 || r.Abandoned() != 2 {
			t.Errorf("%d calls at one target, %d abandoned", begun, r.Abandoned())
		}
		late := 0
		for _, res := range results {
			if res.Level != Unknown || res.Class != Timeout {
				t.Errorf("%s: %v %q", res.ID, res.Level, res.Err)
			}
			if strings.Contains(res.Err, "not begun within 30 s") {
				late++
			}
		}
		if late != 18 {
			t.Errorf("%d were told that they had not begun", late)
		}
		well := &Module{Name: "http.well", Reach: Network, Timeout: time.Second, Run: func(context.Context, Env, Args) (Findings, error) {
			return Findings{}, nil
		}}
		if res := r.Run(t.Context(), Check{ID: "well", Module: well}); res.Err != "" {
			t.Errorf("another target: %s", res.Err)
		}
		close(release)
		synctest.Wait()
		if res := r.Run(t.Context(), Check{ID: "sick-0", Module: sick}); res.Err != "" {
			t.Errorf("after they returned: %s", res.Err)
		}
	})
}

func TestNothingHostileOrSecretLeavesTheRunner(t *testing.T) {
	evil := "\x1b]52;c;AAAA\x07\rok \u202e hunter2-secret"
	m := found("", "", func(context.Context, Env) (Findings, error) {
		return Findings{
			Note: evil, Target: evil, Detail: []string{evil},
			Facts:  []fact.Fact{fact.Pct("used", 1).On(evil)},
			Tables: []Table{{Name: "t", Columns: []Column{{Name: "c", Type: fact.Text}}, Rows: [][]fact.Value{{fact.WordValue(evil)}}}},
			Phases: []Phase{{Name: evil}},
		}, errors.New(evil)
	})
	res := NewRunner(Env{}, hiding("hunter2-secret")).Run(t.Context(), Check{ID: "x", Module: m})
	raw, err := res.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`\u001b`, `\r`, `\u0007`, "\u202e", "hunter2"} {
		if strings.Contains(string(raw), bad) {
			t.Errorf("%q is in the result: %s", bad, raw)
		}
	}
}

// hiding redacts one word.
type hiding string

func (h hiding) Redact(text string) string { return strings.ReplaceAll(text, string(h), "[redacted]") }

func TestEvidenceIsBounded(t *testing.T) {
	m := found("", "", func(context.Context, Env) (Findings, error) {
		return Findings{Detail: make([]string, 100_000), Note: strings.Repeat("x", 1<<20)}, nil
	})
	res := NewRunner(Env{}, nil).Run(t.Context(), Check{ID: "x", Module: m})
	if len(res.Detail) != maxDetail+1 || res.Detail[maxDetail] != "and 99800 more lines" {
		t.Errorf("%d lines, the last is %q", len(res.Detail), res.Detail[len(res.Detail)-1])
	}
	if len(res.Note) > 4*maxNoteCells {
		t.Errorf("a note of %d bytes", len(res.Note))
	}
}

func TestResultsSurviveJSON(t *testing.T) {
	m := found("used > 80%", "used > 90%", func(context.Context, Env) (Findings, error) {
		return Findings{
			Note: "84 % used", Target: "/var", Detail: []string{"a line"},
			Facts:  []fact.Fact{fact.Pct("used", 84.2).On("/var"), fact.Flag("ok", true)},
			Tables: []Table{{Name: "t", Columns: []Column{{"size", fact.Bytes, ""}, {"at", fact.Time, ""}}, Rows: [][]fact.Value{{fact.SizeValue(10), fact.TimeValue(time.Unix(5, 0).UTC())}}}},
			Phases: []Phase{{Name: "dns", Took: 1500 * time.Microsecond}},
		}, nil
	})
	now := func() time.Time { return time.Date(2026, 11, 23, 3, 7, 12, 345e6, time.UTC) }
	want := NewRunner(Env{Now: now}, nil).Run(t.Context(), Check{ID: "x", Module: m, Rules: m.DefaultRules()})
	want.Took = 3 * time.Millisecond
	want.Waited = 0
	raw, err := want.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := got.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	again, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(raw) {
		t.Errorf("came back as\n%s\nwant\n%s", again, raw)
	}
}

// pastWeek is a history of one fact: the same value at this hour every day.
type pastWeek struct {
	now   time.Time
	days  int
	value float64
}

func (p pastWeek) Series(check, name, label string, since time.Time) []Sample {
	var samples []Sample
	for d := p.days; d > 0; d-- {
		if at := p.now.AddDate(0, 0, -d); at.After(since) {
			samples = append(samples, Sample{at, p.value})
		}
	}
	return samples
}

func TestUsualAndGrowthNeedEnoughHistory(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		days int
		want map[string]float64
	}{
		{0, nil},
		{2, nil},
		{3, map[string]float64{"count_usual": 10, "count_ratio": 300}},
		{7, map[string]float64{"count_usual": 10, "count_ratio": 300, "count_growth": 200}},
	}
	for _, tt := range tests {
		m := found("", "count_ratio > 400%", reporting(fact.Number("count", 30)))
		env := Env{History: pastWeek{now, tt.days, 10}, Now: func() time.Time { return now }}
		res := NewRunner(env, nil).Run(t.Context(), Check{ID: "x", Module: m, Rules: m.DefaultRules()})
		if res.Level != OK {
			t.Errorf("%d days: %v %s", tt.days, res.Level, res.Err)
		}
		got := map[string]float64{}
		for _, f := range res.Facts {
			if f.Name != "count" {
				got[f.Name] = f.Num
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) && len(got)+len(tt.want) > 0 {
			t.Errorf("%d days of history give %v, want %v", tt.days, got, tt.want)
		}
		if notYet := len(res.Detail) > 0 && strings.Contains(res.Detail[0], "count_ratio"); notYet != (tt.days < 3) {
			t.Errorf("%d days: what is left out is said: %v", tt.days, res.Detail)
		}
	}
}

func TestARegistryRefusesWhatItCannotServe(t *testing.T) {
	whole := found("", "", reporting())
	twice := found("", "", reporting())
	nameless := &Module{Name: "x"}
	mutating := found("", "", reporting())
	mutating.Name, mutating.Effect = "test.change", Destructive
	_, err := NewRegistry(Family{Name: "test", Modules: []*Module{whole, twice, nameless, mutating}})
	for _, says := range []string{"test.probe is registered twice", `not "family.subject"`, "needs Preview, Probe and a danger level"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}
