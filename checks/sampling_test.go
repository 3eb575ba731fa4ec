package checks

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// ticking is a module by difference: a counter goes up by 10 a second.
func ticking(least time.Duration) *Module {
	return &Module{
		Name: "test.rate", Facts: []fact.Spec{{Name: "rate", Type: fact.Count}}, Fail: "rate > 5", Least: least, Window: time.Minute,
		Run: func(_ context.Context, env Env, _ Args) (Findings, error) {
			now := Reading[float64]{env.Now(), 10 * float64(env.Now().UnixMilli()) / 1000}
			before, known := Baseline(env.Memory, "ticks", now, least, time.Minute, nil)
			if !known {
				before = now
				time.Sleep(500 * time.Millisecond)
				now = Reading[float64]{env.Now(), 10 * float64(env.Now().UnixMilli()) / 1000}
			}
			over := now.At.Sub(before.At)
			return Findings{Over: over, Note: "ticks", Facts: []fact.Fact{fact.Number("rate", (now.Values-before.Values)/over.Seconds())}}, nil
		},
	}
}

func TestACheckByDifferenceJudgesOverItsLeastOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wait  time.Duration
		level Level
		over  time.Duration
		says  string
	}{
		"a monitor":           {0, Unknown, 500 * time.Millisecond, "collecting 0/4 s"},
		"no time to wait":     {time.Second, Unknown, 1500 * time.Millisecond, "only 1.5 s of data, needs 4 s"},
		"the time by default": {DefaultWait, Crit, 4100 * time.Millisecond, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := NewRunner(Env{Wait: tt.wait}, nil)
			check, problems := NewCheck(ticking(4*time.Second), "rate", nil, Rules{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			res := r.Run(t.Context(), check)
			if res.Level != tt.level || res.Over != tt.over || res.Err != tt.says || res.Collecting != (tt.level == Unknown) {
				t.Errorf("%s: %v over %v %q", name, res.Level, res.Over, res.Err)
			}
			if !strings.Contains(res.Note, "ticks, over ") || len(res.Facts) == 0 {
				t.Errorf("%s: note %q, %d facts", name, res.Note, len(res.Facts))
			}
		})
	}
}

// TestAMonitorCollects: its samples add up until there is a level.
func TestAMonitorCollects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(Env{}, nil)
		check, _ := NewCheck(ticking(4*time.Second), "rate", nil, Rules{})
		var levels []Level
		for range 4 {
			levels = append(levels, r.Run(t.Context(), check).Level)
			time.Sleep(2 * time.Second)
		}
		if levels[0] != Unknown || levels[1] != Unknown || levels[2] != Crit || levels[3] != Crit {
			t.Errorf("levels %v", levels)
		}
	})
}

// TestChecksWaitTogether: they hold no slot while they wait, so twenty at one
// target take no longer than one.
func TestChecksWaitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(Env{Wait: DefaultWait}, nil)
		m := ticking(4 * time.Second)
		m.Reach, m.Kind = Network, "postgres"
		began := time.Now()
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				check, _ := NewCheck(m, "rate "+string(rune('a'+i)), nil, Rules{})
				if res := r.Run(t.Context(), check); res.Level != Crit {
					t.Errorf("%v %s", res.Level, res.Err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("six checks took %v", took)
		}
	})
}

func TestTheBaselineIsTheNewestThatIsOldEnough(t *testing.T) {
	t.Parallel()
	m, start := &Memory{}, time.Unix(1e9, 0)
	look := func(seconds int, value int) (int, bool) {
		follows := func(older, newer int) bool { return newer >= older }
		r, known := Baseline(m, "x", Reading[int]{start.Add(time.Duration(seconds) * time.Second), value}, 4*time.Second, time.Minute, follows)
		return r.Values, known
	}
	for _, step := range []struct {
		at, value, want int
		known           bool
	}{
		{0, 1, 0, false}, {2, 2, 1, true}, {4, 3, 1, true}, {6, 4, 2, true}, {20, 5, 4, true},
		{22, 1, 0, false},   // the counter went back
		{26, 9, 1, true},    // and is compared with what came after
		{300, 10, 0, false}, // everything is too old
	} {
		if got, known := look(step.at, step.value); got != step.want || known != step.known {
			t.Errorf("at %d s: %d %v, want %d %v", step.at, got, known, step.want, step.known)
		}
	}
}

func TestCountersSinceTheirResetSayIt(t *testing.T) {
	t.Parallel()
	m := &Module{Name: "test.since", Window: time.Hour, SinceReset: true, Run: func(_ context.Context, env Env, _ Args) (Findings, error) {
		return Findings{Note: "2 slow", Since: env.Now().Add(-12 * 24 * time.Hour)}, nil
	}}
	res := NewRunner(Env{}, nil).Run(t.Context(), Check{ID: "since", Module: m})
	if res.Note != "2 slow, since the statistics were reset 12 d ago" || res.Level != OK || res.Since.IsZero() {
		t.Errorf("%v %q", res.Level, res.Note)
	}
}
