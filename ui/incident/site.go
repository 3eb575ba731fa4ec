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
