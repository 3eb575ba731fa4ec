package incident

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// endpoint is an HTTP service.
func endpoint(id, note, history string, took time.Duration) *state {
	return check(id, "http.get", note, history, fact.Flag("ok", true), fact.Number("status", 200), fact.Dur("total", took), fact.Dur("first_byte", took/2))
}

// services are what the site consists of.
func services() []*state {
	web := endpoint("web", "200", calm60, ms(87))
	api := endpoint("api", "200", ".................................................===########", ms(4800)).
		bad(checks.Crit, "02:52", broke("total", "", "> 2s")).trend("total", climb(200, 4800))
	frontend := endpoint("frontend", "200", calm60, ms(40))
	db := check("db", "pg.ping", "PostgreSQL 16.4, primary, up 41 d", calm60, fact.Flag("ok", true), fact.Dur("latency", ms(0.9)))
	cache := check("cache", "redis.ping", "PONG", "..........................................................??",
		fact.Flag("ok", true), fact.Dur("latency", ms(0.4)), fact.Word("role", "master"))
	cache.Stuck, cache.Running, cache.Since = true, Night.Add(-41*time.Second), Night.Add(-41*time.Second)
	stack := check("stack", "compose.services", "backend restarts: 7 times in 20 m, exit 1", ".................................................===########",
		fact.Number("expected", 7), fact.Number("running", 6), fact.Number("restarting", 1), fact.Number("unhealthy", 0)).
		bad(checks.Crit, "02:52", broke("restarting", "", "> 0"))
	stack.HeldBy = "sys.disk"
	cert := check("cert", "tls.expiry", "lms.example.com, certbot.timer is not active", "============================================================",
		fact.Dur("left", 19*24*time.Hour).On("lms.example.com:443"), fact.Dur("left", 61*24*time.Hour).On("api.lms.example.com:443")).
		bad(checks.Warn, "02:00", broke("left", "lms.example.com:443", "< 30d"))
	cert.Since = Night.Add(-6 * 24 * time.Hour)
	backup := check("backup.db", "backup.fresh", "db_backup_20261123.sql.gz", calm60, fact.Flag("found", true), fact.Dur("age", 65*time.Minute), fact.Number("count", 14), fact.Size("size", 4.1*gib))
	integrity := check("integrity.db", "backup.integrity", "gzip and trailer ok, 4.1 GiB", calm60, fact.Flag("ok", true), fact.Size("size", 4.1*gib), fact.Pct("size_ratio", 101))
	app := check("log.app", "log.count", "errors in the last hour", calm60, fact.Number("count", 3), fact.Number("per_hour", 3))
	pglog := check("log.postgres", "log.match", "PANIC could not write to file: No space left on device", ".................................................===########",
		fact.Number("matches", 412), fact.Number("signatures", 2), fact.Number("new_signatures", 1)).
		bad(checks.Crit, "02:51", broke("new_signatures", "", "> 0")).
		table("signatures", "count first last sample", row(412, "02:51", "03:07", "PANIC: could not write to file: No space left on device"))
	pglog.HeldBy = "sys.disk"
	redis := check("redis.memory", "redis.memory", "", calm60, fact.Size("used", 212.0*mib), fact.Size("limit", 512.0*mib), fact.Pct("used_share", 41), fact.Number("fragmentation", 1.1))
	docker := check("docker.stats", "docker.stats", "", "")
	docker.Level, docker.Raw, docker.Result.Level, docker.Result.Note = checks.Skipped, checks.Skipped, checks.Skipped, "this site has no docker connection"
	return []*state{web, api, frontend, db, cache, stack, cert, backup, integrity, app, pglog, redis, docker}
}

// database is the server: one session idle in its transaction holds up twelve.
func database() []*state {
	ping := check("pg.ping", "pg.ping", "PostgreSQL 16.4, primary, up 41 d", calm60,
		fact.Flag("ok", true), fact.Dur("latency", ms(0.9)), fact.Dur("up", 41*24*time.Hour), fact.Word("version", "16.4"), fact.Flag("recovery", false))
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
	dbsize := check("pg.dbsize", "pg.dbsize", "", calm60, fact.Size("size", 61.2*gib), fact.Pct("size_growth", 1.4), fact.Size("total", 61.3*gib), fact.Number("databases", 3))
	dead := check("pg.deadtuples", "pg.deadtuples", "", calm60, fact.Number("tables", 2), fact.Number("dead", 412000), fact.Pct("ratio", 8.1), fact.Number("times_trigger", 0.6), fact.Number("autovacuum_off", 0), fact.Word("worst", "public.enrollments"), fact.Dur("worst_vacuum_age", 9*time.Hour)).
		table("tables", "table dead live ratio trigger times autovacuum vacuumed",
			row("public.enrollments", 310000, 3500000, 8.1, 700050, 2, true, "9 h ago"), row("public.sessions", 102000, 2100000, 4.6, 420050, 1, true, "2 h ago"))
	tables := check("pg.tables", "pg.tables", "", calm60, fact.Size("total", 58.0*gib), fact.Number("tables", 64),
		fact.Size("size", 31.0*gib).On("public.audit_logs"), fact.Size("size", 12.4*gib).On("public.enrollments"), fact.Pct("size_growth", 6).On("public.audit_logs")).
		table("tables", "table total heap indexes toast rows estimated",
			row("public.audit_logs", size(31*gib), size(22*gib), size(9*gib), size(0), 182000000, false), row("public.enrollments", size(12.4*gib), size(8*gib), size(4.4*gib), size(0), 3500000, false),
			row("public.submissions", size(6.1*gib), size(2.2*gib), size(0.7*gib), size(3.2*gib), 910000, false), row("public.sessions", size(1.2*gib), size(0.9*gib), size(0.3*gib), size(0), 2100000, false))
	return []*state{ping, conn, locks, tps, slow, dbsize, dead, tables}
}
