package postgres

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// slice is what one database, user or other has of the sessions.
type slice struct {
	name                                  string
	sessions, active, idle, inTx, waiting int
	limit                                 int // -1: none of its own
}

// tables are the same sessions, cut five ways.
func (o occupancy) tables(limit int) []checks.Table {
	none := func(string) int { return -1 }
	return []checks.Table{
		o.cut("by_database", limit, func(x share) string { return x.Database }, o.limitOf(true)),
		o.cut("by_user", limit, func(x share) string { return x.User }, o.limitOf(false)),
		o.cut("by_app", limit, func(x share) string { return x.App }, none),
		o.cut("by_state", limit, func(x share) string { return x.State }, none),
		o.cut("by_client", limit, func(x share) string { return x.Client }, none),
	}
}

func (o occupancy) limitOf(database bool) func(string) int {
	return func(name string) int {
		for _, l := range o.limits {
			if l.Database == database && l.Name == name {
				return l.Limit
			}
		}
		return -1
	}
}

func (o occupancy) cut(name string, most int, by func(share) string, limit func(string) int) checks.Table {
	slots := o.slots.usable()
	t := checks.Table{Name: name, Columns: []checks.Column{
		{Name: "name", Type: fact.Text}, {Name: "sessions", Type: fact.Count}, {Name: "active", Type: fact.Count}, {Name: "idle", Type: fact.Count},
		{Name: "idle_in_tx", Type: fact.Count}, {Name: "waiting", Type: fact.Count}, {Name: "limit", Type: fact.Text}, {Name: "used", Type: fact.Percent},
	}}
	all := o.sliced(by, limit)
	for _, x := range all[:min(most, len(all))] {
		of, shown := slots, "-"
		if x.limit >= 0 {
			of, shown = x.limit, strconv.Itoa(x.limit)
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(x.name), fact.NumberValue(x.sessions), fact.NumberValue(x.active), fact.NumberValue(x.idle), fact.NumberValue(x.inTx),
			fact.NumberValue(x.waiting), fact.WordValue(shown), fact.PctValue(100 * float64(x.sessions) / float64(max(1, of))),
		})
	}
	return t
}

// sliced are the groups, the largest first.
func (o occupancy) sliced(by func(share) string, limit func(string) int) []slice {
	groups := map[string]*slice{}
	for _, x := range o.shares {
		name := by(x)
		g, ok := groups[name]
		if !ok {
			g = &slice{name: name, limit: limit(name)}
			groups[name] = g
		}
		g.sessions += x.Sessions
		g.waiting += x.Waiting
		switch state := x.State; {
		case state == "active" || state == "fastpath function call":
			g.active += x.Sessions
		case state == "idle":
			g.idle += x.Sessions
		case strings.HasPrefix(state, "idle in transaction"):
			g.inTx += x.Sessions
		}
	}
	var all []slice
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b slice) int { return cmp.Or(b.sessions-a.sessions, cmp.Compare(a.name, b.name)) })
	return all
}
