package watch

import (
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Runner runs one check and says how many calls it had to abandon;
// *checks.Runner does.
type Runner interface {
	Run(context.Context, checks.Check) checks.Result
	Abandoned() int
}

const (
	maxBackOff = 8 // times the interval, after timeouts in a row

	// While a change is being confirmed the check is asked again soon, so that
	// three samples of a slow check do not take minutes.
	firstRecheck  = 2 * time.Second
	secondRecheck = 5 * time.Second
)

// A Monitor samples checks and publishes snapshots. Run does the work; every
// other method may be called from any goroutine at any time.
type Monitor struct {
	run     Runner
	changed chan struct{}
	wake    chan struct{}

	mu       sync.Mutex
	entries  []*entry
	byID     map[string]*entry
	wanted   map[string]bool // nil: all
	looked   map[string]bool // checks on demand that are looked at
	snapshot Snapshot
}

// entry is a check on its schedule.
type entry struct {
	state   State
	confirm confirmation
	due     time.Time
	backOff int // factor on the interval
	again   bool
}

// NewMonitor makes a monitor of the checks; nothing is sampled before Run.
func NewMonitor(run Runner, cs []checks.Check) *Monitor {
	m := &Monitor{run: run, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	m.Replace(cs)
	return m
}

// Changed is signalled after a new snapshot; one signal may stand for many.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Snapshot is the newest one.
func (m *Monitor) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot
}

// Want samples only the checks named, and those they need; without names all.
// A check that becomes wanted and is overdue is sampled at once.
func (m *Monitor) Want(ids ...string) {
	m.mu.Lock()
	m.wanted = nil
	if len(ids) > 0 {
		m.wanted = map[string]bool{}
		for _, id := range ids {
			m.want(id)
		}
	}
	m.mu.Unlock()
	m.nudge()
}

func (m *Monitor) want(id string) {
	if m.wanted[id] {
		return
	}
	m.wanted[id] = true
	if e := m.byID[id]; e != nil {
		for _, need := range e.state.Check.Needs {
			m.want(need)
		}
	}
}

// Look names everything that is looked at. A check on demand is sampled only
// while it is: at once if it is overdue, then on its interval.
func (m *Monitor) Look(ids ...string) {
	m.mu.Lock()
	m.looked = make(map[string]bool, len(ids))
	for _, id := range ids {
		m.looked[id] = true
	}
	changed := false
	for _, e := range m.entries {
		looked := m.looked[e.state.Check.ID]
		changed = changed || e.state.Looked != looked
		e.state.Looked = looked
	}
	if changed {
		m.publish(time.Now())
	}
	m.mu.Unlock()
	m.nudge()
}

// Again samples the checks now, whatever their schedule or back-off.
func (m *Monitor) Again(ids ...string) {
	m.mu.Lock()
	for _, id := range ids {
		if e := m.byID[id]; e != nil {
			e.again, e.backOff = true, 1
		}
	}
	m.mu.Unlock()
	m.nudge()
}

// Replace puts other checks in place. A check whose id and module stay keeps
// its state.
func (m *Monitor) Replace(cs []checks.Check) {
	m.mu.Lock()
	now := time.Now()
	old := m.byID
	m.entries, m.byID = nil, map[string]*entry{}
	for _, c := range cs {
		e := old[c.ID]
		if e == nil || e.state.Check.Module != c.Module {
			e = &entry{due: now, backOff: 1, state: State{Need: 1}}
		}
		e.state.Check, e.state.Looked = c, m.looked[c.ID]
		e.confirm.confirm, e.confirm.clear = newConfirmation(c).confirm, newConfirmation(c).clear
		m.entries = append(m.entries, e)
		m.byID[c.ID] = e
	}
	m.publish(now)
	m.mu.Unlock()
	m.nudge()
}

func (m *Monitor) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run samples until ctx ends and returns when every run it started has
// returned.
func (m *Monitor) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-m.wake:
		}
		timer.Reset(m.startDue(ctx, &running))
	}
}

// startDue starts what is due and returns when to look again.
func (m *Monitor) startDue(ctx context.Context, running *sync.WaitGroup) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	next := now.Add(time.Minute)
	news := false
	for _, e := range m.entries {
		if !e.state.Running.IsZero() {
			news = m.markStuck(e, now, &next) || news
			continue
		}
		if !e.again && !m.samples(e) {
			continue
		}
		if !e.again && e.due.After(now) {
			next = earlier(next, e.due)
			continue
		}
		e.again = false
		e.state.Running = now
		next = earlier(next, now.Add(e.state.Check.Deadline()))
		running.Go(func() { defer crash.Recover(); m.sample(ctx, e) })
	}
	if news {
		m.publish(now)
	}
	return max(time.Millisecond, next.Sub(now))
}

// samples reports whether a check is sampled at all; m.mu is held.
func (m *Monitor) samples(e *entry) bool {
	c := e.state.Check
	return (m.wanted == nil || m.wanted[c.ID]) && (!c.OnDemand || e.state.Looked)
}

func (m *Monitor) markStuck(e *entry, now time.Time, next *time.Time) bool {
	end := e.state.Running.Add(e.state.Check.Deadline())
	if end.After(now) {
		*next = earlier(*next, end)
		return false
	}
	was := e.state.Stuck
	e.state.Stuck = true
	return !was
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (m *Monitor) sample(ctx context.Context, e *entry) {
	m.mu.Lock()
	c := e.state.Check
	m.mu.Unlock()
	res := m.run.Run(ctx, c)
	if ctx.Err() != nil {
		return // cut short by the end of the program: not a finding
	}
	m.mu.Lock()
	now := time.Now()
	e.take(res, now)
	m.publish(now)
	m.mu.Unlock()
	m.nudge()
}

// take folds a result into the entry and plans the next run.
func (e *entry) take(res checks.Result, now time.Time) {
	s := &e.state
	first := !s.Known() || s.Collecting() // too little data was no finding
	before := s.Level
	s.Level, s.Streak, s.Need = e.confirm.next(s.Level, res.Level, first)
	s.Raw, s.Result = res.Level, res
	s.Running, s.Stuck = time.Time{}, false
	s.Flapping = e.confirm.flapping
	if first || before != s.Level {
		s.Since = now
	}
	if res.Level == checks.OK {
		s.LastOK = now
	}
	every, deadline := s.Check.Interval(), s.Check.Deadline()
	s.StaleAfter = now.Add(max(3*every, every+deadline))
	s.Ticks = keep(s.Ticks, Tick{now, res.Level}, keptTicks)
	if res.Err != "" && res.Level == checks.Unknown && !res.Collecting {
		s.Errors = keep(s.Errors, Failure{now, res.Class, res.Err}, keptErrors)
	}
	s.Trend = trend(s.Trend, res.Facts)
	e.plan(res, now)
}

// plan sets when the check is due: sooner while confirming, later while it
// times out, else on its interval.
func (e *entry) plan(res checks.Result, now time.Time) {
	every := e.state.Check.Interval()
	if res.Class == checks.Timeout {
		e.backOff = min(maxBackOff, 2*e.backOff)
	} else {
		e.backOff = 1
	}
	wait := time.Duration(e.backOff) * every
	if e.state.Confirming() && e.backOff == 1 {
		recheck := firstRecheck
		if e.state.Streak > 1 {
			recheck = secondRecheck
		}
		wait = min(wait, recheck)
	}
	e.due = align(now.Add(wait), wait, e.state.Check.ID)
}

// align puts a due time on the grid of its interval plus a small phase of the
// check's own: checks of one interval then change the screen together, which
// costs fewer bytes, without all starting in the same instant.
func align(due time.Time, every time.Duration, id string) time.Time {
	h := fnv.New32a()
	h.Write([]byte(id)) //nolint:errcheck // a hash never fails
	phase := time.Duration(h.Sum32()%50) * time.Millisecond
	aligned := due.Truncate(every).Add(phase)
	if due.Sub(aligned) > every/2 {
		aligned = aligned.Add(every)
	}
	return aligned
}

// keep appends to a copy, so that snapshots stay as they were.
func keep[T any](list []T, one T, limit int) []T {
	if len(list) >= limit {
		list = list[len(list)-limit+1:]
	}
	return append(slices.Clone(list), one)
}

func trend(old map[string][]float64, facts []fact.Fact) map[string][]float64 {
	now := make(map[string][]float64, len(old))
	for _, f := range facts {
		if !f.Type.Numeric() || len(now) == maxSeries {
			continue
		}
		key := TrendKey(f.Name, f.Label)
		now[key] = keep(old[key], f.Num, keptTrend)
	}
	if len(now) == 0 {
		return old // a run that found nothing does not erase what was seen
	}
	return now
}

// publish makes the newest snapshot; m.mu is held.
func (m *Monitor) publish(now time.Time) {
	states := make([]State, len(m.entries))
	for i, e := range m.entries {
		states[i] = e.state
	}
	hold(states)
	s := Snapshot{Seq: m.snapshot.Seq + 1, At: now, States: states}
	if m.run != nil {
		s.Abandoned = m.run.Abandoned()
	}
	m.snapshot = s
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
