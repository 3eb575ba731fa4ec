package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// hasty is a server that wants to freeze after as few ids as PostgreSQL lets it.
var hasty = map[string]string{
	"autovacuum_freeze_max_age": "100000", "autovacuum_multixact_freeze_max_age": "10000", "autovacuum": "off", "wal_level": "logical",
	"max_prepared_transactions": "5", "max_replication_slots": "5", "log_min_messages": "error",
}

// burn uses up transaction ids, each in a transaction of its own.
func burn(t *testing.T, conn *pgx.Conn, ids string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "DO $$ BEGIN FOR i IN 1.."+ids+" LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$"); err != nil {
		t.Fatal(err)
	}
}

// Real ids are burnt while an open transaction keeps them: whatever the server
// tries, this database cannot be frozen.
func TestOldIDsAndWhoHoldsThem(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: hasty})
	watch := sessionWith(t, server.DSN("postgres"), "CREATE TABLE held AS SELECT generate_series(1, 12000) AS id", "ALTER TABLE held ADD PRIMARY KEY (id)")
	env := envFor(t, server.DSN("postgres"))
	res := run(t, env, Wraparound, nil)
	expect(t, res, checks.OK, "")
	if _, held := res.Fact("holder", ""); held || num(t, res, "held", "") != 0 {
		t.Errorf("somebody is said to hold back ids: %v", res.Facts)
	}

	holder := sessionWith(t, server.DSN("postgres"), "SET application_name = 'forgetful'", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM held")
	burn(t, watch, "112000")
	for _, role := range []string{super, monitor} {
		res = run(t, envFor(t, server.DSNAs(role, "postgres")), Wraparound, nil)
		expect(t, res, checks.Warn, "")
		contains(t, strings.Join(res.Detail, "\n"), "session pid ", "forgetful, idle in transaction holds back 112")
		contains(t, cells(t, res, "holders"), "session | pid ", "forgetful")
		isNear(t, "xid_used", at(t, res, "databases", "postgres", "xid_used"), 113, 2)
		if num(t, res, "held", "") < 112000 || num(t, res, "left", "") > 1<<31-3_100_000 {
			t.Errorf("facts: %v", res.Facts)
		}
	}
	if rows := strings.Count(cells(t, res, "tables"), "\n"); rows != 20 {
		t.Errorf("%d of the oldest tables are listed", rows)
	}

	// Who may not see sessions is told so, and the verdict on ages stands.
	res = run(t, envFor(t, server.DSNAs(plain, "postgres")), Wraparound, nil)
	expect(t, res, checks.Warn, "")
	contains(t, strings.Join(res.Detail, "\n"), "whether a session or a standby holds them back is not known", "GRANT pg_monitor")
	if _, known := res.Fact("held", ""); known {
		t.Errorf("a role that may not look knows how many are held: %v", res.Facts)
	}

	burn(t, watch, "40000")
	expect(t, run(t, env, Wraparound, nil), checks.Crit, "")
	end(t, holder)
	eventually(t, watch, "the holder is gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'forgetful')")
	if _, err := watch.Exec(t.Context(), "VACUUM (FREEZE)"); err != nil {
		t.Fatal(err)
	}
	if used := at(t, run(t, env, Wraparound, nil), "databases", "postgres", "xid_used").Num; used > 1 {
		t.Errorf("%v %% are used after a freeze", used)
	}
}

// Two sessions lock the same rows, one of them in a subtransaction a row: each
// pair is a multixact of its own.
func TestOldMultixacts(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: hasty})
	watch := sessionWith(t, server.DSN("postgres"), "CREATE TABLE held AS SELECT generate_series(1, 12000) AS id", "ALTER TABLE held ADD PRIMARY KEY (id)")
	sessionWith(t, server.DSN("postgres"), "BEGIN", "SELECT FROM held FOR KEY SHARE")
	if _, err := watch.Exec(t.Context(), `DO $$ BEGIN FOR r IN 1..12000 LOOP
		BEGIN PERFORM FROM held WHERE id = r FOR KEY SHARE; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$`); err != nil {
		t.Fatal(err)
	}
	res := run(t, envFor(t, server.DSNAs(monitor, "postgres")), Wraparound, nil)
	expect(t, res, checks.Warn, "")
	isNear(t, "mxid_used", at(t, res, "databases", "postgres", "mxid_used"), 120, 2)
	contains(t, strings.Join(res.Detail, "\n"), "members of multixacts")
}

func TestPreparedTransactionsAndSlotsHoldXmin(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: hasty})
	watch := sessionWith(t, server.DSN("postgres"), "CREATE TABLE t (id int)", "SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
	burn(t, watch, "500")
	end(t, sessionWith(t, server.DSN("postgres"), "BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'order-7'"))
	burn(t, watch, "300")
	for _, role := range []string{super, monitor, plain} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Wraparound, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "prepared", "") != 1 {
			t.Errorf("facts: %v", res.Facts)
		}
		holder, _ := res.Fact("holder", "")
		contains(t, holder.Text, "slot reader, logical, without a reader, the catalogue only")
		contains(t, cells(t, res, "holders"), "prepared | order-7, postgres in postgres | 30")
	}
}

// A standby that reads tells its primary what it still needs.
func TestAStandbyHoldsXmin(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"hot_standby_feedback": "on", "wal_receiver_status_interval": "1s", "max_wal_senders": "4"}
	primary := ownServer(t, pgserver.Options{Settings: settings})
	copied := standbyOf(t, primary, settings)
	sessionWith(t, copied.DSN("postgres"), "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM pg_class")
	watch := sessionWith(t, primary.DSN("postgres"))
	burn(t, watch, "200")
	eventually(t, watch, "the standby has told", "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsender' AND backend_xmin IS NOT NULL)")
	res := run(t, envFor(t, primary.DSNAs(monitor, "postgres")), Wraparound, nil)
	expect(t, res, checks.OK, "")
	contains(t, cells(t, res, "holders"), "standby | walreceiver, pid ")
}

func TestWraparoundRulesTurnAtTheirThresholds(t *testing.T) {
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	tests := []struct {
		xids, used, mxids, mused float64
		prepared                 time.Duration
		want                     checks.Level
	}{
		{220e6, 110, 0, 0, 0, checks.OK}, // the server is at it
		{221e6, 110.5, 0, 0, 0, checks.Warn},
		{301e6, 150.5, 0, 0, 0, checks.Crit},
		{900e6, 90, 0, 0, 0, checks.OK}, // a vendor has raised the setting to 1,000,000,000
		{510e6, 102, 0, 0, 0, checks.Warn},
		{1001e6, 100.1, 0, 0, 0, checks.Crit},
		{1601e6, 80.1, 0, 0, 0, checks.Crit}, // the failsafe's age, whatever the setting
		{0, 0, 440e6, 111, 0, checks.Warn},
		{0, 0, 610e6, 152, 0, checks.Crit},
		{0, 0, 0, 0, minutes(5), checks.OK},
		{0, 0, 0, 0, minutes(5.1), checks.Warn},
		{0, 0, 0, 0, minutes(60.1), checks.Crit},
	}
	for _, tt := range tests {
		facts := []fact.Fact{fact.Number("xid_age", tt.xids), fact.Pct("xid_used", tt.used), fact.Number("mxid_age", tt.mxids), fact.Pct("mxid_used", tt.mused), fact.Dur("prepared_age", tt.prepared)}
		if got := checks.Judge(Wraparound, Wraparound.DefaultRules(), facts); got.Level != tt.want {
			t.Errorf("%+v is %v", tt, got.Level)
		}
	}
}
