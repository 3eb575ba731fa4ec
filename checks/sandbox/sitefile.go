package sandbox

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// addresses are what the site file has to name; an empty one is a component
// that this machine could not give.
type addresses struct {
	dir      string // the sandbox's directory
	postgres string // DSN of the monitoring role
	owner    string // DSN of the database's owner
	verify   string // DSN for restoring into a scratch database

	postgresLog string // path
	redis       string // socket path
	web         string // base URL
	tls         string // host:port
	ca          string // path
	certbot     string // directory with certbot's own
	acme        string // path of what the ACME server is known by

	socket string // of the supervisor; "": none of its own
	group  int    // whose members may read the site file; 0: nobody
}

// writeSite writes the sandbox's opsdeck.yaml and returns its path.
func writeSite(a addresses) (string, error) {
	path := filepath.Join(a.dir, "opsdeck.yaml")
	if err := os.WriteFile(path, []byte(a.site()), 0o600); err != nil {
		return "", fmt.Errorf("writing the sandbox's site file: %w", err)
	}
	if a.group > 0 {
		if err := cmp.Or(os.Chown(path, -1, a.group), os.Chmod(path, 0o640)); err != nil {
			return "", fmt.Errorf("letting the group read the sandbox's site file: %w", err)
		}
	}
	return path, nil
}

func (a addresses) site() string {
	sections := []string{
		"# The sandbox's site: everything in it lives in this directory and ends with the demo.\nschema: 1\nsite: demo\ntimezone: UTC\n",
		a.vars(), a.connections(), a.services(), a.logs(), a.backups(), queries, oldRows, a.actions(), edge, rotation, a.certbotSection(),
	}
	if a.socket != "" {
		sections[0] += "supervisor: {socket: " + a.socket + "}\n"
	}
	return strings.Join(sections, "\n")
}

// actions is what changes something needs: a page that closes the site,
// somebody to tell, and leave to end sessions.
func (a addresses) actions() string {
	return "maintenance:\n" +
		"  site: {flag: \"${dir}/maintenance.flag\", url: \"${web}/health\", exempt: \"${web}/api/health\"}\n" +
		"notify:\n" +
		"  ops: {webhook: \"${web}/notices\"}\n" +
		"allow:\n  kill_sessions: true\n  scan_targets: [127.0.0.1]\n" +
		"loads:\n" + load("site", "/health") + load("api", "/api/health")
}

// load is a small load on one of the sandbox's own pages.
func load(name, path string) string {
	return fmt.Sprintf("  %s: {url: \"${web}%s\", users: 10, requests: 10, staging: true, reports: \"${dir}/reports\", authorisation: {reference: DEMO-1, until: 2099-12-31}}\n", name, path)
}

func (a addresses) vars() string {
	return fmt.Sprintf("vars:\n  dir: %s\n  web: %s\n", a.dir, a.web)
}

func (a addresses) connections() string {
	var b strings.Builder
	b.WriteString("connections:\n")
	if a.postgres != "" {
		fmt.Fprintf(&b, "  postgres:\n    main: {dsn: %q}\n    maintain: {dsn: %q}\n    verify: {dsn: %q}\n", a.postgres, a.owner, a.verify)
	}
	if a.redis != "" {
		fmt.Fprintf(&b, "  redis:\n    main: {address: \"unix://%s\"}\n", a.redis)
	}
	b.WriteString("  prometheus:\n    main: {url: \"${web}\"}\n")
	return b.String()
}

func (a addresses) services() string {
	var b strings.Builder
	b.WriteString("services:\n")
	b.WriteString("  - {id: web, use: http.get, with: {url: \"${web}/health\", expect: {status: 200, body: ok}}, every: 5s}\n")
	b.WriteString("  - id: api\n    use: http.get\n    with: {url: \"${web}/api/health\", expect: {status: 200, json: {$.status: ok, $.db: ok, $.redis: ok}}}\n    every: 5s\n")
	var needs []string
	if a.postgres != "" {
		needs = append(needs, "db")
	}
	if a.redis != "" {
		needs = append(needs, "cache")
	}
	if len(needs) > 0 {
		fmt.Fprintf(&b, "    needs: [%s]\n", strings.Join(needs, ", "))
	}
	b.WriteString("  - {id: reports, use: http.get, with: {url: \"${web}/reports/health\", expect: {status: 200}}, every: 10s}   # slow\n")
	b.WriteString("  - {id: search, use: http.get, with: {url: \"${web}/search/health\", expect: {status: 200, json: {$.status: ok}}}, every: 10s}   # answers 200 and lies\n")
	b.WriteString("  - {id: payments, use: http.get, with: {url: \"${web}/payments/health\", expect: {status: 200}}, every: 10s}   # fails\n")
	if a.postgres != "" {
		b.WriteString("  - {id: db, use: pg.ping, every: 5s}\n")
	}
	if a.redis != "" {
		b.WriteString("  - {id: cache, use: redis.ping, every: 5s}\n")
	}
	fmt.Fprintf(&b, "  - {id: cert, use: tls.expiry, with: {targets: [\"%s\"], ca: \"%s\"}, every: 1m}   # due soon\n", a.tls, a.ca)
	return b.String()
}

func (a addresses) logs() string {
	logs := "logs:\n" +
		"  app: {paths: [\"${dir}/log/error.log\"]}\n" +
		"  combined: {paths: [\"${dir}/log/combined.log\"]}\n" +
		"  frontend: {paths: [\"${dir}/log/frontend.log\"]}\n" +
		"  nginx: {paths: [\"${dir}/log/access.log\"], format: combined, latency: Response-Time}\n" +
		"  edge: {paths: [\"${dir}/log/edge.log\"], format: combined}\n" +
		"  backup: {paths: [\"${dir}/log/backup.log\"]}\n"
	if a.postgres != "" {
		logs += fmt.Sprintf("  postgres: {paths: [%q]}\n", a.postgresLog)
	}
	return logs
}

func (a addresses) backups() string {
	template := ""
	if a.postgres != "" {
		template = ", template: " + restoreTemplate
	}
	return "backups:\n" +
		"  db: {dir: \"${dir}/backups/db\", glob: \"db_backup_*.sql.gz\", log: backup" + template + "}\n" +
		"  media: {dir: \"${dir}/backups/media\", glob: \"media_backup_*.sql.gz\"}   # the newest is half a dump\n"
}

const queries = `queries:
  admins: {sql: "SELECT u.id::text AS id, r.name AS role FROM public.users AS u JOIN public.roles AS r ON r.id = u.role_id WHERE r.name = 'admin' ORDER BY 1", expect: ["7"]}   # 1313 is one too
  active_users: {sql: "SELECT count(DISTINCT user_id) FROM public.audit_logs WHERE created_at > now() - $1::interval", args: [1h]}
  enrollments: {sql: "SELECT count(*) FROM public.enrollments WHERE enrolled_at > now() - $1::interval", args: [24h]}
`
