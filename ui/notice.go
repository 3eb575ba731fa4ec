package ui

import (
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// infoTime is how long a notice stays that nobody has to acknowledge.
const infoTime = 4 * time.Second

// keepNotices is how many are kept to be read again with :notices.
const keepNotices = 100

// A notice is one line for the operator.
type notice struct {
	level checks.Level
	text  string
	at    time.Time
	topic string // the newest notice of a topic takes the place of the others
}

// notices are those on screen and those gone by. Of several, an error is shown
// before an information and the newest before older ones.
type notices struct {
	open []notice
	past []notice // newest last
}

func (n *notices) add(at notice) {
	if at.topic != "" {
		n.open = slices.DeleteFunc(n.open, func(old notice) bool { return old.topic == at.topic })
	}
	n.open = append(n.open, at)
	n.past = append(n.past, at)
	if len(n.past) > keepNotices {
		n.past = n.past[len(n.past)-keepNotices:]
	}
}

// sticks reports a notice that stays until it is acknowledged.
func (n notice) sticks() bool { return n.level == checks.Crit || n.level == checks.Unknown }

// expire drops what has been shown long enough.
func (n *notices) expire(now time.Time) {
	var left []notice
	for _, at := range n.open {
		if at.sticks() || now.Sub(at.at) < infoTime {
			left = append(left, at)
		}
	}
	n.open = left
}

// top is the notice to show.
func (n *notices) top() (notice, bool) {
	var best notice
	found := false
	for _, at := range n.open {
		if !found || at.sticks() || !best.sticks() {
			best, found = at, true
		}
	}
	return best, found
}

// acknowledge takes away the notice that is shown.
func (n *notices) acknowledge() bool {
	top, ok := n.top()
	if !ok {
		return false
	}
	for i := len(n.open) - 1; i >= 0; i-- {
		if n.open[i] == top {
			n.open = append(n.open[:i], n.open[i+1:]...)
			return true
		}
	}
	return false
}

// notify puts a line on the deck and into the log.
func (m *Model) notify(msg pane.NoticeMsg) {
	at := notice{msg.Level, pane.Plain(msg.Text), m.deps.Now().Truncate(time.Second), msg.Topic}
	m.notices.add(at)
	if at.sticks() {
		m.deps.Log.Error("notice", "text", at.text)
	}
}

func (m *Model) say(format string, a ...any) {
	m.notify(pane.NoticeMsg{Level: checks.OK, Text: fmt.Sprintf(format, a...)})
}

// line draws the notice that is shown, if any.
func (m *Model) noticeLine(f pane.Frame) (string, bool) {
	top, ok := m.notices.top()
	if !ok {
		return "", false
	}
	text := top.text
	if n := len(m.notices.open); n > 1 {
		text = fmt.Sprintf("%s (+%d)", text, n-1)
	}
	if !top.sticks() {
		return f.Cut(" "+text, f.W), true
	}
	text += "  " + age(m.now.Sub(top.at)) + " ago, esc=seen"
	return f.Theme.Level(top.level).Render(f.Cut(pane.Plain(" !! "+text), f.W)), true
}
