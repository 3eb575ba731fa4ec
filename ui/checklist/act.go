package checklist

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// armTime is the longest a preview may take to make.
const armTime = 40 * time.Second

// armed is the answer to the wish for a preview.
type armed struct {
	session *session
	item    string
	news    news
	err     error
}

// act makes the preview of an action, or shows the one there is. Nothing is
// changed by either.
func (c *checklist) act(it runbooks.ItemRun) tea.Cmd {
	if it.State == runbooks.Armed {
		return c.showPreview(it.ID)
	}
	s, id := c.run, it.ID
	return tea.Batch(
		pane.Notice(checks.OK, "looking at what it would do: "+it.Title),
		pane.Reply(ID, func() any {
			ctx, cancel := context.WithTimeout(c.deps.Ctx, armTime)
			defer cancel()
			err := s.Arm(ctx, id)
			return armed{s, id, read(s.Session), err}
		}),
	)
}

// gotPreview shows the preview, or why there is none.
func (c *checklist) gotPreview(m armed) tea.Cmd {
	if m.session != c.run {
		return nil
	}
	c.learn(m.news)
	if m.err != nil {
		return pane.Notice(checks.Warn, m.item+": "+m.err.Error())
	}
	it, _ := m.news.run.Item(m.item)
	if it.State != runbooks.Armed {
		a, _ := it.Latest()
		return pane.Notice(checks.Warn, "it cannot be begun: "+a.Reason)
	}
	return c.showPreview(m.item)
}

// showPreview opens the preview of an armed item: what would be done, to what,
// and what speaks against it. Its y goes on to the confirmation.
func (c *checklist) showPreview(id string) tea.Cmd {
	it, _ := c.run.news.run.Item(id)
	p := &preview{c: c, run: c.run, id: id}
	p.Reader = &pane.Reader{Head: "would do: " + it.Title, Text: p.text, Extra: p.actions()}
	return pane.Push(p)
}

// A preview is an armed action on the screen.
type preview struct {
	*pane.Reader
	c   *checklist
	run *session // the run that it is of
	id  string
}

// armedNow is the attempt; over says why it is not armed any more, "" if it
// is. Another run may have been opened below the preview, by a proposal that
// took longer: its item of the same name is another action.
func (p *preview) armedNow() (it runbooks.ItemRun, a runbooks.Attempt, over string) {
	it, _ = p.run.news.run.Item(p.id)
	a, _ = it.Latest()
	switch {
	case p.c.run != p.run:
		over = "another run is open by now"
	case it.State != runbooks.Armed || a.Armed == nil:
		over = "it is " + word(it.State) + " by now"
	}
	return it, a, over
}

func (p *preview) actions() []pane.Action {
	it, a, over := p.armedNow()
	off, sign := p.c.off(), p.c.cannotSpeak()
	if over != "" {
		off, sign = over, over
	}
	if sign == "" && a.Armed.Signers == 0 {
		sign = "it asks for no signature"
	}
	return []pane.Action{
		action("confirm", "do it", "do it", off, func() tea.Cmd { return p.confirm() }, "y"),
		action("sign", "sign this preview, as a second person", "sign", sign, func() tea.Cmd { return p.c.signPreview(p.id, a.Armed.Hash) }, "S"),
		action("again", "look again", "look again", off, func() tea.Cmd {
			fresh := it
			fresh.State = runbooks.Pending
			return p.c.act(fresh)
		}, "r"),
		action("disarm", "take it back: nothing is done", "take back", off, func() tea.Cmd {
			return p.c.ask("take back "+p.id, "", "taken back, nothing was done", func(s runbooks.Session) error { return s.Disarm(p.id, "taken back") })
		}, "d"),
	}
}

// Handle takes a key. What leads on closes the preview.
func (p *preview) Handle(msg tea.KeyMsg) (pane.Outcome, tea.Cmd) {
	p.Extra = p.actions()
	for _, a := range p.Extra {
		if msg.Paste || a.Key.Keys()[0] != msg.String() {
			continue
		}
		if a.Off != "" {
			return pane.Stay, pane.Notice(checks.OK, msg.String()+": "+a.Off)
		}
		return pane.Close, a.Do()
	}
	return p.Reader.Handle(msg)
}

// confirm asks for the last word: the letter at danger 1 was that word; above
// it the target's name is typed.
func (p *preview) confirm() tea.Cmd {
	it, a, over := p.armedNow()
	if over != "" {
		return pane.Notice(checks.Warn, over)
	}
	seen, target := a.Armed.Hash, a.Armed.Preview.Target
	approve := func(typed string) tea.Cmd {
		return p.c.ask("begin "+p.id, "", "", func(s runbooks.Session) error { return s.Approve(p.id, typed, seen) })
	}
	if a.Armed.Danger < 2 {
		return approve("")
	}
	lines := []string{a.Armed.Preview.Note, "If it is interrupted: " + a.Armed.Crash}
	if it.Undo != "" {
		lines = append(lines, "The way back: "+it.Undo)
	}
	return pane.Push(&pane.Confirm{Head: it.Title, Lines: lines, Word: target, Yes: func() tea.Cmd { return approve(target) }})
}

func (c *checklist) signPreview(id string, seen runbooks.Hash) tea.Cmd {
	return pane.Push(pane.Prompt("sign the preview of "+id, []string{"You have read it and agree. In which role? (may be empty)"}, anything, func(role string) tea.Cmd {
		return c.ask("sign "+id, "", "signed", func(s runbooks.Session) error { return s.Sign(id, role, seen) })
	}))
}

// text is the preview.
func (p *preview) text(f pane.Frame) []string {
	it, a, over := p.armedNow()
	if a.Armed == nil {
		return []string{"there is no preview of it"}
	}
	if over != "" {
		return pane.Wrap("This preview no longer holds: "+over+".", f.W)
	}
	lines := pane.KeyValues(f, p.pairs(it, a, f.Now))
	for _, d := range a.Armed.Preview.Detail {
		for _, l := range pane.Wrap(d, f.W) {
			if strings.HasPrefix(d, "careful: ") {
				l = f.Theme.Level(checks.Warn).Render(l)
			}
			lines = append(lines, l)
		}
	}
	for _, t := range a.Armed.Preview.Tables {
		if len(t.Rows) > 0 {
			lines = append(lines, "", f.Theme.Title.Render(pane.Plain(t.Name)))
			lines = append(lines, table(f, t)...)
		}
	}
	if len(a.Armed.Preview.Facts) > 0 {
		lines = append(lines, "", f.Theme.Title.Render("as it is now"))
		lines = append(lines, facts(f, a.Armed.Preview)...)
	}
	return lines
}

func (p *preview) pairs(it runbooks.ItemRun, a runbooks.Attempt, now time.Time) [][2]string {
	ar := a.Armed
	pairs := [][2]string{{"would", ar.Preview.Note}, {"target", ar.Preview.Target}}
	add := func(name, text string) {
		if text != "" {
			pairs = append(pairs, [2]string{name, text})
		}
	}
	add("identity", ar.Preview.Fingerprint)
	add("by", ar.Module+connection(ar.Connection))
	for _, name := range sortedKeys(ar.With) {
		add("  "+name, argument(ar.With[name]))
	}
	add("danger", dangerWords(ar))
	if ar.Signers > 0 {
		add("signatures", signatures(a))
	}
	for _, g := range ar.Gates {
		add("gate", g.Item+" "+word(g.State)+aged(g))
	}
	estimate := "unknown: it was never done before"
	if ar.Estimate > 0 {
		estimate = ago(ar.Estimate) + ", the median of earlier runs"
	}
	add("takes", estimate+"; ended after "+ago(ar.Timeout))
	add("verified by", ar.Verify)
	add("way back", it.Undo)
	add("if it dies", ar.Crash)
	add("looked at", ago(now.Sub(a.Started))+" ago by "+a.Actor.String()+", holds 15 m")
	return pairs
}

// signatures counts those of other people, and says what makes them that.
func signatures(a runbooks.Attempt) string {
	by := "another login"
	switch a.Actor.LoginState {
	case runbooks.LoginUnset:
		by = "another user id, since no login is set"
	case runbooks.LoginUnreadable:
		by = "another login; that of " + a.Actor.Name + " could not be read and does not count"
	}
	return fmt.Sprintf("%d of %d by %s", len(a.Signatures), a.Armed.Signers, by)
}

// argument is a parameter as a person writes it; durations are kept in
// milliseconds.
func argument(v any) string {
	text := fmt.Sprint(v)
	if ms, ok := strings.CutSuffix(text, "ms"); ok {
		if n, err := strconv.ParseFloat(ms, 64); err == nil {
			return fact.FormatDuration(time.Duration(n * float64(time.Millisecond)))
		}
	}
	return text
}

func connection(name string) string {
	if name == "" {
		return ""
	}
	return " on connection " + name
}

func aged(g runbooks.Gate) string {
	text := ""
	if g.Age > 0 {
		text = " " + ago(g.Age) + " ago"
	}
	if g.Override != "" {
		text += ", overridden: " + g.Override
	}
	return text
}

func dangerWords(a *runbooks.ActionArmed) string {
	switch a.Danger {
	case 1:
		return "1: y begins it"
	case 2:
		return "2: y, then the target's name is typed"
	}
	return strconv.Itoa(a.Danger) + ": a second person signs, then the target's name is typed"
}

// cancel asks for a reason and stops what runs.
func (c *checklist) cancel(it runbooks.ItemRun) tea.Cmd {
	lines := []string{"It is asked to end, then ended. What it has done until then stays done. Why?"}
	if a, ok := it.Latest(); ok && a.Armed != nil {
		lines = append(lines, a.Armed.Crash)
	}
	return pane.Push(pane.Prompt("cancel: "+it.Title, lines, nil, func(reason string) tea.Cmd {
		return c.ask("cancel "+it.ID, "", "asked to stop", func(s runbooks.Session) error { return s.Cancel(it.ID, reason) })
	}))
}

// resolve takes a person's finding about an interrupted action.
func (c *checklist) resolve(it runbooks.ItemRun) tea.Cmd {
	form := &pane.Form{
		Head:  "what became of: " + it.Title,
		Lines: []string{"Nobody saw how it ended. Look for yourself, and say what you found and where."},
		Entries: []pane.Entry{
			{Label: "was it done? (yes or no)", Check: func(text string) error {
				if text != "yes" && text != "no" {
					return fmt.Errorf("write yes or no")
				}
				return nil
			}},
			{Label: "how do you know?"},
		},
	}
	form.Done = func(texts []string) tea.Cmd {
		return c.ask("resolve "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Resolve(it.ID, texts[0] == "yes", texts[1]) })
	}
	return pane.Push(form)
}

// lookAgain probes an interrupted action.
func (c *checklist) lookAgain(it runbooks.ItemRun) tea.Cmd {
	return c.ask("look at "+it.ID, "", "looking", func(s runbooks.Session) error { return s.Probe(it.ID) })
}

// takeOver makes this deck the driver.
func (c *checklist) takeOver() tea.Cmd {
	return pane.Push(pane.Prompt("take the run over", []string{c.run.news.driver + " is at it. Have you spoken? Why do you take it over?"}, nil, func(reason string) tea.Cmd {
		return c.ask("take over", "", "you drive", func(s runbooks.Session) error { return s.TakeOver(reason) })
	}))
}

// overrideWindow lets actions begin outside the window.
func (c *checklist) overrideWindow() tea.Cmd {
	return pane.Push(c.reasoned("outside the window", "Actions may begin outside the window, or after its abort point, until the override expires. Why?", true,
		func(reason string, until time.Time) tea.Cmd {
			return c.ask("override the window", "", "overridden", func(s runbooks.Session) error { return s.OverrideWindow(reason, until) })
		}))
}
