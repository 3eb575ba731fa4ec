package ui

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	osc52 "github.com/aymanbagabas/go-osc52/v2"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// copyLimit is the longest text in base64 that terminals take: xterm and tmux
// drop more than this without a word.
const copyLimit = 74994

// copying is where repeated presses of y have got to.
type copying struct{ step int }

// copyNext copies the value, then the line, the statement, the pane, the pane
// as Markdown.
func (m *Model) copyNext() tea.Cmd {
	list := m.copies()
	next := list[m.copied.step%len(list)]
	m.copied.step++
	return m.copyOut(next.What, next.Text)
}

func (m *Model) copies() []pane.CopyMsg {
	r := m.regions[m.focus]
	var list []pane.CopyMsg
	at := r.point(m)
	if at.Value != "" {
		list = append(list, pane.CopyMsg{What: "value", Text: at.Value})
	}
	if at.Line != "" {
		list = append(list, pane.CopyMsg{What: "line", Text: at.Line})
	}
	if at.Query != "" {
		list = append(list, pane.CopyMsg{What: "query", Text: at.Query})
	}
	text := plainText(r.lines)
	title := fmt.Sprintf("%s on %s at %s", r.spec.Title, m.deps.Host, m.shownAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	return append(list,
		pane.CopyMsg{What: "pane", Text: text},
		pane.CopyMsg{What: "pane as Markdown", Text: "**" + title + "**\n\n" + fence(text)})
}

// fence is a Markdown code block that its text cannot end.
func fence(text string) string {
	marks := "```"
	for strings.Contains(text, marks) {
		marks += "`"
	}
	return marks + "text\n" + text + "\n" + marks + "\n"
}

func plainText(lines []string) string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		out = append(out, strings.TrimRight(ansi.Strip(l), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// copyOut sends text to the terminal by OSC 52. Whether it arrives cannot be
// known, so it says "sent", not "copied".
func (m *Model) copyOut(what, text string) tea.Cmd {
	if n := base64.StdEncoding.EncodedLen(len(text)); n > copyLimit {
		m.notify(pane.NoticeMsg{Level: checks.Warn, Text: fmt.Sprintf("the %s is too long for the terminal's clipboard (%d of %d bytes)", what, n, copyLimit)})
		return nil
	}
	seq := osc52.New(text)
	switch term := m.deps.Env("TERM"); {
	case m.deps.Env("TMUX") != "":
		seq = seq.Tmux()
	case strings.HasPrefix(term, "screen"):
		seq = seq.Screen()
	}
	return func() tea.Msg {
		if _, err := m.meter.Write([]byte(seq.String())); err != nil {
			return pane.NoticeMsg{Level: checks.Warn, Text: "sending to the terminal: " + err.Error()}
		}
		return pane.NoticeMsg{Level: checks.OK, Text: what + " sent to the terminal (y again: more)"}
	}
}
