package markdown

import (
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// window reads the maintenance window of the front matter. A window with a
// mistake in it is reported and left out.
func (p *parse) window(f *fields) {
	p.declaresWindow = f.has("window")
	m, ok := f.get("window", mapping)
	if !ok {
		return
	}
	inner := read(m, p.report)
	before := len(p.report.list)
	w := civil.Window{
		Length: inner.duration("length"), Notice: inner.duration("notice"), Reserve: inner.duration("rollback_reserve"),
		Zone: p.book.Zone,
	}
	var err error
	if days := inner.text("days"); days != "" {
		if w.Days, err = civil.ParseDays(days); err != nil {
			p.report.err(inner.valueAt("days"), "wrong-type", "", "window: %v", err)
		}
	}
	if start := inner.text("start"); start != "" {
		if w.Start, err = civil.ParseClock(start); err != nil {
			p.report.err(inner.valueAt("start"), "wrong-type", "", "window: %v", err)
		}
	}
	for _, key := range []string{"days", "start", "length"} {
		if !inner.has(key) {
			p.report.err(f.at("window"), "wrong-type", `write {days: first sun, start: "02:00", length: 2h}`, "the window has no %s", key)
		}
	}
	inner.rest("window")
	if len(p.report.list) == before {
		p.keepWindow(w, inner)
	}
}

// keepWindow takes a window whose lengths agree.
func (p *parse) keepWindow(w civil.Window, f *fields) {
	err := w.Validate()
	if err == nil {
		p.book.Window = &w
		return
	}
	key, what, _ := strings.Cut(err.Error(), ": ")
	if key == "reserve" {
		key = "rollback_reserve"
	}
	p.report.err(f.valueAt(key), "wrong-type", "", "window: %s: %s", key, what)
}

// inWindow checks a section against the window that it is done in.
func (p *parse) inWindow(d *draft) {
	if !d.bound || !d.InWindow() && d.Plan.Cadence != schedule.Window {
		return
	}
	if i := slices.Index(d.Requires, "in_window"); i >= 0 && !p.declaresWindow {
		p.report.warn(d.f.valueAt("requires"), "no-window", `write window: {days: first sun, start: "02:00", length: 2h} in the front matter`,
			"the section begins in the window only, and none is declared")
	}
	w := p.book.Window
	if w == nil || d.Budget == 0 {
		return
	}
	const code = "budget-over-window"
	at, usable := d.f.valueAt("budget"), w.Length-w.Reserve
	switch {
	case d.Budget > w.Length:
		p.report.err(at, code, "", "the budget of %s is longer than the window of %s", fact.FormatDuration(d.Budget), fact.FormatDuration(w.Length))
	case d.Budget > usable:
		p.report.warn(at, code, "shorten one of them", "the budget of %s does not leave the rollback reserve: the window of %s has %s without it",
			fact.FormatDuration(d.Budget), fact.FormatDuration(w.Length), fact.FormatDuration(usable))
	}
}
