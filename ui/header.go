package ui

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// header is the one line that is always there: where, when, who, and how bad.
// It is also the only one that changes every second. Where there is no room
// the user goes first, then the uptime and the site; the counts stay.
func (m *Model) header(f pane.Frame) string {
	counts := m.counts(f.W < gridWidth-20)
	badges := m.badges()
	right := counts
	if badges != "" {
		right = badges + "  " + counts
	}
	room := f.W - pane.Width(right) - 2
	left := f.Theme.Strong.Render(pane.Plain(m.deps.Host))
	for i, forms := range m.headParts(f.Theme.Ellipsis) {
		gap := "  "
		if i == 0 {
			gap = " "
		}
		for _, part := range forms {
			if part != "" && pane.Width(left)+len(gap)+pane.Width(part) <= room {
				left += gap + part
				break
			}
		}
	}
	if room < pane.Width(left) {
		left = pane.Cut(left, max(0, room), f.Theme.Ellipsis)
	}
	gap := f.W - pane.Width(left) - pane.Width(right) - 1
	return " " + left + strings.Repeat(" ", max(1, gap)) + right
}

// headParts are site, clock, site file, uptime and user, each in the forms that it
// may have, the longest first; what does not fit in any is left out. The clock is
// short enough to fit where anything does.
func (m *Model) headParts(ellipsis string) [][]string {
	clock := m.now.UTC().Format("15:04:05Z")
	if m.size.W >= 120 {
		clock = m.now.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return [][]string{
		{pane.Plain(m.deps.Site)}, {clock}, shortened(pane.Plain(m.deps.SiteFile), ellipsis), {m.uptime()}, {pane.Plain(m.deps.User)},
	}
}

// shortened is a path whole, with its last two parts, and with its last.
func shortened(path, ellipsis string) []string {
	if path == "" {
		return nil
	}
	base, folder := filepath.Base(path), filepath.Base(filepath.Dir(path))
	return []string{path, ellipsis + "/" + folder + "/" + base, ellipsis + "/" + base}
}

func (m *Model) uptime() string {
	st, ok := m.snap.State("sys.uptime")
	if !ok {
		return ""
	}
	up, ok := st.Result.Fact("up", "")
	if !ok || up.Type != fact.Duration {
		return ""
	}
	return "up " + age(up.Dur())
}

func (m *Model) badges() string {
	var badges []string
	if !m.paused.IsZero() {
		badges = append(badges, m.theme.Badge.Render("PAUSED"))
	}
	if m.deps.ReadOnly {
		badges = append(badges, "READ-ONLY")
	}
	return strings.Join(badges, " ")
}

// counts says how many checks are how: "CRIT 2  WARN 3  UNK 1  held 7  ok 19".
func (m *Model) counts(short bool) string {
	number, held := m.tally()
	var parts []string
	for _, l := range []checks.Level{checks.Crit, checks.Warn, checks.Unknown} {
		text := fmt.Sprintf("%s %d", theme.Word(l), number[l])
		if short {
			text = fmt.Sprintf("%s%d", strings.TrimSpace(theme.Mark(l)), number[l])
		}
		if number[l] > 0 {
			text = m.theme.Level(l).Render(text)
		}
		parts = append(parts, text)
	}
	if short {
		return strings.Join(append(parts, fmt.Sprintf("ok%d", number[checks.OK])), " ")
	}
	if held > 0 {
		parts = append(parts, fmt.Sprintf("held %d", held))
	}
	if m.size.W >= 120 && number[checks.Skipped] > 0 {
		parts = append(parts, fmt.Sprintf("skip %d", number[checks.Skipped]))
	}
	return strings.Join(append(parts, fmt.Sprintf("ok %d", number[checks.OK])), "  ")
}

// tally counts what the list shows: held checks apart, stuck and old ones as
// unknown, and those that have not run yet nowhere.
func (m *Model) tally() (number map[checks.Level]int, held int) {
	number = map[checks.Level]int{}
	for _, st := range m.snap.States {
		switch {
		case !st.Known() && !st.Stuck, st.Collecting() && !st.Stuck, st.Idle(m.shownAt):
		case st.HeldBy != "":
			held++
		default:
			number[shownLevel(st, m.shownAt)]++
		}
	}
	return number, held
}

// footer is the notice or the state of the view, and the keys.
func (m *Model) footer(f pane.Frame) []string {
	if f.H <= 0 {
		return nil
	}
	f = f.In(f.W, f.H)
	top := m.statusLine(f)
	if line, ok := m.noticeLine(f); ok {
		top = line
	}
	if m.typing != nil {
		return pane.Fit(m.typing.view(f)+pick(f.H > 1, "\n"+m.helpLine(f), ""), f.W, f.H)
	}
	if f.H == 1 {
		if _, ok := m.noticeLine(f); ok {
			return []string{top}
		}
		return []string{m.helpLine(f)}
	}
	return []string{top, m.helpLine(f)}
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// statusLine says whether to trust the view: live or paused, how many checks
// are in trouble of their own, and what the deck costs. It changes every few
// seconds at most.
func (m *Model) statusLine(f pane.Frame) string {
	parts := []string{m.freshness(), fmt.Sprintf("%d checks", m.count(func(watch.State) bool { return true }))}
	if n := m.count(func(s watch.State) bool { return s.Stuck }); n > 0 {
		parts = append(parts, fmt.Sprintf("%d stuck", n))
	}
	if n := m.count(func(s watch.State) bool { return !s.Known() && !s.Stuck }); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not run yet", n))
	}
	if n := m.snap.Abandoned; n > 0 {
		parts = append(parts, fmt.Sprintf("%d abandoned", n))
	}
	parts = append(parts, m.costText())
	return f.Theme.Faint.Render(f.Cut(" "+strings.Join(parts, "   "), f.W))
}

// oldView is the age at which a view with nothing new is called old: longer
// than any module's interval that is on screen by default.
const oldView = 30 * time.Second

func (m *Model) freshness() string {
	switch quiet := m.shownAt.Sub(m.snap.At); {
	case !m.paused.IsZero():
		return "PAUSED at " + m.paused.UTC().Format("15:04:05Z") + " (p=live)"
	case m.snap.At.IsZero():
		return "STARTING"
	case quiet > oldView:
		return "NOTHING NEW for " + age(quiet)
	}
	return "LIVE"
}

func (m *Model) count(is func(watch.State) bool) int {
	n := 0
	for _, st := range m.snap.States {
		if !st.Idle(m.shownAt) && is(st) {
			n++
		}
	}
	return n
}

// costText is the deck's own cost, rounded so that noise does not redraw it.
func (m *Model) costText() string {
	if m.cost.RSS == 0 {
		return "self -"
	}
	return fmt.Sprintf("self %.1f %% cpu  %d MiB  %.1f kB/s", m.cost.CPU, m.cost.RSS>>20, m.cost.Rate/1000)
}
