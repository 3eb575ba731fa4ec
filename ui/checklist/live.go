package checklist

import (
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

const (
	// followEvery is how often the output of a running action is asked for.
	followEvery = 500 * time.Millisecond

	// keptOutput is how much of it a deck keeps; the record has the rest.
	keptOutput = 64 << 10
)

// live is what is seen of an action that runs, or ran last.
type live struct {
	item string
	text string
	runbooks.Live
	err error
}

// heard is the answer to the wish for more of it.
type heard struct {
	session *session
	item    string
	live    runbooks.Live
	err     error
}

// acting is the action that runs, if one does.
func (n news) acting() (runbooks.ItemRun, bool) {
	for _, it := range n.run.Items {
		if it.Kind == runbooks.Action && (it.State == runbooks.Running || it.State == runbooks.Cancelling) {
			return it, true
		}
	}
	return runbooks.ItemRun{}, false
}

// follow asks for more output of the running action, unless that is asked for
// already; the answer asks again.
func (c *checklist) follow() tea.Cmd {
	it, acting := c.run.news.acting()
	if !acting || c.following {
		return nil
	}
	if c.live.item != it.ID || c.live.Next == 0 && c.live.text != "" {
		c.live = live{item: it.ID}
	}
	c.following = true
	s, from := c.run, c.live.Next
	return pane.Reply(ID, func() any {
		select {
		case <-time.After(followEvery):
		case <-c.deps.Ctx.Done():
		}
		more, err := s.Live(it.ID, from)
		return heard{s, it.ID, more, err}
	})
}

func (c *checklist) hear(m heard) tea.Cmd {
	c.following = false
	if m.session != c.run {
		return nil
	}
	c.live.err = m.err
	if m.err == nil && m.item == c.live.item {
		text := c.live.text + m.live.Text
		if over := len(text) - keptOutput; over > 0 {
			text = text[over:]
			if _, rest, ok := strings.Cut(text, "\n"); ok {
				text = rest
			}
		}
		c.live.text, c.live.Live = text, m.live
		c.learn(c.run.news)
	}
	return c.follow()
}

// progress is how far a running action is, in words: "scanning heap 43 %".
func (c *checklist) progress(it runbooks.ItemRun) string {
	if c.live.item != it.ID || c.live.At.IsZero() {
		return ""
	}
	p := c.live.Progress
	if p.Total <= 0 {
		return p.What
	}
	return strings.TrimSpace(fmt.Sprintf("%s %.0f %%", p.What, 100*min(1, p.Done/p.Total)))
}

// output are the last lines of an action's output.
func (c *checklist) output(f pane.Frame, it runbooks.ItemRun) []string {
	text := ""
	if a, ok := it.Latest(); ok && a.Outcome != nil {
		text = a.Outcome.Tail
	}
	if c.live.item == it.ID && c.live.text != "" {
		text = c.live.text
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var lines []string
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, pane.Wrap(l, f.W)...)
	}
	const most = 200
	if len(lines) > most {
		lines = append([]string{fmt.Sprintf("(%d earlier lines)", len(lines)-most)}, lines[len(lines)-most:]...)
	}
	return lines
}
