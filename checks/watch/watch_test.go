package watch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a Runner that plays results by check id, the last for ever.
type script struct {
	mu    sync.Mutex
	plays map[string][]checks.Result
	runs  map[string][]time.Time
	takes time.Duration
}

func (s *script) Run(ctx context.Context, c checks.Check) checks.Result {
	s.mu.Lock()
	if s.runs == nil {
		s.runs = map[string][]time.Time{}
	}
	s.runs[c.ID] = append(s.runs[c.ID], time.Now())
	play := s.plays[c.ID]
	var res checks.Result
	if len(play) > 0 {
		res = play[0]
	}
	if len(play) > 1 {
		s.plays[c.ID] = play[1:]
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(s.takes):
	}
	res.ID, res.At = c.ID, time.Now()
	return res
}

func (s *script) Abandoned() int { return 0 }

func (s *script) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs[id])
}

func level(l checks.Level) checks.Result { return checks.Result{Level: l} }

var module = &checks.Module{Name: "test.probe", Timeout: 3 * time.Second}

func check(id string, every time.Duration, needs ...string) checks.Check {
	return checks.Check{ID: id, Module: module, Every: every, Needs: needs}
}

// watched runs a monitor for some virtual time and hands it to the test.
func watched(t *testing.T, s *script, cs []checks.Check, play func(m *Monitor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := NewMonitor(s, cs)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		play(m)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func state(t *testing.T, m *Monitor, id string) State {
	t.Helper()
	s, ok := m.Snapshot().State(id)
	if !ok {
		t.Fatalf("no state of %s", id)
	}
	return s
}

func TestTheFirstSampleCountsAtOnce(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{"a": {level(checks.Crit)}}, takes: time.Millisecond}
	watched(t, s, []checks.Check{check("a", time.Minute)}, func(m *Monitor) {
		if state(t, m, "a").Known() {
			t.Error("a check that never ran is known")
		}
		time.Sleep(time.Second)
		if got := state(t, m, "a"); got.Level != checks.Crit {
			t.Errorf("after its first sample the level is %v", got.Level)
		}
	})
}

func TestAWorseLevelNeedsThreeSamplesAndABetterOneTwo(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{"a": {
		level(checks.OK), level(checks.Crit), level(checks.Crit), level(checks.Crit), level(checks.OK), level(checks.OK),
	}}}
	watched(t, s, []checks.Check{check("a", time.Minute)}, func(m *Monitor) {
		var seen []string
		for last := 0; last < 6; {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := s.count("a"); n > last {
				st := state(t, m, "a")
				last = n
				seen = append(seen, fmt.Sprintf("%v %d/%d", st.Level, st.Streak, st.Need))
			}
		}
		want := "ok 1/1, ok 1/3, ok 2/3, crit 3/3, crit 1/2, ok 2/2"
		if got := strings.Join(seen, ", "); got != want {
			t.Errorf("levels were %s, want %s", got, want)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if recheck := s.runs["a"][2].Sub(s.runs["a"][1]); recheck > 3*time.Second {
			t.Errorf("while confirming the next sample came after %v", recheck)
		}
	})
}

func TestConfirmationNeverInventsALevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		levels := rapid.SliceOfN(rapid.SampledFrom([]checks.Level{checks.OK, checks.Warn, checks.Crit, checks.Unknown}), 1, 60).Draw(t, "samples")
		k := newConfirmation(checks.Check{})
		var now checks.Level
		for i, raw := range levels {
			before := now
			now, _, _ = k.next(now, raw, i == 0)
			seen := map[checks.Level]bool{}
			for _, l := range levels[:i+1] {
				seen[l] = true
			}
			if !seen[now] {
				t.Fatalf("level %v was never sampled in %v", now, levels[:i+1])
			}
			if i > 0 && now.Worse(before) && !k.flapping {
				for _, l := range levels[i+1-defaultConfirm : i+1] {
					if now.Worse(l) {
						t.Fatalf("raised to %v by %v", now, levels[:i+1])
					}
				}
			}
		}
	})
}

func TestAFlappingCheckStaysAtItsWorst(t *testing.T) {
	k := newConfirmation(checks.Check{})
	now := checks.OK
	for i := range 30 {
		now, _, _ = k.next(now, []checks.Level{checks.OK, checks.Crit}[i%2], i == 0)
	}
	if !k.flapping || now != checks.Crit {
		t.Errorf("after 30 changes: flapping %v, level %v", k.flapping, now)
	}
	for range 40 {
		now, _, _ = k.next(now, checks.OK, false)
	}
	if k.flapping || now != checks.OK {
		t.Errorf("after 40 good samples: flapping %v, level %v", k.flapping, now)
	}
}

func TestACheckIsHeldByTheRootOfWhatItNeeds(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{
		"disk": {level(checks.Crit)}, "db": {level(checks.Crit)}, "api": {level(checks.Crit)}, "web": {level(checks.OK)}, "mail": {level(checks.Warn)},
	}}
	cs := []checks.Check{
		check("api", time.Minute, "db"), check("web", time.Minute, "db"), check("db", time.Minute, "disk"), check("disk", time.Minute), check("mail", time.Minute),
	}
	watched(t, s, cs, func(m *Monitor) {
		time.Sleep(time.Second)
		var order []string
		for _, st := range m.Snapshot().WorstFirst(time.Now()) {
			order = append(order, st.Check.ID+"<"+st.HeldBy)
		}
		if got, want := strings.Join(order, " "), "disk< api<disk db<disk mail<"; got != want {
			t.Errorf("worst first is %q, want %q", got, want)
		}
		if snap := m.Snapshot(); snap.Held() != 2 || snap.Counts(time.Now())[checks.Crit] != 1 {
			t.Errorf("held %d, counts %v", snap.Held(), snap.Counts(time.Now()))
		}
	})
}

func TestACycleOfNeedsEndsTheSearch(t *testing.T) {
	states := []State{
		{Check: check("a", 0, "b"), Level: checks.Crit, Result: checks.Result{At: time.Unix(1, 0)}},
		{Check: check("b", 0, "a"), Level: checks.Crit, Result: checks.Result{At: time.Unix(1, 0)}},
	}
	hold(states)
	if states[0].HeldBy != "b" || states[1].HeldBy != "a" {
		t.Errorf("held by %q and %q", states[0].HeldBy, states[1].HeldBy)
	}
}

func TestTimeoutsBackOffAndAnAnswerEndsIt(t *testing.T) {
	hung := checks.Result{Level: checks.Unknown, Class: checks.Timeout, Err: "no answer within 3 s"}
	s := &script{plays: map[string][]checks.Result{"a": {hung}}}
	watched(t, s, []checks.Check{check("a", 10*time.Second)}, func(m *Monitor) {
		time.Sleep(5 * time.Minute)
		if n := s.count("a"); n > 7 {
			t.Errorf("a hanging check was asked %d times in 5 minutes", n)
		}
		if st := state(t, m, "a"); len(st.Errors) != keptErrors || st.Errors[0].Class != checks.Timeout {
			t.Errorf("errors kept: %+v", st.Errors)
		}
		s.mu.Lock()
		s.plays["a"] = []checks.Result{level(checks.OK)}
		s.mu.Unlock()
		before := s.count("a")
		m.Again("a")
		time.Sleep(35 * time.Second)
		if n := s.count("a") - before; n < 3 {
			t.Errorf("after it answered it was asked %d times in 35 s", n)
		}
	})
}

func TestARunInFlightIsNeverStartedTwiceAndShowsStuck(t *testing.T) {
	s := &script{takes: 8 * time.Second, plays: map[string][]checks.Result{"a": {level(checks.OK)}}}
	watched(t, s, []checks.Check{check("a", time.Second)}, func(m *Monitor) {
		time.Sleep(2 * time.Second)
		m.Again("a")
		time.Sleep(2 * time.Second)
		st := state(t, m, "a")
		if s.count("a") != 1 || st.Running.IsZero() || !st.Stuck {
			t.Errorf("%d runs, running since %v, stuck %v", s.count("a"), st.Running, st.Stuck)
		}
	})
}

func TestAnOldResultIsStale(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{"a": {level(checks.OK)}}}
	watched(t, s, []checks.Check{check("a", 10*time.Second)}, func(m *Monitor) {
		time.Sleep(time.Second)
		st := state(t, m, "a")
		if now := time.Now(); st.Stale(now) || !st.Stale(now.Add(31*time.Second)) {
			t.Errorf("stale after %v", st.StaleAfter.Sub(st.Result.At))
		}
		if counts := m.Snapshot().Counts(time.Now().Add(time.Hour)); counts[checks.OK] != 0 || counts[checks.Unknown] != 1 {
			t.Errorf("an hour later the counts are %v", counts)
		}
	})
}

func TestOnlyWhatIsWantedIsSampledWithWhatItNeeds(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{}}
	cs := []checks.Check{check("a", time.Second, "b"), check("b", time.Second), check("c", time.Second)}
	watched(t, s, cs, func(m *Monitor) {
		m.Want("a")
		synctest.Wait()
		early := s.count("c") // the monitor may have begun before it was told
		time.Sleep(5 * time.Second)
		if s.count("a") < 3 || s.count("b") < 3 || s.count("c") > early {
			t.Errorf("runs: a %d, b %d, c %d", s.count("a"), s.count("b"), s.count("c"))
		}
		m.Want()
		time.Sleep(2 * time.Second)
		if s.count("c") == 0 {
			t.Error("after wanting all again c was not sampled")
		}
	})
}

func TestReplacingChecksKeepsWhatIsKnown(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{"a": {level(checks.Warn)}}}
	watched(t, s, []checks.Check{check("a", time.Minute), check("b", time.Minute)}, func(m *Monitor) {
		time.Sleep(time.Second)
		m.Replace([]checks.Check{check("a", time.Hour), check("c", time.Minute)})
		if st := state(t, m, "a"); st.Level != checks.Warn || st.Check.Every != time.Hour {
			t.Errorf("a is %v, every %v", st.Level, st.Check.Every)
		}
		if _, ok := m.Snapshot().State("b"); ok {
			t.Error("b is still there")
		}
	})
}

func TestPublishedSnapshotsDoNotChange(t *testing.T) {
	s := &script{plays: map[string][]checks.Result{"a": {{Level: checks.OK, Facts: []fact.Fact{fact.Number("n", 1)}}}}}
	watched(t, s, []checks.Check{check("a", time.Second)}, func(m *Monitor) {
		time.Sleep(1500 * time.Millisecond)
		old := m.Snapshot()
		st, _ := old.State("a")
		ticks, samples := len(st.Ticks), len(st.Trend["n"])
		time.Sleep(5 * time.Minute)
		st, _ = old.State("a")
		if len(st.Ticks) != ticks || len(st.Trend["n"]) != samples {
			t.Error("an old snapshot grew")
		}
		if st := state(t, m, "a"); len(st.Ticks) != keptTicks || len(st.Trend["n"]) != keptTrend {
			t.Errorf("kept %d ticks, %d samples", len(st.Ticks), len(st.Trend["n"]))
		}
	})
}

func TestACheckOnDemandIsSampledOnlyWhileItIsLookedAt(t *testing.T) {
	s := &script{}
	c := check("rows", 10*time.Second)
	c.OnDemand = true
	watched(t, s, []checks.Check{c, check("ping", 10*time.Second)}, func(m *Monitor) {
		time.Sleep(time.Minute)
		if n := s.count("rows"); n != 0 || s.count("ping") == 0 {
			t.Fatalf("nobody looks: %d samples on demand, %d of the other", n, s.count("ping"))
		}
		m.Look("rows")
		time.Sleep(100 * time.Millisecond)
		if n := s.count("rows"); n != 1 {
			t.Fatalf("%d samples right after somebody looked, want one", n)
		}
		time.Sleep(29 * time.Second)
		if n := s.count("rows"); n < 3 || n > 4 {
			t.Errorf("%d samples in half a minute of looking, want one every 10 s", n)
		}
		m.Look()
		synctest.Wait()
		n := s.count("rows")
		time.Sleep(time.Minute)
		if got := s.count("rows"); got != n {
			t.Errorf("%d samples after nobody looked any more", got-n)
		}
		m.Again("rows")
		time.Sleep(100 * time.Millisecond)
		if got := s.count("rows"); got != n+1 {
			t.Errorf("it was asked for once, and sampled %d times", got-n)
		}
	})
}

func TestACheckNobodyLooksAtCountsForNothingOnceItsAnswerIsOld(t *testing.T) {
	now := time.Now()
	st := State{
		Check: checks.Check{ID: "indexes", Module: module, OnDemand: true}, Level: checks.Warn, Raw: checks.Warn,
		Result: checks.Result{At: now}, StaleAfter: now.Add(time.Minute),
	}
	told := func(st State, at time.Time) (counted, listed int) {
		s := Snapshot{At: at, States: []State{st}}
		for _, n := range s.Counts(at) {
			counted += n
		}
		return counted, len(s.WorstFirst(at))
	}
	if counted, listed := told(st, now.Add(time.Second)); counted != 1 || listed != 1 {
		t.Errorf("what was just found out is counted %d and listed %d times", counted, listed)
	}
	if counted, listed := told(st, now.Add(2*time.Minute)); counted != 0 || listed != 0 {
		t.Errorf("what nobody looks at is counted %d and listed %d times when it is old", counted, listed)
	}
	st.Looked = true
	if counted, _ := told(st, now.Add(2*time.Minute)); counted != 1 {
		t.Error("what is looked at and old is not counted as unknown")
	}
	st.Check.OnDemand, st.Looked = false, false
	if counted, _ := told(st, now.Add(2*time.Minute)); counted != 1 {
		t.Error("what is sampled always and old is not counted as unknown")
	}
}
