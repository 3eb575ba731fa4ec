// Package journaltest makes long journals for tests and benchmarks: tens of
// thousands of events in the time of one transaction. The events are those of
// an engine, in a legal order. It must not be used by anything but tests.
package journaltest

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// The section that the runs of a long journal walk.
const (
	Path    = "long.md"
	Section = "long"

	checkItems = 20
)

// Book is the source of its runbook: twenty checks and a person's look.
func Book() []byte {
	var b strings.Builder
	b.WriteString("---\nrunbook: long\nschema: 1\n---\n# Long\n\n```yaml section\nid: long\ncadence: none\n```\n")
	for i := range checkItems {
		fmt.Fprintf(&b, "\n- [ ] Check %d\n```yaml check\nid: %s\nuse: sys.uptime\n```\n", i, itemID(i))
	}
	b.WriteString("\n- [ ] Look\n")
	return []byte(b.String())
}

func itemID(i int) string { return fmt.Sprintf("check-%02d", i) }

// began is when the first event of a long journal was recorded.
var began = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

var driver = runbooks.Actor{Name: "ada", UID: 1000, Login: "ada", Host: "ops1"}

// Events yields n events of so many runs of a site, one run after the other,
// numbered from 1: checks that start and end again and again, and a note now
// and then. The last run is left open, the others are aborted.
func Events(site string, runs, n int) iter.Seq[runbooks.Event] {
	return func(yield func(runbooks.Event) bool) {
		w := writer{site: site, yield: yield}
		for run := range runs {
			events := n / runs
			if run == runs-1 {
				events = n - w.seq
			}
			w.run(fmt.Sprintf("long-%05d", run), events, run < runs-1)
		}
	}
}

// writer numbers events and hands them on until nobody wants any more.
type writer struct {
	site    string
	yield   func(runbooks.Event) bool
	seq     int
	stopped bool
}

func (w *writer) put(run, item string, attempt int, p runbooks.Payload) {
	if w.stopped {
		return
	}
	e, err := runbooks.NewEvent(began.Add(time.Duration(w.seq)*time.Second), driver, run, item, attempt, p)
	if err != nil {
		panic(err) // a payload of ours always encodes
	}
	w.seq++
	e.Seq, e.Mono = uint64(w.seq), time.Duration(w.seq)*time.Second
	w.stopped = !w.yield(e)
}

// run writes a run of exactly that many events, at least 2.
func (w *writer) run(id string, events int, aborted bool) {
	first := w.seq
	source := Book()
	steps := make([]runbooks.Step, checkItems, checkItems+1)
	for i := range steps {
		steps[i] = runbooks.Step{ID: itemID(i), Title: fmt.Sprintf("Check %d", i), Kind: runbooks.Check, Use: "sys.uptime"}
	}
	steps = append(steps, runbooks.Step{ID: "long/look", Title: "Look", Kind: runbooks.Manual})
	w.put(id, "", 0, runbooks.RunOpened{
		Site: w.site, Runbook: "long", Title: "Long", Section: Section, Hash: sha256.Sum256(source), Source: string(source),
		Path: Path, Version: "test", Steps: steps,
	})
	last := first + events
	if aborted {
		last--
	}
	for attempt := 1; w.seq < last && !w.stopped; attempt++ {
		for i := 0; i < checkItems && last-w.seq >= 2; i++ {
			w.put(id, itemID(i), attempt, runbooks.CheckStarted{Module: "sys.uptime", Check: itemID(i), Warn: "up < 10m"})
			w.put(id, itemID(i), attempt, runbooks.CheckFinished{Result: found(itemID(i), began.Add(time.Duration(w.seq)*time.Second))})
		}
		if w.seq < last {
			w.put(id, itemID(attempt%checkItems), 0, runbooks.Noted{Text: fmt.Sprintf("walk %d: nothing new", attempt)})
		}
	}
	if aborted {
		w.put(id, "", 0, runbooks.RunAborted{Reason: "the next one begins"})
	}
}

// found is a result of the usual size: a few facts, the rules, a note.
func found(id string, at time.Time) checks.Result {
	r := checks.Result{
		ID: id, Module: "sys.uptime", Target: "ops1", Level: checks.OK, At: at, Took: 12 * time.Millisecond,
		Note: "up for 31 d", Warn: "up < 10m", RuleSource: "long.md:12:1",
		Facts: []fact.Fact{fact.Dur("up", 31*24*time.Hour), fact.Number("boots", 3)},
	}
	for _, mount := range []string{"/", "/var", "/srv"} {
		f := fact.Pct("used", 41.25)
		f.Label = mount
		r.Facts = append(r.Facts, f)
	}
	return r
}
