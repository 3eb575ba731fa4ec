package site

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// Write is a commented opsdeck.yaml of the site: what was found, and every
// section that was not as a comment to fill in. Parse reads it back.
func (s *Site) Write() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# What opsdeck operates. Unknown keys are errors; opsdeck lint FILE shows them all.
# ${env:NAME} and ${file:PATH} are read at load and never shown; ${name} is a variable.
schema: 1
site: %s
timezone: %s

vars: {}                           # visible below and to runbooks as ${name}
`, quote(s.Name), zoneName(s))
	b.WriteString(s.writeConnections())
	b.WriteString(s.writeServices())
	b.WriteString(`
# limits:                          # override a module's rules everywhere; opsdeck modules NAME shows them
#   sys.disk: {warn: used > 80%, fail: used > 90%}
`)
	b.WriteString(s.writeLogs())
	b.WriteString(s.writeBackups())
	if s.Nginx.Config != "" {
		fmt.Fprintf(&b, "\nnginx: {config: %q}           # see nginx below for what else it takes\n", s.Nginx.Config)
	}
	b.WriteString(s.writeCertbot())
	b.WriteString(`
# queries:                         # for pg.query, by name; read-only, parameters typed by the statement
#   active_users: {sql: "SELECT count(DISTINCT user_id) FROM audit_logs WHERE created_at > now() - $1::interval", args: [1h]}
#   enrollments:  {sql: "SELECT count(*) FROM enrollments WHERE enrolled_at > now() - $1::interval", args: [24h]}

# notify:                          # for notify.send; TLS is demanded of every mail server but one on this host
#   ops: {smtp: "smtp://mail.example.com:587", user: opsdeck, password: "${file:/etc/opsdeck/smtp.pass}", from: opsdeck@example.com, to: [ops@example.com]}
#   chat: {webhook: "${file:/etc/opsdeck/webhook.url}"}

# commands:                        # the only argv that opsdeck runs, by name
#   nginx-reload: {argv: [/usr/sbin/nginx, -s, reload], danger: 1, timeout: 30s}

# maintenance:                     # how maint.enable closes the site: a flag file, or a snippet that nginx includes
#   web: {flag: /srv/lms/maintenance.flag, url: "https://lms.example.com/", exempt: "https://lms.example.com/health"}
#   api: {snippet: /etc/nginx/snippets/maintenance.conf, reload: nginx-reload, url: "https://api.lms.example.com/", exempt: "https://api.lms.example.com/health"}

# cron:                            # jobs for cron.present; the log is what every run writes last
#   db-maintenance: {command: /usr/local/bin/db-maintenance.sh, schedule: "0 3 * * *", log: /var/log/db-maintenance.log, success: Completed}
#   verify-backup: {command: /usr/local/bin/verify-backup.sh, schedule: "0 4 * * 0", log: /var/log/backup-verify.log, success: PASSED}

# logrotate:                       # for config.logrotate; without it the host's whole configuration is judged
#   config: /etc/logrotate.d/advanced-lms
#   expect: [daily, rotate 30, compress, delaycompress, missingok, notifempty]

# nginx:                           # its access log is the log source nginx, in the combined format, unless this says otherwise
#   log: nginx
#   format: '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time'
#   config: /etc/nginx/nginx.conf  # for config.nginx
#   status: "http://127.0.0.1/stub_status"
#   trusted: [10.0.0.0/8]          # proxies in front of it
#   routes: [/courses]             # where a word such as sql says nothing
#   admin: [/admin]

# allow:
#   kill_sessions: false           # cancel and terminate in the database pane
retention: {evidence: 400d, metrics: 400d}
`)
	return []byte(b.String())
}

func zoneName(s *Site) string {
	if s.Zone == nil || s.Zone.String() == "Local" {
		return "UTC"
	}
	return s.Zone.String()
}

// quote writes a text as a double-quoted YAML scalar where it needs to be.
func quote(text string) string {
	for _, r := range text {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.') {
			return fmt.Sprintf("%q", text)
		}
	}
	if text == "" || text[0] >= '0' && text[0] <= '9' {
		return fmt.Sprintf("%q", text)
	}
	return text
}

func (s *Site) writeConnections() string {
	lines := map[string]string{
		"postgres":   `    main: {dsn: "postgres://opsdeck_monitor@localhost/DATABASE", password: "${file:/etc/opsdeck/pg.pass}", production: true}`,
		"redis":      `    main: {address: "localhost:6379", password: "${env:REDIS_PASSWORD}"}`,
		"docker":     `    main: {host: "unix:///var/run/docker.sock", project: PROJECT, expect: [backend, frontend]}`,
		"prometheus": `    main: {url: "http://localhost:9090"}`,
	}
	var found, missing strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(lines)) {
		c, ok := s.Connection(kind, "main")
		if !ok {
			fmt.Fprintf(&missing, "#  %s:\n#%s\n", kind, lines[kind])
			continue
		}
		fmt.Fprintf(&found, "  %s:\n    main: %s\n", kind, writeConnection(c))
	}
	if found.Len() == 0 {
		return "\n# connections:                     # named; a module asks for one by name, main when it names none\n" + missing.String()
	}
	return "\nconnections:                       # named; a module asks for one by name, main when it names none\n" + found.String() + missing.String()
}

func writeConnection(c checks.Connection) string {
	switch c.Kind {
	case "postgres":
		return fmt.Sprintf("{dsn: %q, production: true}   # add password: \"${file:/etc/opsdeck/pg.pass}\" if it needs one", c.DSN)
	case "redis":
		return fmt.Sprintf("{address: %q}", c.Address)
	case "docker":
		return fmt.Sprintf("{host: %q}   # add project: and expect: [service, ...]", c.Host)
	}
	return fmt.Sprintf("{url: %q}", c.URL)
}

func (s *Site) writeServices() string {
	example := `  - {id: web, use: http.get, with: {url: "https://lms.example.com/health"}, every: 10s}
  - {id: api, use: http.get, with: {url: "https://api.lms.example.com/health", expect: {status: 200, json: {$.status: ok}}}, every: 10s}
`
	if len(s.Services) == 0 {
		return "\n# services:                        # what the Services pane watches\n" + comment(example)
	}
	var b strings.Builder
	b.WriteString("\nservices:                          # what the Services pane watches\n")
	for _, c := range s.Services {
		fmt.Fprintf(&b, "  - {id: %s, use: %s, with: {targets: [%s]}, every: 1h}\n", c.ID, c.Module.Name, quoted(c.Args.Texts("targets")))
	}
	return b.String() + comment(example)
}

func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(all, ", ")
}

func (s *Site) writeCertbot() string {
	if s.Certbot.Origin == "" {
		return "\n# certbot:                         # for certbot.*; config, work, logs and ca where they are not certbot's own\n" +
			"#  served: {lms.example.com: [\"lms.example.com:443\"]}   # where each certificate is served\n"
	}
	var b strings.Builder
	b.WriteString("\ncertbot:                           # correct where each certificate is served; [] if nowhere that can be asked\n  served:\n")
	for _, name := range slices.Sorted(maps.Keys(s.Certbot.Served)) {
		fmt.Fprintf(&b, "    %s: [%s]\n", quote(name), quoted(s.Certbot.Served[name]))
	}
	return b.String()
}

func comment(text string) string {
	return "#" + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n#") + "\n"
}

func (s *Site) writeLogs() string {
	example := `  app:      {paths: ["/var/log/advanced-lms/error.log"]}
  combined: {paths: ["/var/log/advanced-lms/combined.log"]}
  frontend: {paths: ["/var/log/advanced-lms/frontend.log"]}
`
	if len(s.Logs) == 0 {
		return "\n# logs:                            # named sources; rotated and gzipped files are found by themselves\n" + comment(example)
	}
	var b strings.Builder
	b.WriteString("\nlogs:                              # named sources; rotated and gzipped files are found by themselves\n")
	for _, name := range slices.Sorted(maps.Keys(s.Logs)) {
		l := s.Logs[name]
		fmt.Fprintf(&b, "  %s: {paths: [%s]", quote(name), quoted(l.Paths))
		if l.Format != "" {
			fmt.Fprintf(&b, ", format: %s", l.Format)
		}
		b.WriteString("}\n")
	}
	return b.String() + comment(example)
}

func (s *Site) writeBackups() string {
	example := `  db: {dir: /var/backups/advanced-lms, glob: "db_backup_2*.sql.gz"}   # log: NAME under logs, second: a second place,
                                   # template: a database with the extensions that a restore test may not create
`
	if len(s.Backups) == 0 {
		return "\n# backups:                         # sets; the newest file of each is checked for age and wholeness\n" + comment(example)
	}
	var b strings.Builder
	b.WriteString("\nbackups:                           # sets; the newest file of each is checked for age and wholeness\n")
	for _, name := range slices.Sorted(maps.Keys(s.Backups)) {
		set := s.Backups[name]
		fmt.Fprintf(&b, "  %s: {dir: %q, glob: %q}\n", quote(name), set.Dir, set.Glob)
	}
	return b.String() + comment(example)
}
