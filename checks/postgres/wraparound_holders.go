package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// An xidHolder keeps the ids of rows from being frozen: VACUUM removes and freezes
// nothing that it might still see.
type xidHolder struct {
	Kind string // session, prepared, slot, standby
	Who  string
	XIDs float64 // how many transactions it holds back
	Age  float64 // seconds; NaN: it has no beginning that the server knows
}

// holdingSessionsSQL: those of all databases, because shared tables are held by
// any of them. A VACUUM holds nobody up, our own session neither. A standby
// without a slot holds by the feedback that its walsender relays.
const holdingSessionsSQL = `
SELECT CASE a.backend_type WHEN 'walsender' THEN 'standby' ELSE 'session' END,
       CASE a.backend_type WHEN 'walsender' THEN coalesce(nullif(a.application_name, ''), '?') || coalesce(' at ' || host(a.client_addr), '') || ', pid ' || a.pid
       ELSE 'pid ' || a.pid || ', ' || coalesce(a.usename, a.backend_type) || coalesce(' in ' || a.datname, '') || coalesce(', ' || nullif(a.application_name, ''), '') || coalesce(', ' || a.state, '') END,
       greatest(age(a.backend_xmin), age(a.backend_xid))::float8, coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8, 'NaN')
FROM pg_stat_activity a
WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND a.pid <> pg_backend_pid()
  AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
ORDER BY 3 DESC LIMIT 20`

const holdingPreparedSQL = `
SELECT 'prepared', gid || ', ' || owner || ' in ' || database, age(transaction)::float8, extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts ORDER BY prepared LIMIT 100`

// holdingSlotsSQL: a logical slot holds the system catalogue only, a physical
// one everything that its standby still reads.
const holdingSlotsSQL = `
SELECT 'slot', slot_name || ', ' || slot_type || CASE WHEN active THEN '' ELSE ', without a reader' END || CASE WHEN xmin IS NULL THEN ', the catalogue only' ELSE '' END,
       greatest(age(xmin), age(catalog_xmin))::float8, 'NaN'::float8
FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL ORDER BY 3 DESC LIMIT 20`

// xidHolders are those that were found, most transactions first, and whether any
// may have been missed.
type xidHolders struct {
	all      []xidHolder
	complete bool
	prepared bool // prepared transactions were looked at
}

// holders asks for each kind by itself: who may not see sessions still sees
// slots and prepared transactions.
func (s *Server) holders(ctx context.Context, missing *partial) (xidHolders, error) {
	var h xidHolders
	sessions := "whether a session or a standby holds them back is"
	if err := s.needOthers(); err != nil {
		missing.miss(sessions, err.Error())
	} else {
		found, why, err := part[xidHolder](ctx, s, "sessions that hold xmin", holdingSessionsSQL)
		if err != nil {
			return h, err
		}
		missing.miss(sessions, why)
		h.all, h.complete = found, why == ""
	}
	found, why, err := part[xidHolder](ctx, s, "prepared transactions", holdingPreparedSQL)
	if err != nil {
		return h, err
	}
	missing.miss("whether a prepared transaction holds them back is", why)
	h.all, h.prepared = append(h.all, found...), why == ""
	slots, slotsWhy, err := part[xidHolder](ctx, s, "slots that hold xmin", holdingSlotsSQL)
	if err != nil {
		return h, err
	}
	missing.miss("whether a slot holds them back is", slotsWhy)
	h.all = append(h.all, slots...)
	h.complete = h.complete && h.prepared && slotsWhy == ""
	slices.SortStableFunc(h.all, func(a, b xidHolder) int { return cmp.Compare(b.XIDs, a.XIDs) })
	return h, nil
}

func (h xidHolders) report(f *checks.Findings) {
	if h.prepared {
		count, oldest := 0, 0.0
		for _, x := range h.all {
			if x.Kind == "prepared" {
				count, oldest = count+1, max(oldest, x.Age)
			}
		}
		f.Facts = append(f.Facts, fact.Number("prepared", count), fact.Dur("prepared_age", seconds(oldest)))
	}
	held := 0.0
	if len(h.all) > 0 {
		first := h.all[0]
		held = first.XIDs
		f.Facts = append(f.Facts, fact.Of("holder", word(first.Kind+" "+first.Who)))
		for _, x := range h.all[:min(3, len(h.all))] {
			f.Detail = append(f.Detail, fmt.Sprintf("%s %s holds back %s transactions%s", x.Kind, word(x.Who).Text, fact.FormatNumber(x.XIDs), x.since()))
		}
	}
	if h.complete {
		f.Facts = append(f.Facts, fact.Number("held", held))
	}
}

func (x xidHolder) since() string {
	if math.IsNaN(x.Age) {
		return ""
	}
	return " for " + fact.FormatDuration(seconds(x.Age))
}

func holdersTable(all []xidHolder) checks.Table {
	t := checks.Table{Name: "holders", Columns: []checks.Column{
		{Name: "kind", Type: fact.Text}, {Name: "who", Type: fact.Text}, {Name: "xmin", Type: fact.Count}, {Name: "age", Type: fact.Duration},
	}}
	for _, x := range all {
		t.Rows = append(t.Rows, []fact.Value{fact.WordValue(x.Kind), word(x.Who), fact.NumberValue(x.XIDs), ago(x.Age)})
	}
	return t
}
