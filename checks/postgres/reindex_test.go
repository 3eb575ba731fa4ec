package postgres

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestReindexRebuildsWhatIsBloated(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, span int4range, EXCLUDE USING gist (span WITH &&))",
		"INSERT INTO users SELECT i, md5(i::text), int4range(i, i + 1) FROM generate_series(1, 20000) i", "DELETE FROM users WHERE id % 10 <> 0", "VACUUM ANALYZE users")
	raw := map[string]any{"min_size": "100KiB"}
	preview := y.preview(t, Reindex, raw)
	expect(t, preview, checks.OK, "")
	contains(t, cells(t, preview, "indexes"), "users_email_key", "users_pkey")
	if strings.Contains(cells(t, preview, "indexes"), "span") {
		t.Error("auto takes an index that it cannot estimate")
	}
	res := y.whole(t, Reindex, raw)
	expect(t, res, checks.OK, "")
	if got := num(t, res, "reclaimed", ""); got < 500<<10 {
		t.Errorf("reclaimed %v bytes", got)
	}
	expect(t, y.preview(t, Reindex, raw), checks.Skipped, checks.Unconfigured)
	// A table by name takes all but the index of the exclusion constraint.
	contains(t, said(y.preview(t, Reindex, map[string]any{"tables": []string{"users"}})), "users_span_excl: an exclusion constraint")
	one := y.whole(t, Reindex, map[string]any{"indexes": []string{"users_pkey"}})
	if n := num(t, one, "indexes", ""); n != 1 {
		t.Errorf("one index by name rebuilds %v", n)
	}
}

// waiting begins a rebuild that waits for an old transaction to end.
func (y *yard) waiting(ctx context.Context, t *testing.T, raw map[string]any) (holder *pgx.Conn, ended chan checks.Result) {
	t.Helper()
	expect(t, y.preview(t, Reindex, raw), checks.OK, "")
	holder = sessionWith(t, y.db.DSN, "BEGIN", "UPDATE users SET id = id WHERE id = 1")
	ended = make(chan checks.Result, 1)
	go func() { ended <- y.actIn(ctx, t, Reindex, raw) }()
	eventually(t, y.watch, "it waits for the old transaction", "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' AND datname = current_database())")
	return holder, ended
}

func TestACancelledRebuildIsNamedByTheNextPreview(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY)", "INSERT INTO users SELECT generate_series(1, 100)")
	raw := map[string]any{"tables": []string{"users"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder, ended := y.waiting(ctx, t, raw)
	during := y.probe(t, Reindex, raw)
	if !flag(t, during, "running") || flag(t, during, "done") || num(t, during, "leftovers", "") != 0 {
		t.Errorf("while it is built the probe says %v", during.Facts)
	}
	cancel()
	res := <-ended
	if res.Level != checks.Unknown {
		t.Errorf("cancelled it is %v", res.Level)
	}
	contains(t, said(res), "cancelled", "an invalid index may be left")
	probed := y.probe(t, Reindex, raw)
	expect(t, probed, checks.Crit, "")
	if flag(t, probed, "running") || num(t, probed, "leftovers", "") != 1 {
		t.Errorf("afterwards the probe says %v", probed.Facts)
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	const statement = `DROP INDEX CONCURRENTLY "public"."users_pkey_ccnew"`
	preview := y.preview(t, Reindex, raw)
	contains(t, said(preview), statement, "the copy of a rebuild that failed")
	if n := num(t, preview, "indexes", ""); n != 1 {
		t.Errorf("%v indexes are to be rebuilt, the leftover among them", n)
	}
	res = y.act(t, Reindex, raw)
	expect(t, res, checks.Warn, "") // done, and the leftover is still there
	contains(t, said(res), statement)
	expect(t, y.probe(t, Reindex, raw), checks.OK, "")
	y.db.Exec(t, statement)
	res = y.whole(t, Reindex, raw)
	expect(t, res, checks.OK, "")
}

func TestARebuildSaysForWhomItWaits(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY)", "INSERT INTO users SELECT generate_series(1, 100)")
	var mu sync.Mutex
	var heard []string
	waits := make(chan struct{})
	y.own.Progress = func(p checks.Progress) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, p.What)
		if strings.Contains(p.What, "for session") && waits != nil {
			close(waits)
			waits = nil
		}
	}
	told := waits
	holder, ended := y.waiting(t.Context(), t, map[string]any{"tables": []string{"users"}})
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Error("nobody was told for whom it waits")
	}
	if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	expect(t, <-ended, checks.OK, "")
	mu.Lock()
	defer mu.Unlock()
	contains(t, strings.Join(heard, "\n"), "public.users_pkey, index: waiting for")
}

func TestAnInvalidIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)", "INSERT INTO users VALUES (1), (1)")
	if _, err := y.watch.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY users_id ON users (id)"); err == nil {
		t.Fatal("a unique index over equal keys was built")
	}
	y.db.Exec(t, "DELETE FROM users")
	res := y.whole(t, Reindex, nil)
	expect(t, res, checks.OK, "")
	eventually(t, y.watch, "the index is valid", "(SELECT indisvalid FROM pg_index WHERE indexrelid = 'users_id'::regclass)")
}

func TestLeftoversAreToldByTheirNames(t *testing.T) {
	for name, want := range map[string]string{"a_ccnew": "failed", "a_ccnew2": "failed", "a_ccold": "succeeded", "a_ccold12": "succeeded", "accnew": "", "a_ccnewer": "", "a": ""} {
		x := index{Schema: "s", Name: name}
		if x.leftover() != (want != "") {
			t.Errorf("%s: leftover %v", name, x.leftover())
		}
		if want != "" {
			contains(t, x.advice(), want, `DROP INDEX CONCURRENTLY "s"."`+name+`"`)
		}
		if x.Valid = true; x.leftover() {
			t.Errorf("%s is in use and called a leftover", name)
		}
		if x.Valid, x.Building = false, true; x.leftover() {
			t.Errorf("%s is being built and called a leftover", name)
		}
	}
}
