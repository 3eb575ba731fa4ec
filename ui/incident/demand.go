package incident

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
)

// demanded are the checks that are sampled while somebody looks at them.
func demanded() []*state {
	list := []*state{sessions(), saturation(), statements(), bloat(), indexes(), sequences(), progress(), checkpoints(), settings(), messages(), outside()}
	for _, s := range list {
		s.Check.OnDemand = true
	}
	return list
}

// Began is when a session of the scene was opened.
func Began(pid int) string { return fmt.Sprintf("2026-11-23T02:%02d:11.%06dZ", pid%60, pid*37%1000000) }

func sessions() *state {
	const db, selecting = "advanced_lms_prod", "SELECT * FROM enrollments WHERE id = $1 FOR UPDATE"
	session := func(pid int, state string, xact, query, since any, wait, by string, frees int, xmin any, locks, user, app, client, sql string) []fact.Value {
		cpu := any(0.0)
		switch {
		case state == "idle":
			cpu = blank
		case wait == "" || wait == "IO:DataFileExtend":
			cpu = float64(pid%100) + 0.4
		}
		return row(pid, state, xact, query, since, wait, by, frees, cpu, xmin, locks, db, user, app, client, "client backend", Began(pid), sql)
	}
	m := 372 * time.Second
	rows := [][]fact.Value{
		session(4411, "idle in transaction", m, m, m, "Client:ClientRead", "", 12, 812_400, "5, RowExclusive on public.enrollments", "lms", "lms-worker", "10.0.0.8", updateQuery),
		session(4502, "active", 358*time.Second, 358*time.Second, 358*time.Second, "Lock:transactionid", "4411", 2, 812_398, "4, RowExclusive on public.enrollments", "lms", "lms-api", "10.0.0.7", updateQuery),
		session(4519, "active", 301*time.Second, 301*time.Second, 301*time.Second, "Lock:tuple", "4502", 1, 811_002, "3, Exclusive on public.enrollments", "lms", "lms-api", "10.0.0.7", selecting),
	}
	for i := range 9 {
		wait := time.Duration(290-11*i) * time.Second
		rows = append(rows, session(4540+i, "active", wait, wait, wait, "Lock:transactionid", "4411", 0, 810_000-100*i, "3, RowExclusive on public.enrollments", "lms", "lms-api", "10.0.0.7", updateQuery))
	}
	rows = append(rows,
		session(4533, "active", 12*time.Second, 12*time.Second, 12*time.Second, "IO:DataFileExtend", "", 0, blank, "2, RowExclusive on public.audit_logs", "lms", "lms-api", "10.0.0.7", "INSERT INTO audit_logs (actor, action, created_at) VALUES ($1, $2, now())"),
		session(4571, "active", 4*time.Second, 4*time.Second, 4*time.Second, "", "", 0, blank, "2, AccessShare on public.courses", "report", "metabase", "10.0.0.21", "SELECT course_id, count(*) FROM enrollments GROUP BY 1"),
		session(4101, "idle", blank, 8*time.Minute, 8*time.Minute, "Client:ClientRead", "", 0, blank, "", "lms", "lms-api", "10.0.0.7", "COMMIT"),
		session(4102, "idle", blank, 41*time.Minute, 41*time.Minute, "Client:ClientRead", "", 0, blank, "", "lms", "lms-api", "10.0.0.7", "SELECT 1"))
	s := check("pg.sessions", "pg.sessions", "", "", fact.Number("sessions", len(rows)), fact.Number("active", 13), fact.Number("waiting", 11), fact.Number("idle_in_tx", 1),
		fact.Dur("oldest_xact", 372*time.Second), fact.Number("xmin_age", 812_400), fact.Word("xmin_holder", "pid 4411 lms-worker"))
	s.Result.Detail = []string{"locks of other sessions are read at most every 2 s"}
	return s.table("sessions", "pid state xact query_age state_age wait blocked_by frees cpu xmin locks database user app client kind began query", rows...)
}

func saturation() *state {
	s := check("pg.saturation", "pg.saturation", "", "", fact.Pct("used", 83.5), fact.Number("usable", 97), fact.Number("reserved", 3), fact.Dur("time_to_full", 40*time.Minute)).
		bad(checks.Warn, "02:52", broke("used", "", "> 80%"))
	const columns = "name sessions active idle idle_in_tx waiting limit used"
	return s.
		table("by_database", columns, row("advanced_lms_prod", 79, 44, 18, 17, 12, "-", 81.4), row("postgres", 2, 0, 2, 0, 0, "-", 2.1)).
		table("by_user", columns, row("lms", 74, 42, 15, 17, 11, 80, 92.5), row("report", 4, 1, 3, 0, 0, 5, 80.0), row("billing", 3, 1, 2, 0, 1, "-", 3.1)).
		table("by_app", columns, row("lms-api", 51, 41, 10, 0, 11, "-", 52.6), row("lms-worker", 23, 1, 5, 17, 0, "-", 23.7), row("metabase", 4, 1, 3, 0, 0, "-", 4.1), row("billing-job", 3, 1, 2, 0, 1, "-", 3.1)).
		table("by_state", columns, row("active", 44, 44, 0, 0, 12, "-", 45.4), row("idle", 20, 0, 20, 0, 0, "-", 20.6), row("idle in transaction", 17, 0, 0, 17, 0, "-", 17.5)).
		table("by_client", columns, row("10.0.0.7", 51, 41, 10, 0, 11, "-", 52.6), row("10.0.0.8", 23, 1, 5, 17, 0, "-", 23.7), row("10.0.0.21", 4, 1, 3, 0, 0, "-", 4.1), row("10.0.0.9", 3, 1, 2, 0, 1, "-", 3.1))
}

func statements() *state {
	const db = "advanced_lms_prod"
	s := check("pg.statements", "pg.statements", "", "", fact.Dur("interval", 10*time.Second), fact.Flag("reset", false), fact.Number("deallocations", 0), fact.Number("tracked", 1204))
	s.Result.Detail = []string{"io_time is ? because track_io_timing is off"}
	return s.table("statements", "share calls total mean stddev rows hit read written temp wal io_time user database queryid toplevel plans query",
		row(71.0, 6, 126*time.Second, 21*time.Second, 900*time.Millisecond, 6, 99.2, size(1.2*mib), size(0), size(0), size(88*kib), unknown, "lms", db, "-7719820312", true, 0, updateQuery),
		row(12.5, 812, 22*time.Second, 28*time.Millisecond, 9*time.Millisecond, 8100, 99.9, size(0), size(0), size(0), size(0), unknown, "lms", db, "4410023910", true, 0, "SELECT * FROM courses JOIN enrollments ON enrollments.course_id = courses.id WHERE enrollments.user_id = $1"),
		row(4.5, 9, 7600*time.Millisecond, 844*time.Millisecond, 40*time.Millisecond, 1800, 71.0, size(412*mib), size(0), size(64*mib), size(0), unknown, "report", db, "99120031", true, 0, "SELECT * FROM audit_logs ORDER BY created_at DESC LIMIT $1"),
		row(0.2, 40, 310*time.Millisecond, ms(7.7), ms(1.1), 40, 100.0, size(0), size(24*kib), size(0), size(310*kib), unknown, "lms", db, "-120", false, 0, "INSERT INTO audit_logs (actor, action, created_at) VALUES ($1, $2, now())"))
}

func bloat() *state {
	return check("pg.bloat", "pg.bloat", "", "", fact.Pct("worst_bloat", 40), fact.Pct("bloat", 40).On("public.enrollments"), fact.Pct("bloat", 5).On("public.audit_logs")).
		bad(checks.Warn, "02:00", broke("bloat", "public.enrollments", "> 30%")).
		table("tables", "table size wasted bloat badge analyzed",
			row("public.enrollments", size(8*gib), "3.2 GiB", "40 %", "estimate", "9 h ago"), row("public.audit_logs", size(22*gib), "1.1 GiB", "5 %", "estimate", "3 d ago"), row("public.sessions", size(0.9*gib), "", "", "unknown", "never"))
}

func indexes() *state {
	since := 114 * 24 * time.Hour
	return check("pg.indexes", "pg.indexes", "", "", fact.Number("unused", 1), fact.Number("duplicate", 1), fact.Number("invalid", 2)).
		bad(checks.Warn, "02:00", broke("invalid", "", "> 0")).
		table("indexes", "problem index table size scans since advice",
			row("invalid", "public.enrollments_user_idx_ccnew", "public.enrollments", size(412*mib), 0, since, "an interrupted rebuild left it: DROP INDEX CONCURRENTLY public.enrollments_user_idx_ccnew; then rebuild again"),
			row("invalid", "public.courses_slug_idx_ccold", "public.courses", size(2*mib), 0, since, "the rebuild succeeded: just DROP INDEX CONCURRENTLY public.courses_slug_idx_ccold"),
			row("duplicate", "public.audit_logs_actor_idx1", "public.audit_logs", size(2.1*gib), 31, since, "same columns as public.audit_logs_actor_idx: DROP INDEX CONCURRENTLY public.audit_logs_actor_idx1"),
			row("unused", "public.submissions_grade_idx", "public.submissions", size(180*mib), 0, since, "no scan in 114 d here; ask the standby too, then DROP INDEX CONCURRENTLY public.submissions_grade_idx"))
}

func sequences() *state {
	return check("pg.sequences", "pg.sequences", "", "", fact.Pct("used", 84.7).On("public.audit_logs_id_seq"), fact.Pct("used", 0.2).On("public.enrollments_id_seq")).
		bad(checks.Warn, "02:00", broke("used", "public.audit_logs_id_seq", "> 75%")).
		table("sequences", "used sequence column type last limit left",
			row(84.7, "public.audit_logs_id_seq", "public.audit_logs.id", "integer", 1_818_900_100, 2_147_483_647, 328_583_547), row(0.2, "public.enrollments_id_seq", "public.enrollments.id", "integer", 4_100_020, 2_147_483_647, 2_143_383_627),
			row(unknown, "public.secret_seq", "", "bigint", unknown, unknown, unknown))
}

func progress() *state {
	return check("pg.progress", "pg.progress", "", "", fact.Number("operations", 3)).
		table("operations", "command pid relation phase done age detail user query",
			row("VACUUM", 4590, "public.enrollments", "scanning heap", 42.0, 212*time.Second, "autovacuum, 1 index pass", "postgres", "autovacuum: VACUUM public.enrollments"),
			row("CREATE INDEX CONCURRENTLY", 4588, "public.audit_logs", "waiting for writers before build", 0.0, 96*time.Second, "waits for pid 4411", "dana", "CREATE INDEX CONCURRENTLY ON audit_logs (created_at)"),
			row("base backup", 4303, "", "streaming database files", 88.6, 41*time.Minute, "54.2 of 61.2 GiB", "backup", ""))
}

func checkpoints() *state {
	return check("pg.checkpoints", "pg.checkpoints", "", "", fact.Number("timed", 1), fact.Number("requested", 5), fact.Pct("requested_share", 83), fact.Dur("interval", 10*time.Second)).
		bad(checks.Warn, "02:55", broke("requested_share", "", "> 50%")).
		table("io", "backend object context reads writes extends hits evictions fsyncs read_time write_time",
			row("client backend", "relation", "normal", 8120, 0, 212, 2_410_000, 7900, 0, 310*time.Millisecond, ms(0)),
			row("client backend", "relation", "bulkread", 96_000, 0, 0, 1200, 0, 0, 4*time.Second, ms(0)),
			row("checkpointer", "relation", "normal", 0, 30_100, 0, 0, 0, 41, ms(0), 12*time.Second),
			row("autovacuum worker", "relation", "vacuum", 14_200, 3100, 0, 9000, 0, 0, 480*time.Millisecond, 90*time.Millisecond))
}

func settings() *state {
	return check("pg.settings", "pg.settings", "", "", fact.Number("pending_restart", 1), fact.Number("dangerous", 0), fact.Number("hints", 1), fact.Number("checksum_failures", 0)).
		bad(checks.Warn, "02:00", broke("pending_restart", "", "> 0")).
		table("settings", "setting value unit pending next boot reset source file hint",
			row("log_statement", "all", "", false, "", "none", "all", "configuration file", "/etc/postgresql/16/main/conf.d/debug.conf:1", ""),
			row("max_connections", "100", "", true, "200", "100", "100", "configuration file", "/etc/postgresql/16/main/postgresql.conf:65", ""),
			row("track_io_timing", "off", "", false, "", "off", "off", "default", "", "no I/O times are counted"))
}

func messages() *state {
	return check("pg.log", "pg.log", "", "", fact.Number("panics", 412), fact.Number("errors", 3), fact.Number("lock_waits", 61), fact.Number("messages", 3)).
		bad(checks.Crit, "02:51", broke("panics", "", "> 0")).
		table("messages", "count severity class first last message",
			row(412, "PANIC", "53 out of resources", "02:51", "03:07", "could not write to file \"…\": No space left on device"),
			row(61, "LOG", "wait for a lock", "02:52", "03:07", "process # still waiting for ShareLock on transaction # after #.# ms"),
			row(3, "ERROR", "42 syntax, access", "02:58", "03:01", "column \"…\" does not exist"))
}

// outside is what can be known of the server without SQL.
func outside() *state {
	s := check("pg.host", "pg.host", "", "", fact.Flag("postmaster", true), fact.Flag("listening", true), fact.Number("processes", 91), fact.Number("clients", 81), fact.Number("waiting", 11), fact.Number("blocked", 38), fact.Dur("up", 41*24*time.Hour),
		fact.Number("sockets", 81).On("established"), fact.Number("sockets", 14).On("close-wait"), fact.Pct("used", 100).On("/var/lib/postgresql/16/main"), fact.Size("free", 0).On("/var/lib/postgresql/16/main")).
		bad(checks.Crit, "02:51", broke("blocked", "", "> 3"), broke("used", "/var/lib/postgresql/16/main", "> 90%"))
	return s.table("processes", "pid state age rss title",
		row(811, "S", 41*24*time.Hour, size(1.0*gib), "/usr/lib/postgresql/16/bin/postgres -D /var/lib/postgresql/16/main"),
		row(4411, "D", 27*time.Minute, size(512*mib), "lms advanced_lms_prod 10.0.0.8(51122) idle in transaction"),
		row(4502, "S", 55*time.Minute, size(40*mib), "lms advanced_lms_prod 10.0.0.7(40810) UPDATE waiting"),
		row(4533, "D", 34*time.Minute, size(38*mib), "lms advanced_lms_prod 10.0.0.7(40822) INSERT")).
		table("log", "line",
			row("03:07:08 PANIC:  could not write to file \"pg_wal/xlogtemp.811\": No space left on device"),
			row("03:07:09 LOG:  process 4502 still waiting for ShareLock on transaction 44100201 after 1000.072 ms"))
}

// Older lets time go by for what a check found out: every age of its tables
// grows, and the result is newer.
func Older(st *watch.State, by time.Duration) {
	st.Result.At = st.Result.At.Add(by)
	for _, t := range st.Result.Tables {
		for _, cells := range t.Rows {
			for i := range cells {
				if cells[i].Type == fact.Duration {
					cells[i].Num += float64(by.Milliseconds())
				}
			}
		}
	}
}
