package checklist

import (
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// Actions are those of the sections, or those of the run.
func (c *checklist) Actions() []pane.Action {
	if !c.inside {
		return append(c.sections.Moves(), c.openAction())
	}
	it, ok := c.item()
	acts := append(c.items.Moves(), c.itemActions(it, ok)...)
	return append(acts, c.runActions()...)
}

func action(id, what, help, off string, do func() tea.Cmd, keys ...string) pane.Action {
	return pane.Action{ID: id, Help: help, Off: off, Do: do, Key: key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], what))}
}

func (c *checklist) openAction() pane.Action {
	row, ok := c.sections.Selected()
	off := ""
	switch {
	case !ok:
		off = "no section under the cursor"
	case c.opening != "":
		off = "opening " + c.opening
	}
	for _, i := range c.sections.list {
		if i.ID == row.ID && i.Problem != "" {
			off = i.Problem
		}
	}
	return action("open", "open the section, or go on with its run", "open", off, func() tea.Cmd { return c.open(row.ID) }, "enter")
}

// itemActions are what can be done with an item.
func (c *checklist) itemActions(it runbooks.ItemRun, ok bool) []pane.Action {
	off := c.off()
	if !ok {
		off = "no item under the cursor"
	}
	or := func(reason string) string { // the first reason there is
		if off != "" {
			return off
		}
		return reason
	}
	page, speak := "", c.cannotSpeak()
	if !ok {
		page, speak = off, off
	}
	return []pane.Action{
		action("do", "run the check, confirm, decide", "do", or(c.cannotDo(it)), func() tea.Cmd { return c.do(it) }, "x", " "),
		action("page", "all about the item; enter again: its debug view", "item", page, func() tea.Cmd { return c.page(it.ID) }, "enter"),
		action("retry", "a new attempt", "retry", or(cannotRetry(it)), func() tea.Cmd { return c.retry(it) }, "r"),
		action("skip", "leave the item out, for a reason", "skip", or(cannotSkip(it)), func() tea.Cmd { return c.skip(it) }, "s"),
		action("acknowledge", "say that a bad result was seen", "ack", or(cannotAcknowledge(it)), func() tea.Cmd { return c.acknowledge(it) }, "a"),
		action("override", "go on over a failed item until it expires", "", or(cannotOverride(it)), func() tea.Cmd { return c.override(it) }, "o"),
		action("cancel", "stop what runs, for a reason", "", or(cannotCancel(it)), func() tea.Cmd { return c.cancel(it) }, "C"),
		action("look", "look again at an interrupted action", "", or(cannotResolve(it)), func() tea.Cmd { return c.lookAgain(it) }, "v"),
		action("resolve", "say what became of an interrupted action", "", or(cannotResolve(it)), func() tea.Cmd { return c.resolve(it) }, "R"),
		action("note", "write a note", "note", speak, func() tea.Cmd { return c.note(it) }, "t"),
		action("sign", "sign the item or preview that asks for it, else the run", "", c.cannotSpeak(), func() tea.Cmd { return c.sign(it) }, "S"),
	}
}

// runActions are what can be done with the run.
func (c *checklist) runActions() []pane.Action {
	return []pane.Action{
		action("all", "run every check that is not done", "all checks", c.off(), func() tea.Cmd {
			return c.ask("run all", "", "", runbooks.Session.StartAll)
		}, "X"),
		action("exception", "next item that is not well or not decided", "exceptions", "", c.exception, "e"),
		action("finish", "finish the run", "finish", c.cannotFinish(), c.finish, "F"),
		action("abort", "give the run up, for a reason", "", c.off(), c.abort, "A"),
		action("about", "what the section says, and what was said about the run", "about", "", c.about, "i"),
		action("window", "let actions begin outside the window, for a reason", "", c.cannotOverrideWindow(), c.overrideWindow, "W"),
		action("take-over", "drive a run that somebody else drives", "", c.cannotTakeOver(), c.takeOver, "D"),
		action("run-note", "write a note on the run", "", c.cannotSpeak(), c.runNote, "T"),
		action("sections", "back to the sections; the run goes on", "sections", "", c.leaveRun, "b", "backspace"),
	}
}

// off is why nothing at all can be done in this run.
func (c *checklist) off() string {
	n := c.run.news
	switch {
	case n.broken != nil:
		return "nothing is recorded any more: " + n.broken.Error()
	case n.driver != "":
		return "observing: " + n.driver + " drives"
	case n.run.State.Ended():
		return "the run is " + string(n.run.State)
	}
	return ""
}

// cannotSpeak is why not even a remark can be made. An observer may speak.
func (c *checklist) cannotSpeak() string {
	n := c.run.news
	switch {
	case n.broken != nil:
		return "nothing is recorded any more: " + n.broken.Error()
	case n.run.State.Ended():
		return "the run is " + string(n.run.State)
	}
	return ""
}

func (c *checklist) cannotDo(it runbooks.ItemRun) string {
	switch {
	case it.Kind == runbooks.Action && it.State == runbooks.Armed:
		return ""
	case it.Kind == runbooks.Action && it.State == runbooks.Interrupted:
		return runbooks.OutcomeUnknown + ": v looks again, R says what you found"
	case it.State.Decided() && !c.leadsOut(it):
		return "it is " + word(it.State) + " already; r makes a new attempt"
	case it.State.Busy():
		return "it is " + string(it.State)
	}
	if err := c.run.news.run.Ready(it.ID, c.now); err != nil {
		return strings.TrimPrefix(err.Error(), it.ID+": ")
	}
	if item, ok := c.run.news.section.Item(it.ID); ok && it.Kind == runbooks.Action {
		if err := runbooks.WindowGate(c.run.news.run, c.run.news.section, c.window(), item, c.now); err != nil {
			return strings.TrimPrefix(err.Error(), it.ID+": ") + " (W)"
		}
	}
	return ""
}

// leadsOut reports whether the item is one that a run that is being left
// offers, though it was tried before.
func (c *checklist) leadsOut(it runbooks.ItemRun) bool {
	return c.run.news.run.State == runbooks.Aborting && c.run.news.run.LeadsOut(it.ID)
}

func cannotCancel(it runbooks.ItemRun) string {
	if it.State == runbooks.Running {
		return ""
	}
	return "nothing runs: it is " + word(it.State)
}

func cannotResolve(it runbooks.ItemRun) string {
	if it.Kind == runbooks.Action && it.State == runbooks.Interrupted {
		return ""
	}
	return "only an interrupted action is resolved"
}

func cannotRetry(it runbooks.ItemRun) string {
	switch {
	case it.State.Busy():
		return "it is " + string(it.State)
	case it.Attempts.Len() == 0 && it.Skip == nil:
		return "nothing was attempted yet: x"
	}
	return ""
}

func cannotSkip(it runbooks.ItemRun) string {
	if it.State.Busy() {
		return "it is " + string(it.State)
	}
	return ""
}

func cannotAcknowledge(it runbooks.ItemRun) string {
	switch it.State {
	case runbooks.Warned, runbooks.Failed, runbooks.Errored:
		return ""
	}
	return "only a bad result is acknowledged"
}

func cannotOverride(it runbooks.ItemRun) string {
	if it.State == runbooks.Failed {
		return ""
	}
	return "only a failed item is overridden"
}

func (c *checklist) cannotFinish() string {
	if off := c.off(); off != "" {
		return off
	}
	run := c.run.news.run
	if run.State == runbooks.Aborting {
		return "the run is being aborted: A ends it when the way out is done"
	}
	left := 0
	for _, it := range run.Items {
		if !it.State.Decided() && !run.OnlyToAbort(it.ID) {
			left++
		}
	}
	switch {
	case left == 1:
		return "1 item is not decided yet"
	case left > 1:
		return strconv.Itoa(left) + " items are not decided yet"
	}
	return ""
}

func (c *checklist) cannotOverrideWindow() string {
	if off := c.off(); off != "" {
		return off
	}
	if n := c.run.news; n.window == nil || !n.section.InWindow() {
		return "this section waits for no window"
	}
	return ""
}

func (c *checklist) cannotTakeOver() string {
	if off := c.cannotSpeak(); off != "" {
		return off
	}
	if c.run.news.driver == "" {
		return "nobody else drives it"
	}
	return ""
}

// do starts a check, or asks for what a person has to say.
func (c *checklist) do(it runbooks.ItemRun) tea.Cmd {
	switch it.Kind {
	case runbooks.Check, runbooks.Hold:
		return c.ask("run "+it.ID, "", "", func(s runbooks.Session) error { return s.Start(it.ID) })
	case runbooks.Action:
		return c.act(it)
	case runbooks.Decide:
		return c.decide(it)
	}
	if item, _ := c.run.news.section.Item(it.ID); len(item.Evidence) > 0 {
		return c.evidence(it, item)
	}
	tick := func() tea.Cmd {
		return c.ask("confirm "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Confirm(it.ID, nil) })
	}
	if it.Danger == 0 {
		return tick()
	}
	return pane.Push(&pane.Confirm{Head: it.Title, Lines: []string{"It says of itself that it is dangerous. Has it been done?"}, Yes: tick})
}

func (c *checklist) retry(it runbooks.ItemRun) tea.Cmd {
	return c.ask("retry "+it.ID, "", "", func(s runbooks.Session) error { return s.Retry(it.ID) })
}
