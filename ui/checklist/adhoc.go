package checklist

import (
	"context"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

var _ pane.Recorder = (*checklist)(nil)

// Propose opens the run of an action that another pane asks for, and shows
// what it would do. The run that was open stays where it is: it is closed
// here, and goes on at its supervisor.
func (c *checklist) Propose(m pane.ProposeMsg) tea.Cmd {
	a := runbooks.AdHoc{Use: m.Use, Connection: m.Connection, Title: m.Title, With: m.With}
	c.opening, c.trouble = m.Title, ""
	return tea.Batch(
		pane.Notice(checks.OK, "looking at what it would do: "+m.Title),
		pane.Reply(ID, func() any {
			ctx, cancel := context.WithTimeout(c.deps.Ctx, openTime)
			defer cancel()
			s, err := c.provider.OpenAdHoc(ctx, a)
			if err != nil {
				return opened{id: m.Title, err: err}
			}
			return opened{id: s.Section().ID, session: s, news: read(s), adHoc: true}
		}),
	)
}

// showAdHoc goes on from an opened ad hoc run to its preview.
func (c *checklist) showAdHoc() tea.Cmd {
	it, ok := c.run.news.run.Item(runbooks.AdHocItem)
	if !ok || it.State != runbooks.Pending && it.State != runbooks.Armed {
		return nil // somebody began it already: the run shows how far it is
	}
	return c.act(it)
}

// adHocState is how the action of an open ad hoc run stands.
type adHocState struct {
	session *session
	state   runbooks.State
}

// adHoc is the state of the open run if it is an ad hoc one that we drive.
func (c *checklist) adHoc() adHocState {
	if c.run == nil || c.run.news.run.Opened.Runbook != runbooks.AdHocBook || c.run.news.run.State.Ended() || c.run.news.driver != "" {
		return adHocState{}
	}
	it, _ := c.run.news.run.Item(runbooks.AdHocItem)
	return adHocState{c.run, it.State}
}

// closeAdHoc ends an ad hoc run once its action is decided, so that nothing
// stays open that nobody will come back to. One that was refused or taken back
// is given up; what went wrong, or is not known, waits for a person.
func (c *checklist) closeAdHoc(before, after adHocState) tea.Cmd {
	if before.session != after.session && after.state != runbooks.Errored || after.session == nil {
		return nil
	}
	giveUp := func(reason string) tea.Cmd {
		return c.ask("give up "+c.run.id, "", "", func(s runbooks.Session) error { return s.Abort(reason) })
	}
	it, _ := c.run.news.run.Item(runbooks.AdHocItem)
	a, _ := it.Latest()
	switch {
	case after.state == runbooks.Errored && a.Armed == nil:
		return giveUp("it could not be begun: " + a.Reason)
	case after.state == runbooks.Pending && before.state == runbooks.Armed:
		return giveUp("taken back, nothing was done")
	case after.state == runbooks.Passed || after.state == runbooks.Warned:
		return c.ask("finish "+c.run.id, "", "done and recorded: "+it.Title, func(s runbooks.Session) error { return s.Finish("") })
	}
	return nil
}

// Attach keeps a frame as evidence: for the item under the cursor of the run
// that is open, or for that run.
func (c *checklist) Attach(m pane.AttachMsg) tea.Cmd {
	if c.run == nil {
		return pane.Notice(checks.Warn, "no run is open to attach it to: open a section first")
	}
	item, to := "", c.run.id
	if it, ok := c.atHand(); ok {
		item, to = it.ID, it.Title
	}
	frame := runbooks.Attached{Title: m.Title, Seen: m.Seen, Text: m.Text}
	return c.ask("attach "+m.Title, "", "attached to "+to+": "+m.Title, func(s runbooks.Session) error { return s.Attach(item, frame) })
}

// atHand is the item that evidence belongs to: the one under the cursor, also
// while the pane shows the sections.
func (c *checklist) atHand() (runbooks.ItemRun, bool) {
	row, ok := c.items.Selected()
	if !ok {
		return runbooks.ItemRun{}, false
	}
	return c.run.news.run.Item(row.ID)
}
