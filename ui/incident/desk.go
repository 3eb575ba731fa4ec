package incident

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
	"github.com/advanced-lms/opsdeck/ui/checklist"
)

// Document is the runbook of the night.
const Document = "---\nrunbook: disk-full\nschema: 1\ntitle: A full disk under PostgreSQL\n---\n\n# A full disk under PostgreSQL\n\n" +
	"## Disk full\n```yaml section\nid: disk-full\ncadence: none\nmode: read-do\n```\n\n" +
	"### Stop the bleeding\n\n" +
	"- [ ] Announce it in #incidents\n" +
	"- [ ] Freeze deploys\n```yaml confirm\nid: freeze\nevidence: {ticket: url, since: time}\n```\n" +
	"- [ ] Which disk is full, and since when?\n```yaml check\nid: which\nuse: sys.disk\nx-guide: [27]\n```\n" +
	"  Read the mount that is red. Everything else in this list is about that one.\n\n  ```bash\n  df -h && df -i\n  ```\n\n" +
	"### Find what grew\n\n" +
	"- [ ] Is it a log, and not the WAL?\n```yaml check\nid: log\nuse: log.match\nneeds: [which]\n```\n" +
	"- [ ] Who turned the log up?\n```yaml decide\nid: cause\noptions: [log_statement, a query in a loop, something else]\n```\n" +
	"- [ ] The certificate was not the reason\n```yaml check\nid: cert\nuse: tls.expiry\n```\n" +
	"- [ ] Containers run\n```yaml check\nid: stack\nuse: compose.services\n```\n" +
	"- [ ] Set log_statement back to none\n```yaml action\nid: reset\nuse: pg.set\ndanger: 1\n```\n\n" +
	"### Prove it is over\n\n" +
	"- [ ] The database takes writes\n```yaml check\nid: writes\nuse: pg.ping\nneeds: [which]\n```\n" +
	"- [ ] The API is fast again\n```yaml check\nid: fast\nuse: http.get\nneeds: [writes]\n```\n" +
	"- [ ] Write the report\n```yaml confirm\nid: report\nevidence: {link: url}\n```\n"

func nothing(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
	return checks.Findings{}, nil
}

// registry has the modules the document names.
func registry() *checks.Registry {
	module := func(name, doc, fail string, facts ...fact.Spec) *checks.Module {
		return &checks.Module{Name: name, Doc: doc, Run: nothing, Fail: fail, Source: "guide", Facts: facts}
	}
	ok := fact.Spec{Name: "ok", Type: fact.Bool, Doc: "it answered", Worse: fact.Lower}
	set := &checks.Module{Name: "pg.set", Doc: "sets a parameter of the server", Effect: checks.Reversible, Danger: 1, Run: nothing, Preview: nothing, Probe: nothing, Facts: []fact.Spec{ok}}
	r, err := checks.NewRegistry(checks.Family{Name: "incident", Doc: "modules of the scene", Modules: []*checks.Module{
		module("sys.disk", "how full the file systems are", "used > 90%", fact.Spec{Name: "used", Type: fact.Percent, Label: "mount", Doc: "space in use", Worse: fact.Higher}),
		module("log.match", "records of a log that match a pattern", "matches > 0", fact.Spec{Name: "matches", Type: fact.Count, Doc: "records that match", Worse: fact.Higher}),
		module("tls.expiry", "how long certificates hold", "left < 7d", fact.Spec{Name: "left", Type: fact.Duration, Doc: "time left", Worse: fact.Lower}),
		module("compose.services", "containers that should run", "missing > 0", fact.Spec{Name: "missing", Type: fact.Count, Doc: "containers that do not run", Worse: fact.Higher}),
		module("pg.ping", "whether the server answers", "ok == false", ok), module("http.get", "whether an address answers", "ok == false", ok), set,
	}})
	if err != nil {
		panic(err) // a mistake in the scene
	}
	return r
}

// Book is the document, read.
func Book() runbooks.Runbook {
	book, list := markdown.Parse("disk-full.md", []byte(Document), markdown.Options{Registry: registry()})
	if markdown.HasErrors(list) {
		panic(fmt.Sprint(list)) // a mistake in the scene
	}
	return book
}

// A Desk provides runs of the document over a journal in memory. The zero
// value is not ready: NewDesk.
type Desk struct {
	Clock   func() time.Time
	Other   string         // who else drives
	Problem error          // of the list
	Fail    error          // of Open
	Wait    map[string]int // seconds that a check takes by the clock of the bubble, by item

	Loose   bool        // the section is walked in any order
	Danger  int         // of the action, beyond the document's
	Refuses string      // why the action's preview refuses
	MayNot  string      // why no action may begin
	Dies    atomic.Bool // the action ends without a word
	Blind   bool        // nobody can see from outside what became of it

	mu     sync.Mutex
	events []runbooks.Event
	broken error // the journal takes no more
	opened []runbooks.Session
}

var _ checklist.Provider = (*Desk)(nil)

// NewDesk is a desk whose clock stands at Night.
func NewDesk() *Desk { return &Desk{Clock: func() time.Time { return Night }} }

// Break makes the journal refuse everything from now on.
func (d *Desk) Break(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// Append and Events are the journal.
func (d *Desk) Append(e runbooks.Event) (runbooks.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return e, d.broken
	}
	e.Seq = uint64(len(d.events) + 1)
	d.events = append(d.events, e)
	return e, nil
}

// Events implements runbooks.Journal.
func (d *Desk) Events() iter.Seq2[runbooks.Event, error] { return d.After(0) }

// After implements runbooks.Journal.
func (d *Desk) After(seq uint64) iter.Seq2[runbooks.Event, error] {
	d.mu.Lock()
	events := d.events[:len(d.events):len(d.events)]
	d.mu.Unlock()
	return func(yield func(runbooks.Event, error) bool) {
		for _, e := range events {
			if e.Seq > seq && !yield(e, nil) {
				return
			}
		}
	}
}

// Sections are five: one unfinished if something was recorded, one overdue, one
// never done, one done, one broken.
func (d *Desk) Sections() ([]checklist.SectionInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	plan := func(c schedule.Cadence, due string) schedule.Plan {
		at, err := schedule.ParseDue(c, due)
		if err != nil {
			panic(err) // a mistake in the scene
		}
		return schedule.Plan{Cadence: c, Due: at, Grace: 6 * time.Hour, Zone: time.UTC}
	}
	list := []checklist.SectionInfo{
		{ID: "disk-full/disk-full", Runbook: "disk-full", Title: "Disk full", Items: 11, Plan: schedule.Plan{Cadence: schedule.None}},
		{ID: "daily/daily", Runbook: "daily", Title: "Daily", Items: 18, Plan: plan(schedule.Daily, "12:00"), Last: Night.Add(-19 * time.Hour), LastBy: "dana"},
		{ID: "weekly/weekly", Runbook: "weekly", Title: "Weekly", Items: 22, Plan: plan(schedule.Weekly, "fri 12:00"), Last: Night.Add(-16 * 24 * time.Hour), LastBy: "ada", LastBad: 2},
		{ID: "monthly/monthly", Runbook: "monthly", Title: "Monthly", Items: 14, Plan: plan(schedule.Monthly, "15 12:00"), Last: Night.Add(-9 * 24 * time.Hour), LastBy: "dana"},
		{ID: "quarterly/restore", Runbook: "quarterly", Title: "Restore test", Items: 9, Plan: plan(schedule.Quarterly, "last 12:00")},
		{ID: "upgrade", Runbook: "upgrade", Title: "upgrade.md", Problem: "upgrade.md:14:3 error: no module \"pg.upgrade\""},
	}
	if len(d.events) > 0 {
		if runs, err := runbooks.FoldAll(d.eventsHeld()); err == nil && len(runs) > 0 && !runs[0].State.Ended() {
			p := runs[0].Progress(Night)
			list[0].Unfinished = &checklist.Unfinished{Run: runs[0].ID, Driver: runs[0].Driver.String(), Decided: p.Decided, Total: p.Total, Last: runs[0].Last}
		}
	}
	return list, d.Problem
}

func (d *Desk) eventsHeld() iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		for _, e := range d.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Open implements checklist.Provider. Only the document of the night can be
// opened.
func (d *Desk) Open(ctx context.Context, id string) (runbooks.Session, error) {
	switch {
	case d.Fail != nil:
		return nil, d.Fail
	case id != "disk-full/disk-full":
		return nil, errors.New("the scene has only disk-full")
	}
	book := Book()
	if d.Loose {
		book.Sections[0].Mode = runbooks.DoConfirm
	}
	return d.drive(ctx, book, "disk-full", "disk-full-k3vq")
}

// OpenAdHoc implements checklist.Provider.
func (d *Desk) OpenAdHoc(ctx context.Context, a runbooks.AdHoc) (runbooks.Session, error) {
	if d.Fail != nil {
		return nil, d.Fail
	}
	source, err := markdown.AdHoc(a)
	if err != nil {
		return nil, err
	}
	book, list := markdown.Parse("ad-hoc.md", source, markdown.Options{Registry: registry()})
	if markdown.HasErrors(list) {
		return nil, fmt.Errorf("the scene cannot do that: %s", list[0])
	}
	return d.drive(ctx, book, book.Sections[0].ID, "ad-hoc-7fqz")
}

func (d *Desk) drive(ctx context.Context, book runbooks.Runbook, section, id string) (runbooks.Session, error) {
	s, err := runbooks.Drive(context.WithoutCancel(ctx), runbooks.Options{
		Journal: d, Runner: d, Name: "lms", Zone: time.UTC, Runbook: book, Section: section,
		Actions: d.actions(),
		Actor:   runbooks.Actor{Name: "dana", UID: 1000, Login: "dana"}, Version: "test", Now: d.Clock,
		NewID: func() string { return id },
		Parse: func(path string, source []byte) (runbooks.Runbook, error) {
			book, _ := markdown.Parse(path, source, markdown.Options{Registry: registry()})
			return book, nil
		},
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = append(d.opened, s)
	return &watched{s, d}, nil
}

// watched is a session that somebody else drives, if the scene says so.
type watched struct {
	*runbooks.Local
	desk *Desk
}

func (w *watched) Run() runbooks.Run {
	run := w.Local.Run()
	if w.desk.Other != "" {
		run.Driver = runbooks.Actor{Name: w.desk.Other}
	}
	return run
}

// Present implements runbooks.Session.
func (w *watched) Present() []runbooks.Actor { return []runbooks.Actor{{Name: w.desk.Other}, w.You()} }

// Close closes every session.
func (d *Desk) Close() error {
	d.mu.Lock()
	opened := d.opened
	d.mu.Unlock()
	var problems []error
	for _, s := range opened {
		problems = append(problems, s.Close())
	}
	return errors.Join(problems...)
}

// Run implements runbooks.Runner: what each check of the night finds.
func (d *Desk) Run(ctx context.Context, c checks.Check) checks.Result {
	if n := d.Wait[c.Module.Name]; n > 0 {
		select {
		case <-time.After(time.Duration(n) * time.Second):
		case <-ctx.Done():
		}
	}
	r := checks.Result{ID: c.ID, Module: c.Module.Name, Level: checks.OK, At: d.Clock(), Took: 40 * time.Millisecond, Warn: c.Rules.Warn.Text, Fail: c.Rules.Fail.Text, RuleSource: c.Rules.Fail.Source}
	switch c.Module.Name {
	case "sys.disk":
		r.Level, r.Note = checks.Crit, "/var 100 % full, 0 B free"
		r.Facts = []fact.Fact{fact.Pct("used", 41).On("/"), fact.Pct("used", 100).On("/var")}
		r.Why = []checks.Breach{{Fact: "used", Label: "/var", Value: fact.PctValue(100), Rule: "used > 90%", Level: checks.Crit, Source: "guide"}}
		r.Detail = []string{"/dev/vda2  62G  62G  0  100% /var"}
	case "tls.expiry":
		r.Level, r.Note = checks.Warn, "lms.example.com 19 d left"
		r.Facts = []fact.Fact{fact.Dur("left", 19*24*time.Hour)}
		r.Why = []checks.Breach{{Fact: "left", Value: fact.DurValue(19 * 24 * time.Hour), Rule: "left < 30d", Level: checks.Warn, Source: "guide"}}
	case "compose.services":
		r.Level, r.Err, r.Class = checks.Unknown, "connecting to unix:///var/run/docker.sock: permission denied", checks.Denied
	case "log.match":
		r.Note, r.Facts = "the log took 93 % of the growth", []fact.Fact{fact.Number("matches", 0)}
	default:
		r.Facts = []fact.Fact{fact.Flag("ok", true)}
	}
	return r
}
