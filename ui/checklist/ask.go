package checklist

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// evidence asks for every field of a confirm; each is checked as it is typed.
func (c *checklist) evidence(it runbooks.ItemRun, item runbooks.Item) tea.Cmd {
	form := &pane.Form{Head: it.Title, Lines: []string{"What was found?"}}
	if text := rules(item.Rules); text != "" {
		form.Lines = append(form.Lines, "Judged by: "+text)
	}
	for _, field := range item.Evidence {
		form.Entries = append(form.Entries, pane.Entry{Label: field.Name + " (" + hint(field.Type) + ")", Check: c.fieldCheck(field)})
	}
	form.Done = func(texts []string) tea.Cmd {
		given := map[string]string{}
		for i, field := range item.Evidence {
			given[field.Name] = texts[i]
		}
		return c.ask("confirm "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Confirm(it.ID, given) })
	}
	return pane.Push(form)
}

// fieldCheck reads one field as the record will.
func (c *checklist) fieldCheck(field runbooks.Field) func(string) error {
	alone := runbooks.Item{Evidence: []runbooks.Field{field}}
	return func(text string) error {
		_, err := alone.Judge(map[string]string{field.Name: text}, c.deps.Now(), time.Time{}, c.zone())
		return err
	}
}

func hint(t runbooks.FieldType) string {
	switch t {
	case runbooks.TimeField:
		return "2026-11-23 14:05"
	case runbooks.URLField:
		return "https://..."
	case runbooks.BoolField:
		return "yes or no"
	}
	return string(t)
}

// rules is what judges an item, in words.
func rules(r checks.Rules) string {
	var parts []string
	if r.Warn.Text != "" {
		parts = append(parts, "warn: "+r.Warn.Text)
	}
	if r.Fail.Text != "" {
		parts = append(parts, "fail: "+r.Fail.Text)
	}
	return strings.Join(parts, "; ")
}

// decide asks for one of the options, by its name or its number.
func (c *checklist) decide(it runbooks.ItemRun) tea.Cmd {
	lines := []string{"Type the name or the number."}
	for i, o := range it.Options {
		text := fmt.Sprintf("%d  %s", i+1, o.Name)
		if o.Item != "" {
			text += "  leads to " + o.Item
		}
		lines = append(lines, text)
	}
	named := func(text string) (string, bool) {
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(it.Options) {
			return it.Options[n-1].Name, true
		}
		i := slices.IndexFunc(it.Options, func(o runbooks.Option) bool { return o.Name == text })
		return text, i >= 0
	}
	return pane.Push(pane.Prompt(it.Title, lines, func(text string) error {
		if _, ok := named(text); !ok {
			return errors.New("that is not one of them")
		}
		return nil
	}, func(text string) tea.Cmd {
		name, _ := named(text)
		return c.ask("decide "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Decide(it.ID, name) })
	}))
}

func (c *checklist) skip(it runbooks.ItemRun) tea.Cmd {
	return pane.Push(c.reasoned("skip: "+it.Title, "Why is it left out? Until when does that hold? Nothing means: this run.", false,
		func(reason string, until time.Time) tea.Cmd {
			return c.ask("skip "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Skip(it.ID, reason, until) })
		}))
}

func (c *checklist) override(it runbooks.ItemRun) tea.Cmd {
	return pane.Push(c.reasoned("override: "+it.Title, "Its result stays failed, but what needs it may go on until the override expires. Why?", true,
		func(reason string, until time.Time) tea.Cmd {
			return c.ask("override "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Override(it.ID, reason, until) })
		}))
}

// reasoned asks for a reason and a time.
func (c *checklist) reasoned(head, line string, need bool, done func(string, time.Time) tea.Cmd) *pane.Form {
	return &pane.Form{
		Head: head, Lines: []string{line},
		Entries: []pane.Entry{
			{Label: "reason"},
			{Label: "until (8h, 3d, 2026-11-23 14:05)", Check: func(text string) error {
				if text == "" && !need {
					return nil
				}
				_, err := c.until(text)
				return err
			}},
		},
		Done: func(texts []string) tea.Cmd {
			var at time.Time
			if texts[1] != "" {
				at, _ = c.until(texts[1]) // checked before
			}
			return done(texts[0], at)
		},
	}
}

// until reads a time in the future, or how long from now.
func (c *checklist) until(text string) (time.Time, error) {
	now := c.deps.Now()
	if d, err := checks.ParseDuration(text); err == nil {
		if d <= 0 {
			return time.Time{}, errors.New("that is not in the future")
		}
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, c.zone()); err == nil {
			if !at.After(now) {
				return time.Time{}, errors.New("that is not in the future")
			}
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time (write 8h, 3d or 2026-11-23 14:05)", text)
}

// anything accepts nothing at all, too.
func anything(string) error { return nil }

func (c *checklist) acknowledge(it runbooks.ItemRun) tea.Cmd {
	return pane.Push(pane.Prompt("seen: "+it.Title, []string{"It stays " + word(it.State) + ". What is done about it? (may be empty)"}, anything, func(text string) tea.Cmd {
		return c.ask("acknowledge "+it.ID, it.ID, "", func(s runbooks.Session) error { return s.Acknowledge(it.ID, text) })
	}))
}

func (c *checklist) note(it runbooks.ItemRun) tea.Cmd {
	return pane.Push(pane.Prompt("note: "+it.Title, nil, nil, func(text string) tea.Cmd {
		return c.ask("note "+it.ID, "", "noted", func(s runbooks.Session) error { return s.Note(it.ID, text) })
	}))
}

func (c *checklist) runNote() tea.Cmd {
	return pane.Push(pane.Prompt("note on the run", nil, nil, func(text string) tea.Cmd {
		return c.ask("note", "", "noted", func(s runbooks.Session) error { return s.Note("", text) })
	}))
}

// sign signs the item under the cursor if it asks for signatures, else the run.
func (c *checklist) sign(it runbooks.ItemRun) tea.Cmd {
	item, what := "", "the run "+c.run.news.run.ID
	if it.State == runbooks.Armed {
		return c.showPreview(it.ID) // nobody signs what they have not read
	}
	if it.Signers > 0 {
		item, what = it.ID, it.Title
	}
	return pane.Push(pane.Prompt("sign: "+what, []string{"In which role? (may be empty)"}, anything, func(role string) tea.Cmd {
		return c.ask("sign", "", "signed", func(s runbooks.Session) error { return s.Sign(item, role, runbooks.Hash{}) })
	}))
}

func (c *checklist) finish() tea.Cmd {
	n := c.run.news
	lines := []string{"It will be recorded as " + strings.ReplaceAll(string(n.run.Outcome()), "_", " ") + ". A word about it? (may be empty)"}
	return pane.Push(pane.Prompt("finish "+n.run.ID, lines, anything, func(text string) tea.Cmd {
		return c.ask("finish", "", "finished", func(s runbooks.Session) error { return s.Finish(text) })
	}))
}

func titles(list []runbooks.ItemRun) string {
	names := make([]string, len(list))
	for i, it := range list {
		names[i] = it.Title
	}
	return strings.Join(names, "; ")
}

func (c *checklist) abort() tea.Cmd {
	n := c.run.news
	lines := []string{"The run is given up and does not count as done. Why?"}
	switch ways := n.run.WaysOut(); {
	case n.run.State == runbooks.Aborting:
		return c.ask("abort", "", "", func(s runbooks.Session) error { return s.Abort(n.run.Aborting.Text) })
	case n.run.Touched() && len(ways) > 0:
		lines = append(lines, "Something was changed. What leads back is offered first: "+titles(ways))
	}
	return pane.Push(pane.Prompt("give up "+n.run.ID, lines, nil, func(text string) tea.Cmd {
		return c.ask("abort", "", "given up", func(s runbooks.Session) error { return s.Abort(text) })
	}))
}
