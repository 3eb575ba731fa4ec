package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A part that the server refuses is told of and not asked again: neither what
// it forbids, nor what it lacks, nor what took too long. A lock goes away.
func TestAPartThatIsRefusedIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE held (n int)", "GRANT SELECT ON held TO PUBLIC")
	s := serverOf(t, envFor(t, db.DSNAs(plain)))
	holder := sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
	type anything struct{ N int }
	for _, tt := range []struct {
		sql, says string
		again     bool
	}{
		{"SELECT 1 FROM pg_ls_waldir()", "permission denied", false},
		{"SELECT no_such FROM pg_stat_activity", "no_such", false},
		{"SELECT 1 FROM pg_sleep(5)", "statement timeout", false},
		{"SELECT n FROM public.held", "another session holds a lock", true},
	} {
		ask := func() (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, why, err := part[anything](ctx, s, "a part: "+tt.sql, tt.sql)
			return why, err
		}
		why, err := ask()
		if err != nil || !strings.Contains(why, tt.says) {
			t.Errorf("%s: %q, %v", tt.sql, why, err)
		}
		before := s.rollbacks.Load()
		second, err := ask()
		if err != nil || second != why {
			t.Errorf("%s the second time: %q, %v", tt.sql, second, err)
		}
		if asked := s.rollbacks.Load() != before; asked != tt.again {
			t.Errorf("%s: asked again: %v", tt.sql, asked)
		}
	}
	end(t, holder)
	if found, why, err := part[anything](t.Context(), s, "a part: SELECT n FROM public.held", "SELECT n FROM public.held"); why != "" || err != nil || len(found) != 0 {
		t.Errorf("when the lock is gone: %v, %q, %v", found, why, err)
	}
	s.now = func() time.Time { return time.Now().Add(refusedFor + time.Second) }
	before := s.rollbacks.Load()
	if _, why, _ := part[anything](t.Context(), s, "a part: SELECT 1 FROM pg_ls_waldir()", "SELECT 1 FROM pg_ls_waldir()"); why == "" || s.rollbacks.Load() == before {
		t.Error("what was refused is never asked again, though it may have been granted")
	}
	_, _, err := part[anything](t.Context(), serverOf(t, envFor(t, "host="+t.TempDir())), "a part", "SELECT 1")
	if checks.ClassOf(err) != checks.Refused {
		t.Errorf("a server that is gone is %v", err)
	}
}

// Slots that are kept for others are no slots: superuser_reserved_connections
// and, from 16 on, reserved_connections.
func TestReservedSlotsAreNotUsable(t *testing.T) {
	for _, tt := range []struct {
		slots slots
		want  int
	}{{slots{100, 3, 0}, 97}, {slots{100, 3, 5}, 92}, {slots{3, 3, 0}, 1}} {
		if got := tt.slots.usable(); got != tt.want {
			t.Errorf("%+v: %d usable, want %d", tt.slots, got, tt.want)
		}
	}
	start := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	memory := &checks.Memory{}
	look := func(after time.Duration, sessions int) (time.Duration, bool) {
		o := occupancy{slots: slots{100, 3, 7}, shares: []share{{State: "idle", Sessions: sessions}}}
		return o.timeToFull(memory, start.Add(after))
	}
	for i, tt := range []struct {
		after    time.Duration
		sessions int
		want     time.Duration // 0: none is told
	}{
		{0, 10, 0}, {10 * time.Second, 30, 0}, {time.Minute, 30, 3 * time.Minute}, {2 * time.Minute, 50, 2 * time.Minute},
		{3 * time.Minute, 11, 0}, {20 * time.Minute, 11, 0}, {21 * time.Minute, 51, time.Minute * 39 / 40},
	} {
		if got, told := look(tt.after, tt.sessions); told != (tt.want > 0) || got != tt.want {
			t.Errorf("look %d: full in %s (%v), want %s", i, got, told, tt.want)
		}
	}
}
