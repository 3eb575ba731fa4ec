package calendar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// conflict is something that fires while the window is open.
type conflict struct {
	at      time.Time // the first time
	times   int
	who     string // the user it runs as
	command string
	source  string // "/etc/crontab:12", "backup.timer"
}

// plan is what was found out about an opening.
type plan struct {
	found  []conflict
	unread []string // what could not be read and may hold more
	notes  []string // what is known not to be counted
}

// survey looks for what fires within the opening. Only the end of the context
// and a root that holds no host are errors; whatever else cannot be read is
// part of the plan.
func survey(ctx context.Context, env checks.Env, o civil.Opening) (plan, error) {
	p := &plan{}
	h := host(env.Root)
	if !h.exists("etc") {
		return plan{}, checks.Failed(checks.Missing, "there is no %s: nothing says what is planned", h.path("etc"))
	}
	zone, err := h.zone()
	if err != nil {
		p.miss("/etc/localtime", err)
		zone = o.Start.Location()
	}
	for _, tab := range h.crontabs(p) {
		p.addCrontab(h, tab, o, zone)
	}
	p.anacron(h)
	if h.exists("run/systemd/system") {
		p.addTimers(ctx, env, o)
	}
	slices.SortStableFunc(p.found, func(a, b conflict) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.source, b.source))
	})
	return *p, ctx.Err()
}

// miss notes a source that could not be read.
func (p *plan) miss(source string, err error) {
	var path *fs.PathError
	why := err.Error()
	if errors.As(err, &path) {
		why = path.Err.Error()
	}
	p.unread = append(p.unread, source+": "+why)
}

func (p *plan) detail() []string {
	var lines []string
	for _, u := range p.unread {
		lines = append(lines, "careful: not read, may hold more: "+u)
	}
	return append(lines, p.notes...)
}

// maxCommand is how much of a command a table shows, in cells.
const maxCommand = 120

func (p *plan) table() checks.Table {
	t := checks.Table{Name: "conflicts", Columns: []checks.Column{
		{Name: "when", Type: fact.Time}, {Name: "times", Type: fact.Count}, {Name: "who", Type: fact.Text},
		{Name: "command", Type: fact.Text}, {Name: "source", Type: fact.Text},
	}}
	for _, c := range p.found {
		t.Rows = append(t.Rows, []fact.Value{
			fact.TimeValue(c.at), fact.NumberValue(c.times), fact.WordValue(c.who),
			fact.WordValue(clean.Line(c.command, maxCommand)), fact.WordValue(c.source),
		})
	}
	return t
}

// addCrontab counts the entries of one crontab that fire in the opening.
func (p *plan) addCrontab(h host, tab crontab, o civil.Opening, zone *time.Location) {
	content, err := h.read(tab.path)
	if errors.Is(err, fs.ErrNotExist) {
		return // removed since the folder was listed
	}
	source := "/" + tab.path
	if err != nil {
		p.miss(source, err)
		return
	}
	entries, bad := parseCrontab(string(content), tab.owner)
	for _, b := range bad {
		p.miss(fmt.Sprintf("%s:%d", source, b.line), b.err)
	}
	for _, e := range entries {
		at := fmt.Sprintf("%s:%d", source, e.line)
		zones, err := e.zones(zone)
		if err != nil {
			p.miss(at, err)
		}
		first, times := firstIn(e, o, zones)
		if times == 0 {
			continue
		}
		for _, command := range p.commands(h, e.command, at) {
			p.found = append(p.found, conflict{first.In(o.Start.Location()), times, e.user, command, at})
		}
	}
}

// firstIn is the first firing of an entry in the opening in any of the zones,
// and how often it fires in that zone.
func firstIn(e entry, o civil.Opening, zones []*time.Location) (first time.Time, times int) {
	for _, zone := range zones {
		at := e.spec.firings(o.Start, o.End, zone)
		if len(at) > 0 && (times == 0 || at[0].Before(first)) {
			first, times = at[0], len(at)
		}
	}
	return first, times
}
