package incident

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// database is the server: one session idle in its transaction holds up twelve.
func database() []*state {
	ping := check("pg.ping", "pg.ping", "PostgreSQL 16.4, primary, up 41 d", calm60,
		fact.Flag("ok", true), fact.Dur("latency", ms(0.9)), fact.Dur("up", 41*24*time.Hour), fact.Word("version", "16.4"), fact.Flag("recovery", false),
		fact.Word("statement_timeout", "5s"), fact.Word("lock_timeout", "50ms"), fact.Pct("own", 0.4))
	ping.Result.Target = "advanced_lms_prod at localhost"
	conn := check("pg.connections", "pg.connections", "", "...................................................=========",
		fact.Pct("used", 83.5), fact.Flag("full", false), fact.Number("connections", 81), fact.Number("usable", 97), fact.Number("active", 44), fact.Number("idle", 20), fact.Number("idle_in_tx", 17), fact.Number("waiting", 12),
		fact.Dur("idle_in_tx_age", 372*time.Second), fact.Dur("oldest_xact", 372*time.Second), fact.Dur("longest_query", 358*time.Second)).
		bad(checks.Warn, "02:52", broke("used", "", "> 80%"), broke("oldest_xact", "", "> 5m")).trend("used", climb(30, 83.5)).
		table("sessions", "pid user database app client state age transaction wait query",
			row(4411, "lms", "advanced_lms_prod", "lms-worker", "10.0.0.8", "idle in transaction", 372*time.Second, 372*time.Second, "Client:ClientRead", "UPDATE enrollments SET progress = $1 WHERE id = $2"),
			row(4502, "lms", "advanced_lms_prod", "lms-api", "10.0.0.7", "active", 358*time.Second, 358*time.Second, "Lock:transactionid", "UPDATE enrollments SET progress = $1 WHERE id = $2"),
			row(4519, "lms", "advanced_lms_prod", "lms-api", "10.0.0.7", "active", 301*time.Second, 301*time.Second, "Lock:tuple", "SELECT * FROM enrollments WHERE id = $1 FOR UPDATE"),
			row(4533, "lms", "advanced_lms_prod", "lms-api", "10.0.0.7", "active", 12*time.Second, 12*time.Second, "IO:DataFileExtend", "INSERT INTO audit_logs (actor, action, created_at) VALUES ($1, $2, now())"))
	locks := check("pg.locks", "pg.locks", "", ".................................................===########",
		fact.Number("blocked", 12), fact.Dur("longest_wait", 358*time.Second), fact.Number("depth", 2), fact.Number("roots", 1), fact.Number("frees", 12)).
		bad(checks.Crit, "02:52", broke("longest_wait", "", "> 1m")).trend("blocked", climb(0, 12)).
		table("roots", "pid frees state age user app client since query", row(4411, 12, "idle in transaction", 372*time.Second, "lms", "lms-worker", "10.0.0.8", "03:01", "UPDATE enrollments SET progress = $1 WHERE id = $2")).
		table("tree", "depth pid frees wait mode relation state age user app client database began query", lockTree()...).
		table("blocked", "pid blocked_by wait mode relation user app query",
			row(4502, "4411", 358*time.Second, "ShareLock", "", "lms", "lms-api", "UPDATE enrollments SET progress = $1 WHERE id = $2"),
			row(4519, "4502", 301*time.Second, "ExclusiveLock", "enrollments", "lms", "lms-api", "SELECT * FROM enrollments WHERE id = $1 FOR UPDATE"))
	tps := check("pg.tps", "pg.tps", "", "...................................................=========",
		fact.Number("tps", 14), fact.Number("tps_usual", 210), fact.Pct("tps_ratio", 7), fact.Number("commits", 10), fact.Number("rollbacks", 4), fact.Pct("rollbacks_share", 31), fact.Pct("cache_hit", 99.1), fact.Number("deadlocks", 0), fact.Size("temp", 0.0), fact.Dur("measured", 10*time.Second)).
		bad(checks.Warn, "02:53", broke("rollbacks_share", "", "> 5%")).trend("tps", climb(210, 14))
	slow := check("pg.slow", "pg.slow", "", "...................................................=========",
		fact.Number("slow", 3), fact.Number("heavy", 1), fact.Dur("worst_mean", 2100*time.Millisecond), fact.Pct("worst_share", 71), fact.Number("statements", 48), fact.Flag("delta", true)).
		bad(checks.Warn, "02:54", broke("slow", "", "> 0")).
		table("statements", "calls total mean stddev rows share query",
			row(612, 1285*time.Second, 2100*time.Millisecond, 900*time.Millisecond, 612, 71.0, "UPDATE enrollments SET progress = $1 WHERE id = $2"),
			row(8100, 227*time.Second, 28*time.Millisecond, 9*time.Millisecond, 8100, 12.5, "SELECT * FROM courses JOIN enrollments ON enrollments.course_id = courses.id WHERE enrollments.user_id = $1"),
			row(96, 81*time.Second, 844*time.Millisecond, 40*time.Millisecond, 19200, 4.5, "SELECT * FROM audit_logs ORDER BY created_at DESC LIMIT $1"))
	dbsize := check("pg.dbsize", "pg.dbsize", "", calm60, fact.Size("size", 61.2*gib), fact.Pct("size_growth", 1.4), fact.Size("total", 61.3*gib), fact.Number("databases", 3)).
		table("databases", "database size", row("advanced_lms_prod", size(61.2*gib)), row("postgres", size(7.6*mib)), row("template1", size(7.4*mib)))
	dead := check("pg.deadtuples", "pg.deadtuples", "", calm60, fact.Number("tables", 2), fact.Number("dead", 412000), fact.Pct("ratio", 8.1), fact.Number("times_trigger", 0.6), fact.Number("autovacuum_off", 0), fact.Word("worst", "public.enrollments"), fact.Dur("worst_vacuum_age", 9*time.Hour)).
		table("tables", "table dead live ratio trigger times autovacuum vacuumed",
			row("public.enrollments", 310000, 3500000, 8.1, 700050, 2, true, "9 h ago"), row("public.sessions", 102000, 2100000, 4.6, 420050, 1, true, "2 h ago"))
	tables := check("pg.tables", "pg.tables", "", calm60, fact.Size("total", 58.0*gib), fact.Number("tables", 64),
		fact.Size("size", 31.0*gib).On("public.audit_logs"), fact.Size("size", 12.4*gib).On("public.enrollments"), fact.Pct("size_growth", 6).On("public.audit_logs")).
		table("tables", "table total size_by heap indexes toast rows growth grown_over dead live trigger times vacuumed analyzed autovacuum seq_share bloat bloat_by", relations()...)
	return append([]*state{ping, conn, locks, tps, slow, dbsize, dead, tables}, replicated()...)
}

// replicated are the checks of what leaves the server, and of its ids.
func replicated() []*state {
	replication := check("pg.replication", "pg.replication", "1 replicas stream, 2 slots of 2 with a reader", calm60,
		fact.Number("replicas", 1), fact.Number("missing", 0), fact.Number("inactive_slots", 0),
		fact.Dur("lag", 1400*time.Millisecond).On("standby1"), fact.Size("behind", 2.1*mib).On("standby1"),
		fact.Size("retained", 2.1*mib).On("standby1"), fact.Size("retained", 1.2*gib).On("analytics")).
		table("replicas", "name client state sync lag lag_bytes write_lag flush_lag replay_lag",
			row("standby1", "10.0.0.12", "streaming", "async", 1400*time.Millisecond, size(2.1*mib), ms(3), ms(210), 1400*time.Millisecond)).
		table("slots", "slot kind active retained wal_status safe inactive hours_left",
			row("analytics", "logical", true, size(1.2*gib), "extended", size(8.8*gib), blank, 31*time.Hour),
			row("standby1", "physical", true, size(2.1*mib), "reserved", size(10*gib), blank, 96*time.Hour))
	wal := check("pg.wal", "pg.wal", "archived 9 s ago, 2.4 MiB/s", calm60,
		fact.Size("wal_rate", 2.4*mib), fact.Size("wal_size", 1.9*gib), fact.Flag("archiver_ok", true), fact.Number("ready", 2)).
		table("archiver", "name value",
			row("last archived", "000000010000004A000000C1, 9 s ago"), row("last failed", "000000010000004A0000007F, 4 h ago"), row("failed in all", "3"), row("pg_wal", "1.9 GiB in 122 files"))
	wraparound := check("pg.wraparound", "pg.wraparound", "22 % of autovacuum_freeze_max_age", calm60,
		fact.Pct("xid_used", 22), fact.Number("xid_age", 44_100_200), fact.Pct("mxid_used", 1), fact.Number("mxid_age", 4_100_000),
		fact.Number("left", 2_103_383_447), fact.Word("oldest", "advanced_lms_prod"), fact.Word("holder", "pid 4411 lms-worker"), fact.Number("held", 812_400), fact.Number("prepared", 1), fact.Dur("prepared_age", 3*24*time.Hour)).
		table("databases", "database xid_age xid_used mxid_age mxid_used left",
			row("advanced_lms_prod", 44_100_200, 22.1, 4_100_000, 1.0, 2_103_383_447), row("postgres", 12_800_000, 6.4, 1, 0.0, 2_134_683_647), row("template1", 12_800_000, 6.4, 1, 0.0, 2_134_683_647)).
		table("holders", "kind who xmin age",
			row("session", "pid 4411 lms-worker, idle in transaction", 812_400, 372*time.Second), row("standby", "standby1", 1200, 2*time.Second)).
		table("tables", "table xid_age mxid_age size",
			row("public.audit_logs", 44_100_200, 4_100_000, size(22*gib)), row("public.submissions", 31_220_000, 210_000, size(2.2*gib)), row("public.courses", 29_000_100, 1, size(12*mib)))
	return []*state{replication, wal, wraparound}
}

// relations are the largest tables. One was locked when it was to be measured,
// and one was never analysed.
func relations() [][]fact.Value {
	return [][]fact.Value{
		row("public.audit_logs", size(31*gib), "exact", size(22*gib), size(9*gib), size(0), 182_000_000, 6.0, 7*24*time.Hour, 12_000, 182_000_000, 36_400_050, 0, 3*24*time.Hour, 3*24*time.Hour, true, 0.4, size(1.1*gib), "estimate"),
		row("public.enrollments", size(12.4*gib), "estimate", size(8*gib), size(4.4*gib), size(0), 3_500_000, 0.8, 7*24*time.Hour, 310_000, 3_500_000, 700_050, fact.NumberValue(0.44), 9*time.Hour, 9*time.Hour, true, 2.1, size(3.2*gib), "estimate"),
		row("public.submissions", size(6.1*gib), "exact", size(2.2*gib), size(0.7*gib), size(3.2*gib), 910_000, 0.1, 7*24*time.Hour, 800, 910_000, 182_050, 0, 26*time.Hour, 26*time.Hour, true, 0.0, size(40*mib), "estimate"),
		row("public.sessions", size(1.2*gib), "exact", size(0.9*gib), size(0.3*gib), size(0), 2_100_000, unknown, blank, 102_000, 2_100_000, 420_050, fact.NumberValue(0.24), 2*time.Hour, 2*time.Hour, true, 88.0, unknown, "unknown"),
	}
}

const updateQuery = "UPDATE enrollments SET progress = $1 WHERE id = $2"

// lockTree is the one session that holds up twelve, three deep, and beside it
// a prepared transaction that nobody ended.
func lockTree() [][]fact.Value {
	const db, selecting = "advanced_lms_prod", "SELECT * FROM enrollments WHERE id = $1 FOR UPDATE"
	tree := [][]fact.Value{
		row(0, 4411, 12, blank, "", "", "idle in transaction", 372*time.Second, "lms", "lms-worker", "10.0.0.8", db, Began(4411), updateQuery),
		row(1, 4502, 2, 358*time.Second, "ShareLock", "transactionid", "active", 358*time.Second, "lms", "lms-api", "10.0.0.7", db, Began(4502), updateQuery),
		row(2, 4519, 1, 301*time.Second, "ExclusiveLock", "public.enrollments", "active", 301*time.Second, "lms", "lms-api", "10.0.0.7", db, Began(4519), selecting),
		row(3, 4527, 0, 96*time.Second, "ExclusiveLock", "public.enrollments", "active", 96*time.Second, "lms", "lms-api", "10.0.0.7", db, Began(4527), selecting),
	}
	for i := range 9 {
		wait := time.Duration(290-11*i) * time.Second
		tree = append(tree, row(1, 4540+i, 0, wait, "ShareLock", "transactionid", "active", wait, "lms", "lms-api", "10.0.0.7", db, Began(4540+i), updateQuery))
	}
	return append(tree,
		row(0, 0, 1, blank, "", "", "prepared", 3*24*time.Hour, "billing", "", "", db, "", "PREPARE TRANSACTION 'invoice-2026-11-20' in "+db),
		row(1, 4610, 0, 42*time.Second, "RowExclusiveLock", "public.invoices", "active", 42*time.Second, "billing", "billing-job", "10.0.0.9", db, Began(4610), "UPDATE invoices SET sent = true WHERE id = $1"))
}
