package runbooks_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// bench runs checks as told: each takes a minute and ends with the level that
// stands for its id; what is not listed is ok.
type bench struct {
	mu     sync.Mutex
	levels map[string]checks.Level
	ran    []string
	most   int // at once
	now    int
}

func (b *bench) Run(ctx context.Context, c checks.Check) checks.Result {
	b.mu.Lock()
	b.ran = append(b.ran, c.ID)
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now--
	level, listed := b.levels[c.ID]
	if !listed {
		level = checks.OK
	}
	if ctx.Err() != nil {
		level = checks.Unknown
	}
	return checks.Result{ID: c.ID, Module: c.Module.Name, Level: level, At: time.Now()}
}

func nothing(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
	return checks.Findings{}, nil
}

var (
	diskModule = &checks.Module{
		Name: "sys.disk", Doc: "d", Run: nothing, Facts: []fact.Spec{{Name: "used", Type: fact.Percent, Worse: fact.Higher}},
		Params: []checks.Param{{Name: "mount", Type: checks.TextParam, Default: "/"}, {Name: "share", Type: checks.PercentParam}},
		Warn:   "used > 80%", Fail: "used > 90%", Source: "guide",
	}
	getModule = &checks.Module{
		Name: "http.get", Doc: "g", Run: nothing, Facts: []fact.Spec{{Name: "ok", Type: fact.Bool}, {Name: "total", Type: fact.Duration}},
		Params: []checks.Param{
			{Name: "url", Type: checks.TextParam, Required: true}, {Name: "timeout", Type: checks.DurationParam, Default: "5s"},
			{Name: "least", Type: checks.BytesParam},
		},
		Fail: "ok == false", Source: "guide",
	}
	latencyModule = &checks.Module{
		Name: "http.latency", Doc: "l", Run: nothing, Facts: []fact.Spec{{Name: "p95", Type: fact.Duration, Worse: fact.Higher}},
		Params: []checks.Param{
			{Name: "url", Type: checks.TextParam, Required: true}, {Name: "timeout", Type: checks.DurationParam, Default: "2s"},
			{Name: "samples", Type: checks.NumberParam, Default: 10.0}, {Name: "least", Type: checks.BytesParam},
		},
		Warn: "p95 > 500ms", Source: "proposed",
	}
	vacuumModule = &checks.Module{Name: "pg.vacuum", Doc: "v", Run: nothing, Effect: checks.Reversible, Danger: 1}
)

func item(id string, needs ...string) runbooks.Item {
	it := runbooks.Item{ID: id, Title: strings.ToUpper(id), Kind: runbooks.Check, Use: diskModule.Name, Module: diskModule, With: map[string]any{"mount": "/" + id}}
	for _, n := range needs {
		it.Needs = append(it.Needs, runbooks.Need{Item: n})
	}
	return it
}

func book(items ...runbooks.Item) runbooks.Runbook {
	return runbooks.Runbook{
		ID: "daily", Title: "Daily", Hash: runbooks.Hash{1}, Source: []byte("# Daily"), Path: "shipped/daily.md",
		Sections: []runbooks.Section{{ID: "daily", Title: "Daily", Plan: schedule.Plan{Cadence: schedule.Daily}, Items: items}},
	}
}

var people = []runbooks.Item{
	item("disk"), item("db", "disk"), item("tables", "db"),
	{ID: "api", Title: "API", Kind: runbooks.Check, Service: "api"},
	{ID: "vacuum", Title: "Vacuum", Kind: runbooks.Action, Use: "pg.vacuum", Module: vacuumModule},
	{ID: "errors", Title: "Errors", Kind: runbooks.Confirm, Rules: checks.Rules{Warn: checks.Rule{Text: "count > 20"}},
		Evidence: []runbooks.Field{{Name: "count", Type: runbooks.NumberField}, {Name: "link", Type: runbooks.URLField}}},
	{ID: "look", Title: "Look", Kind: runbooks.Manual},
	{ID: "go", Title: "Go?", Kind: runbooks.Decide, Options: []runbooks.Option{{Name: "go"}, {Name: "wait"}}},
	{ID: "hour", Title: "Watch", Kind: runbooks.Hold},
}

func options(j runbooks.Journal, r runbooks.Runner) runbooks.Options {
	return runbooks.Options{
		Journal: j, Runner: r, Name: "lms", Runbook: book(people...), Section: "daily", Actor: ada, Version: "test",
		NewID: func() string { return "run-1" },
	}
}

func drive(t *testing.T, o runbooks.Options) *runbooks.Local {
	t.Helper()
	l, err := runbooks.Drive(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func states(s runbooks.Session) map[string]runbooks.State {
	all := map[string]runbooks.State{}
	for _, it := range s.Run().Items {
		all[it.ID] = it.State
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLookingRecordsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		l := drive(t, options(j, &bench{}))
		if l.Run().State != runbooks.Open || len(l.Run().Items) != len(people) {
			t.Errorf("the run that would be opened: %+v", l.Run())
		}
		for name, err := range map[string]error{
			"an action": l.Start("vacuum"), "a person's item": l.Start("look"), "no item": l.Start("nope"),
			"a blocked item": l.Start("db"), "a confirm of a check": l.Confirm("disk", nil), "an empty skip": l.Skip("disk", " ", time.Time{}),
			"a finish": l.Finish(""),
		} {
			if err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		must(t, l.Close())
		if len(j.events) > 0 {
			t.Errorf("recorded %v", j.kinds())
		}
	})
}

func TestActionsAreRefusedWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := drive(t, options(&memory{}, &bench{}))
		defer l.Close()
		if err := l.Arm(t.Context(), "vacuum"); !errors.Is(err, runbooks.ErrNoActions) {
			t.Errorf("got %v", err)
		}
		if err := l.Start("vacuum"); err == nil || !strings.Contains(err.Error(), "never simply started") {
			t.Errorf("got %v", err)
		}
	})
}

func TestChecksRunInParallelAsTheirNeedsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, b := &memory{}, &bench{levels: map[string]checks.Level{"db": checks.Warn}}
		o := options(j, b)
		o.Runbook = book(append(people, item("extra"))...)
		l := drive(t, o)
		must(t, l.StartAll())
		if got := states(l); got["disk"] != runbooks.Running || got["extra"] != runbooks.Running || got["db"] != runbooks.Pending {
			t.Errorf("at the start: %v", got)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		want := map[string]runbooks.State{
			"disk": runbooks.Passed, "db": runbooks.Warned, "tables": runbooks.Passed, "extra": runbooks.Passed, "api": runbooks.NotApplicable,
			"vacuum": runbooks.Pending, "errors": runbooks.Pending, "look": runbooks.Pending, "go": runbooks.Pending, "hour": runbooks.Pending,
		}
		if diff := cmp.Diff(want, states(l)); diff != "" {
			t.Error(diff)
		}
		if b.most != 2 {
			t.Errorf("%d checks at once, want 2", b.most)
		}
		must(t, l.StartAll()) // the warned one again
		must(t, l.Close())
		kinds := j.kinds()
		if kinds[0] != "run.opened" || kinds[1] != "check.started disk" || kinds[len(kinds)-1] != "run.suspended" {
			t.Errorf("recorded %v", kinds)
		}
		if it, _ := l.Run().Item("db"); it.State != runbooks.Interrupted || it.Attempts.Len() != 2 || it.Attempts.At(0).State != runbooks.Warned {
			t.Errorf("leaving turned db into %s: %+v", it.State, it.Attempts)
		}
	})
}

func TestWhatPeopleSayIsRecordedOrRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{levels: map[string]checks.Level{"disk": checks.Crit}}
		l := drive(t, options(&memory{}, b))
		defer l.Close()
		for _, evidence := range []map[string]string{
			nil, {"count": "3"}, {"count": "many", "link": "https://errors.internal.test/1"}, {"count": "3", "link": "errors"},
			{"count": "3", "link": "https://ada:pw@errors.internal.test/"}, {"count": "3", "link": "https://errors.internal.test/", "more": "x"},
		} {
			if err := l.Confirm("errors", evidence); err == nil {
				t.Errorf("evidence %v was taken", evidence)
			}
		}
		must(t, l.Confirm("errors", map[string]string{"count": " 25 ", "link": "https://errors.internal.test/"}))
		must(t, l.Confirm("look", nil))
		if err := l.Decide("go", "perhaps"); err == nil {
			t.Error("an option that is not there was taken")
		}
		must(t, l.Decide("go", "wait"))
		must(t, l.Start("disk"))
		if err := l.Start("disk"); err == nil {
			t.Error("a running check was started again")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		must(t, l.Acknowledge("disk", "known since yesterday"))
		must(t, l.Override("disk", "ticket 12", time.Now().Add(time.Hour)))
		must(t, l.Note("disk", "line one\nline \x1b[31mtwo"))
		must(t, l.Sign("", "oncall", runbooks.Hash{}))
		must(t, l.Start("db"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		run := l.Run()
		errorsItem, _ := run.Item("errors")
		disk, _ := run.Item("disk")
		choice, _ := run.Item("go")
		if errorsItem.State != runbooks.Warned || errorsItem.Attempts.At(0).Evidence["count"] != "25" || errorsItem.Attempts.At(0).Why[0].Rule != "count > 20" {
			t.Errorf("errors %+v", errorsItem)
		}
		if disk.State != runbooks.Failed || disk.Override == nil || strings.ContainsRune(disk.Notes.At(0).Text, '\x1b') {
			t.Errorf("disk %+v", disk)
		}
		if choice.Choice != "wait" || states(l)["db"] != runbooks.Passed || len(run.Signatures) != 1 {
			t.Errorf("choice %q, db %s", choice.Choice, states(l)["db"])
		}
		must(t, l.Retry("look"))
		if states(l)["look"] != runbooks.Pending {
			t.Error("a retried answer is not pending")
		}
	})
}

func TestAnUnfinishedRunIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, b := &memory{}, &bench{levels: map[string]checks.Level{}}
		first := drive(t, options(j, b))
		must(t, first.Confirm("look", nil))
		must(t, first.Start("disk"))
		must(t, first.Close())

		o := options(j, b)
		o.Actor = bob
		o.NewID = func() string { return "another" }
		second := drive(t, o)
		if run := second.Run(); run.ID != "run-1" || run.State != runbooks.Open || run.Driver.Login != "bob" {
			t.Errorf("found %s %s driven by %v", run.ID, run.State, run.Driver)
		}
		before := len(j.events)
		must(t, second.StartAll())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := j.kinds()[before : before+3]; !slices.Equal(got, []string{"run.resumed", "run.taken_over", "check.started disk"}) {
			t.Errorf("recorded %v", got)
		}
		if disk, _ := second.Run().Item("disk"); disk.State != runbooks.Passed || disk.Attempts.Len() != 2 {
			t.Errorf("disk %+v", disk)
		}
		must(t, second.Close())
	})
}

func TestWhatASessionThatDiedLeftRunningIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		first := drive(t, options(j, &bench{}))
		must(t, first.Start("disk"))
		dead := &memory{events: slices.Clone(j.events)} // what the disk holds after kill -9
		must(t, first.Close())

		second := drive(t, options(dead, &bench{}))
		if states(second)["disk"] != runbooks.Interrupted {
			t.Errorf("disk is %s", states(second)["disk"])
		}
		must(t, second.Note("", "back again"))
		if got := dead.kinds()[2:]; !slices.Equal(got, []string{"item.interrupted disk", "run.resumed", "noted"}) {
			t.Errorf("recorded %v", got)
		}
		must(t, second.Close())
	})
}

func TestANewPeriodExpiresTheOldRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		first := drive(t, options(j, &bench{}))
		must(t, first.Start("disk"))
		must(t, first.Close())
		time.Sleep(24 * time.Hour)
		o := options(j, &bench{})
		o.NewID = func() string { return "run-2" }
		second := drive(t, o)
		if second.Run().ID != "run-2" {
			t.Errorf("joined %s", second.Run().ID)
		}
		must(t, second.Note("", "a new day"))
		must(t, second.Close())
		runs, err := runbooks.FoldAll(j.Events())
		if err != nil || len(runs) != 2 || runs[0].State != runbooks.Expired || runs[1].State != runbooks.Suspended {
			t.Errorf("%v: %+v", err, runs)
		}
	})
}

func TestAnotherSiteOrARehearsalIsAnotherRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		first := drive(t, options(j, &bench{}))
		must(t, first.Confirm("look", nil))
		must(t, first.Close())
		for _, change := range []func(*runbooks.Options){
			func(o *runbooks.Options) { o.Name = "demo" }, func(o *runbooks.Options) { o.Rehearsal = true },
		} {
			o := options(j, &bench{})
			o.NewID = func() string { return "other" }
			change(&o)
			if l := drive(t, o); l.Run().ID != "other" {
				t.Errorf("joined %s", l.Run().ID)
			}
		}
	})
}

func TestAChangedFileDoesNotChangeAnOpenRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		first := drive(t, options(j, &bench{}))
		must(t, first.Confirm("look", nil))
		must(t, first.Close())
		o := options(j, &bench{})
		o.Runbook = book(item("new"))
		o.Runbook.Hash = runbooks.Hash{2}
		if _, err := runbooks.Drive(t.Context(), o); err == nil {
			t.Error("a run of another copy was joined without reading that copy")
		}
		o.Parse = func(path string, source []byte) (runbooks.Runbook, error) {
			if path != "shipped/daily.md" || string(source) != "# Daily" {
				return runbooks.Runbook{}, errors.New("not the pinned copy")
			}
			return book(people...), nil
		}
		l := drive(t, o)
		defer l.Close()
		if !l.Outdated() || len(l.Section().Items) != len(people) {
			t.Errorf("outdated %v with %d items", l.Outdated(), len(l.Section().Items))
		}
		must(t, l.Decide("go", "go"))
	})
}

func TestNothingIsShownThatCouldNotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{fail: 2} // opened and started are recorded, the result is not
		l := drive(t, options(j, &bench{}))
		must(t, l.Start("disk"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if states(l)["disk"] != runbooks.Running {
			t.Errorf("disk is shown as %s", states(l)["disk"])
		}
		if err := l.Err(); !errors.Is(err, errFull) {
			t.Errorf("Err says %v", err)
		}
		for _, err := range []error{l.Start("disk"), l.StartAll(), l.Note("", "x"), l.Confirm("look", nil), l.Close()} {
			if !errors.Is(err, errFull) {
				t.Errorf("accepted after recording failed: %v", err)
			}
		}
	})
}

func TestARunThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{events: []runbooks.Event{event(t, time.Now(), ada, "", 0, runbooks.RunOpened{Site: "other", Steps: steps})}, fail: 1}
		j.events[0].Run = "other"
		l := drive(t, options(j, &bench{}))
		if err := l.Note("", "x"); !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		j.fail = 0
		must(t, l.Note("", "x"))
		must(t, l.Close())
	})
}

func TestFinishAndAbortEndARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, b := &memory{}, &bench{}
		l := drive(t, options(j, b))
		must(t, l.StartAll())
		if err := l.Abort(" "); err == nil {
			t.Error("aborted without a reason")
		}
		must(t, l.Abort("the window is over"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if run := l.Run(); run.State != runbooks.Aborted || states(l)["disk"] != runbooks.Interrupted {
			t.Errorf("%s %v", run.State, states(l))
		}
		if err := l.Start("disk"); err == nil {
			t.Error("an aborted run goes on")
		}
		must(t, l.Close())

		o := options(j, b)
		o.NewID = func() string { return "run-2" }
		o.Runbook = book(item("disk"))
		l = drive(t, o)
		must(t, l.Start("disk"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		must(t, l.Finish("quiet night"))
		must(t, l.Close())
		if run := l.Run(); run.State != runbooks.Completed || run.Reason != "quiet night" {
			t.Errorf("%+v", run.State)
		}
	})
}

func TestTheSameChecksFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := drive(t, options(&memory{}, &bench{}))
		var all sync.WaitGroup
		accepted := make(chan bool, 20)
		for range 20 {
			all.Go(func() { accepted <- l.Start("disk") == nil; l.Run() })
		}
		all.Wait()
		close(accepted)
		n := 0
		for ok := range accepted {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of 20 started the check", n)
		}
		<-l.Changed()
		must(t, l.Close())
	})
}

func TestARunTakesSoManyFramesAndNoMore(t *testing.T) {
	l := drive(t, options(&memory{}, &bench{}))
	defer l.Close()
	frame := runbooks.Attached{Title: "sessions", Seen: time.Now(), Text: "pid 4711"}
	n := 0
	for ; n < 1000; n++ {
		if err := l.Attach("", frame); err != nil {
			if !strings.Contains(err.Error(), "write a note instead") {
				t.Fatal(err)
			}
			break
		}
	}
	if n < 100 || n > 500 {
		t.Errorf("%d frames were taken", n)
	}
	must(t, l.Note("", "the rest in words"))
}
