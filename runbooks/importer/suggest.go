package importer

import "regexp"

// suggestions name the module that may do what a command or a sentence is
// about. The first that matches is taken; owners decide. It is never written to.
var suggestions = []struct {
	mark   *regexp.Regexp
	module string
}{
	{regexp.MustCompile(`docker(-| )compose (-f \S+ )?ps`), "compose.services"},
	{regexp.MustCompile(`docker(-| )compose (-f \S+ )?logs`), "log.compose"},
	{regexp.MustCompile(`docker(-| )compose (-f \S+ )?down`), "compose.down"},
	{regexp.MustCompile(`docker(-| )compose (-f \S+ )?(up|restart)`), "compose.recreate"},
	{regexp.MustCompile(`docker stats`), "docker.stats"},
	{regexp.MustCompile(`(?i)certbot renew --dry-run`), "certbot.dryrun"},
	{regexp.MustCompile(`(?i)certbot renew`), "certbot.renew"},
	{regexp.MustCompile(`(?i)openssl s_client|certificate expir`), "tls.expiry"},
	{regexp.MustCompile(`systemctl (status|is-active)`), "systemd.unit"},
	{regexp.MustCompile(`systemctl reload`), "systemd.reload"},
	{regexp.MustCompile(`(?m)^\s*time curl|(?i)response times?`), "http.latency"},
	{regexp.MustCompile(`curl `), "http.get"},
	{regexp.MustCompile(`grep -c|(?i)count errors`), "log.count"},
	{regexp.MustCompile(`nginx/access\.log`), "nginx.patterns"},
	{regexp.MustCompile(`tail |(?i)review .*logs?`), "log.tail"},
	{regexp.MustCompile(`(?i)(slow queries|pg_stat_statements)`), "pg.slow"},
	{regexp.MustCompile(`(?i)\bVACUUM FULL`), "pg.vacuum_full"},
	{regexp.MustCompile(`\bVACUUM\b`), "pg.vacuum"},
	{regexp.MustCompile(`(?i)\bREINDEX`), "pg.reindex"},
	{regexp.MustCompile(`\bANALYZE\b`), "pg.analyze"},
	{regexp.MustCompile(`n_dead_tup`), "pg.deadtuples"},
	{regexp.MustCompile(`pg_database_size`), "pg.dbsize"},
	{regexp.MustCompile(`pg_total_relation_size`), "pg.tables"},
	{regexp.MustCompile(`pg_stat_activity`), "pg.connections"},
	{regexp.MustCompile(`createdb|dropdb|gunzip -c .*psql|(?i)restore (latest )?backup`), "pg.restore_test"},
	{regexp.MustCompile(`(?i)backup.*\b(timestamp|fresh)|ls -lt?h? .*backup`), "backup.fresh"},
	{regexp.MustCompile(`(?i)backup-full|create full backup`), "backup.create"},
	{regexp.MustCompile(`(?i)(du|verify).*backup`), "backup.integrity"},
	{regexp.MustCompile(`npm audit`), "npm.audit"},
	{regexp.MustCompile(`npm outdated`), "npm.outdated"},
	{regexp.MustCompile(`npm (update|install)`), "npm.update"},
	{regexp.MustCompile(`logrotate`), "logrotate.run"},
	{regexp.MustCompile(`find .*-exec gzip`), "file.compress"},
	{regexp.MustCompile(`find .*-delete`), "file.prune"},
	{regexp.MustCompile(`redis-cli|INFO memory`), "redis.memory"},
	{regexp.MustCompile(`DBSIZE|KEYS `), "redis.keys"},
	{regexp.MustCompile(`openssl rand`), "secret.generate"},
	{regexp.MustCompile(`\bdf -|(?i)disk (usage|space)`), "sys.disk"},
	{regexp.MustCompile(`(?m)^(htop|top)$|(?i)cpu usage`), "sys.cpu"},
	{regexp.MustCompile(`(?i)memory usage`), "sys.mem"},
	{regexp.MustCompile(`nmap|zap-|sqlmap|testssl`), "scan.run"},
	{regexp.MustCompile(`\bab -n|(?i)load test`), "load.run"},
	{regexp.MustCompile(`git (checkout|push|merge)`), "git.branch"},
	{regexp.MustCompile(`(?i)notify users|notification`), "notify.send"},
	{regexp.MustCompile(`(?i)maintenance mode`), "maint.enable"},
	{regexp.MustCompile(`(?is)\bSELECT\b.*\bFROM\b`), "pg.query"},
	{regexp.MustCompile(`\]\(\.{0,2}/?\S+\.md\)`), "doc.link"},
}

// suggest is a module for a task; "" if none comes to mind.
func suggest(text string) string {
	for _, s := range suggestions {
		if s.mark.MatchString(text) {
			return s.module
		}
	}
	return ""
}
