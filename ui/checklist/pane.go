package checklist

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// ID is the pane's id: answers to its commands are addressed to it.
const ID = "runbook"

// Spec is the runbook pane over a provider.
func Spec(p Provider) pane.Spec {
	return pane.Spec{
		ID: ID, Title: "RUNBOOK", Order: 4, Min: pane.Size{W: 22, H: 1},
		New: func(d pane.Deps) pane.Pane {
			c := &checklist{provider: p, deps: d}
			c.sections.init()
			c.items.init()
			return c
		},
	}
}

// openTime is how long a run may take to open.
const openTime = 30 * time.Second

// A checklist is the pane: the sections, or the run of one of them.
type checklist struct {
	provider Provider
	deps     pane.Deps
	snap     watch.Snapshot
	now      time.Time // of the last drawing or snapshot: for what an action says

	sections sections
	opening  string // id of the section that is being opened
	trouble  string // why the last one could not be

	items  items
	run    *session // nil until a section was opened
	inside bool     // the run is shown, not the sections

	live      live // output of the action that runs, or ran last
	following bool // more of it is asked for
}

// A session is an open run as it was when something was last heard of it.
// Drawing reads this copy, never the session itself, which may be writing.
type session struct {
	runbooks.Session
	id      string // of the section
	news    news
	closing chan struct{} // closed when nobody listens to it any more
}

// news is what a session says of itself at one moment.
type news struct {
	run      runbooks.Run
	section  runbooks.Section
	outdated bool
	broken   error
	driver   string // who else is at the run and drives it; "" if nobody

	window    *civil.Window  // of the runbook; nil: none
	zone      *time.Location // of the runbook; nil: the site's
	doing     string         // how far the running action is
	estimates map[string]time.Duration
}

func read(s runbooks.Session) news {
	n := news{run: s.Run(), section: s.Section(), outdated: s.Outdated(), broken: s.Err()}
	n.window, n.zone, n.estimates = s.Book().Window, s.Book().Zone, s.Estimates()
	if who, driven := runbooks.DrivenBy(n.run, s.You(), s.Present()); driven {
		n.driver = who.String()
		if who.TTY != "" {
			n.driver += " on " + who.TTY
		}
	}
	return n
}

// The answers to the pane's commands.
type (
	opened struct {
		id      string
		session runbooks.Session
		news    news
		err     error
		adHoc   bool // another pane proposed it: its preview comes next
	}
	changed struct {
		session *session
		news    news
	}
	answered struct {
		session *session
		what    string // "skip disk-space"
		next    string // the item that was dealt with: the cursor goes on
		said    string // a notice if all went well
		news    news
		err     error
	}
)

// Show takes the newest snapshot and what the provider knows.
func (c *checklist) Show(s watch.Snapshot) {
	c.snap = s
	c.look(s.At)
}

// look asks the provider how things stand.
func (c *checklist) look(now time.Time) {
	c.now = now
	list, err := c.provider.Sections()
	c.sections.set(list, err, now)
	if c.run != nil {
		c.items.set(c.run.news, now, c.items.narrow)
	}
}

// Handle takes the answer to a command, and goes on with an ad hoc run that
// it has decided.
func (c *checklist) Handle(body any) tea.Cmd {
	before := c.adHoc()
	cmd := c.take(body)
	if after := c.adHoc(); after != before {
		return tea.Batch(cmd, c.closeAdHoc(before, after))
	}
	return cmd
}

func (c *checklist) take(body any) tea.Cmd {
	switch m := body.(type) {
	case opened:
		return c.opened(m)
	case changed:
		if m.session != c.run {
			return nil
		}
		c.learn(m.news)
		return tea.Batch(c.listen(m.session), c.follow())
	case answered:
		return tea.Batch(c.answered(m), c.followIfOpen())
	case armed:
		return c.gotPreview(m)
	case heard:
		return c.hear(m)
	}
	return nil
}

func (c *checklist) followIfOpen() tea.Cmd {
	if c.run == nil {
		return nil
	}
	return c.follow()
}

// learn takes what the session says of itself. In a section that is walked one
// item at a time, the cursor goes on when the check under it has passed.
func (c *checklist) learn(n news) {
	before, known := c.item()
	if it, acting := n.acting(); acting {
		n.doing = c.progress(it)
	}
	leaving := c.run.news.run.State != runbooks.Aborting && n.run.State == runbooks.Aborting
	c.run.news = n
	c.items.set(n, c.deps.Now(), c.items.narrow)
	if ways := n.run.WaysOut(); leaving && len(ways) > 0 {
		c.items.Select(ways[0].ID)
	}
	now, _ := n.run.Item(before.ID)
	if known && n.section.Mode == runbooks.ReadDo && before.State.Busy() && now.State == runbooks.Passed {
		c.items.goOn(before.ID)
	}
}

func (c *checklist) answered(m answered) tea.Cmd {
	if m.session != c.run {
		return nil
	}
	c.learn(m.news)
	if m.err != nil {
		return pane.Notice(checks.Warn, m.what+": "+m.err.Error())
	}
	if m.next != "" {
		c.items.goOn(m.next)
	}
	if m.said != "" {
		return pane.Notice(checks.OK, m.said)
	}
	return nil
}

// open opens the section, or goes back to it if it is open already.
func (c *checklist) open(id string) tea.Cmd {
	if c.run != nil && c.run.id == id && !c.run.news.run.State.Ended() {
		c.inside = true
		return nil
	}
	c.opening, c.trouble = id, ""
	return pane.Reply(ID, func() any {
		ctx, cancel := context.WithTimeout(c.deps.Ctx, openTime)
		defer cancel()
		s, err := c.provider.Open(ctx, id)
		if err != nil {
			return opened{id: id, err: err}
		}
		return opened{id: id, session: s, news: read(s)}
	})
}

func (c *checklist) opened(m opened) tea.Cmd {
	c.opening = ""
	if m.err != nil {
		c.trouble = fmt.Sprintf("%s cannot be opened: %v", m.id, m.err)
		return pane.Notice(checks.Warn, c.trouble)
	}
	leave := c.leave()
	c.run, c.inside = &session{Session: m.session, id: m.id, news: m.news, closing: make(chan struct{})}, true
	c.items.init()
	c.learn(m.news)
	c.items.goOn("")
	next := tea.Batch(leave, c.listen(c.run), c.follow())
	if m.adHoc {
		return tea.Batch(next, c.showAdHoc())
	}
	return next
}

// leave closes the run that was open, which waits for what it runs.
func (c *checklist) leave() tea.Cmd {
	s := c.run
	if s == nil {
		return nil
	}
	close(s.closing)
	return func() tea.Msg {
		if err := s.Close(); err != nil {
			return pane.NoticeMsg{Level: checks.Warn, Text: fmt.Sprintf("closing %s: %v", s.id, err)}
		}
		return nil
	}
}

// listen waits for a change of the run, tells of it, and is started again.
func (c *checklist) listen(s *session) tea.Cmd {
	return func() tea.Msg {
		select {
		case <-s.Changed():
			return pane.Msg{To: ID, Body: changed{s, read(s)}}
		case <-s.closing:
		case <-c.deps.Ctx.Done():
		}
		return nil
	}
}

// ask calls a method of the session in a command: it may write to a disk.
func (c *checklist) ask(what, next, said string, method func(runbooks.Session) error) tea.Cmd {
	s := c.run
	return pane.Reply(ID, func() any {
		err := method(s.Session)
		return answered{session: s, what: what, next: next, said: said, news: read(s), err: err}
	})
}

// Find filters what is shown.
func (c *checklist) Find(text string) {
	c.sections.Find(text)
	c.items.Find(text)
}

// Next moves among what matches.
func (c *checklist) Next(step int) {
	if c.inside {
		c.items.step(step)
		return
	}
	c.sections.Next(step)
}

// Summary is how the run stands, or what is due.
func (c *checklist) Summary() string {
	if c.inside {
		return c.run.news.summary(c.now)
	}
	return c.sections.summary(c.now)
}

// Point is the check of the item under the cursor.
func (c *checklist) Point() pane.Point {
	if !c.inside {
		return c.sections.point()
	}
	it, ok := c.item()
	if !ok {
		return pane.Point{}
	}
	note := remark(it, c.run.news, c.now)
	return pane.Point{Check: c.watched(it), Value: note, Line: it.Title + ": " + string(it.State) + ", " + note}
}

// View draws the sections, or the run.
func (c *checklist) View(f pane.Frame) string {
	c.now = f.Now
	if c.inside {
		return clip(c.viewRun(f), f.W)
	}
	return clip(c.viewSections(f), f.W)
}

// zone is the one that dates of a run are read in.
func (c *checklist) zone() *time.Location {
	if c.deps.Zone != nil {
		return c.deps.Zone
	}
	return time.UTC
}

// watched is the monitor's check that looks at what the item looks at: from
// its page a second enter opens the debug view.
func (c *checklist) watched(it runbooks.ItemRun) string {
	a, _ := it.Latest()
	for _, id := range []string{a.Check.Check, it.Service, it.Use} {
		if _, ok := c.snap.State(id); ok && id != "" {
			return id
		}
	}
	return ""
}

// cadenceOrder is the place of a cadence in the list.
func cadenceOrder(p schedule.Plan) int {
	for i, c := range schedule.Cadences() {
		if c == p.Cadence {
			return i
		}
	}
	return len(schedule.Cadences())
}
