package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A slot keeps WAL for a reader, whether that comes or not.
type slot struct {
	Name, Kind string // physical, or the plugin of a logical one
	Active     bool
	Status     string   // reserved, extended, unreserved, lost
	Retained   float64  // bytes
	Safe       *float64 // bytes until it may be lost; nil: no max_slot_wal_keep_size
	Inactive   *float64 // seconds since its reader went; nil: the server does not say
	Why        string   // why it is lost
}

// walSlotsSQL: since when nobody reads is known from version 17 on.
var walSlotsSQL = byVersion{
	{170000, slotHead + `, CASE WHEN NOT active THEN extract(epoch FROM clock_timestamp() - inactive_since) END::float8, coalesce(invalidation_reason, '')` + slotTail},
	{0, slotHead + `, NULL::float8, ''` + slotTail},
}

const (
	slotHead = `SELECT slot_name::text, coalesce(plugin::text, slot_type), active, coalesce(wal_status, '?'),
  coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::float8, safe_wal_size::float8`

	slotTail = ` FROM pg_replication_slots WHERE NOT temporary ORDER BY 1 LIMIT 100`
)

// allSlots are the slots, with what is needed to tell how long it goes well.
type allSlots struct {
	all   []slot
	rate  float64 // bytes of WAL a second
	known bool    // the rate is
	took  time.Duration
	disk  disk // of pg_wal
}

func (s *Server) slots(ctx context.Context, env checks.Env) (allSlots, error) {
	var found allSlots
	now, rate, took, known, err := s.walPace(ctx, "pg.replication", 0)
	if err != nil {
		return found, err
	}
	found.rate, found.known, found.took, found.disk = rate, known, took, s.walDisk(now)
	settings, _ := s.Settings()
	if found.all, err = many[slot](ctx, s, "pg.replication", walSlotsSQL.at(settings.Version)); err != nil {
		return found, err
	}
	seenInactive(env.Memory, found.all, now.At)
	return found, nil
}

// seenInactive fills in, where the server does not say, since when a slot has
// been seen without a reader: at least so long.
func seenInactive(memory *checks.Memory, all []slot, now time.Time) {
	before, _ := checks.Remembered[map[string]time.Time](memory, "inactive")
	seen := map[string]time.Time{}
	for i, x := range all {
		if x.Active {
			continue
		}
		since, ok := before[x.Name]
		if !ok {
			since = now
		}
		seen[x.Name] = since
		if x.Inactive == nil {
			seconds := now.Sub(since).Seconds()
			all[i].Inactive = &seconds
		}
	}
	checks.Remember(memory, "inactive", seen)
}

func (a allSlots) inactive() (n int) {
	for _, x := range a.all {
		if !x.Active {
			n++
		}
	}
	return n
}

// left is how long a slot that nobody reads goes well: until the disk of
// pg_wal is full, or the slot is lost for the sake of the disk.
func (a allSlots) left(x slot) (time.Duration, bool) {
	if x.Active || x.Status == "lost" || !a.known || a.took < rateLasting || a.rate <= 0 {
		return 0, false
	}
	free := math.Inf(1)
	if a.disk.free >= 0 {
		free = a.disk.free
	}
	if x.Safe != nil {
		free = min(free, max(0, *x.Safe))
	}
	if math.IsInf(free, 1) {
		return 0, false
	}
	return untilFull(free, a.rate), true
}

func (a allSlots) describe(f *checks.Findings) {
	lost := 0
	for _, x := range a.all {
		name := word(x.Name).Text
		f.Facts = append(f.Facts, fact.Size("retained", max(0, x.Retained)).On(name))
		if left, ok := a.left(x); ok {
			f.Facts = append(f.Facts, fact.Dur("hours_left", left).On(name))
		}
		switch {
		case x.Status == "lost":
			lost++
			f.Detail = append(f.Detail, fmt.Sprintf("slot %s is lost: the WAL that its reader needs is gone %s", name, x.Why))
		case !x.Active:
			f.Detail = append(f.Detail, fmt.Sprintf("slot %s has no reader and keeps %s (%s)", name, fact.FormatBytes(max(0, x.Retained)), x.Status))
		}
	}
	if a.inactive() > 0 && a.disk.free < 0 {
		f.Detail = append(f.Detail, "when pg_wal is full is not known: "+a.disk.why)
	}
	f.Facts = append(f.Facts, fact.Number("inactive_slots", a.inactive()), fact.Number("lost_slots", lost))
	if a.known {
		f.Facts = append(f.Facts, fact.Flag("idle", a.rate == 0))
	}
}

func (a allSlots) table() checks.Table {
	t := checks.Table{Name: "slots", Columns: []checks.Column{
		{Name: "slot", Type: fact.Text}, {Name: "kind", Type: fact.Text}, {Name: "active", Type: fact.Bool}, {Name: "retained", Type: fact.Bytes},
		{Name: "wal_status", Type: fact.Text}, {Name: "safe", Type: fact.Bytes}, {Name: "inactive", Type: fact.Duration}, {Name: "hours_left", Type: fact.Duration},
	}}
	for _, x := range a.all {
		safe, left := none, unknown(fact.Duration)
		if x.Safe != nil {
			safe = fact.SizeValue(*x.Safe)
		}
		switch d, ok := a.left(x); {
		case ok:
			left = fact.DurValue(d)
		case x.Active || x.Status == "lost":
			left = none
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(x.Name), word(x.Kind), fact.FlagValue(x.Active), fact.SizeValue(max(0, x.Retained)), word(x.Status), safe, age(x.Inactive), left,
		})
	}
	return t
}
