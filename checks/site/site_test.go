package site

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"

	"context"
	"errors"
	"fmt"
	"github.com/jackc/pgx/v5/pgconn"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// catalogue is a registry of modules that declare and never run.
func catalogue(t testing.TB) *checks.Registry {
	t.Helper()
	module := func(name, kind string, params ...checks.Param) *checks.Module {
		return &checks.Module{
			Name: name, Doc: "a module", Kind: kind, Params: params, Source: "test", Fail: "ok == false",
			Facts: []fact.Spec{
				{Name: "ok", Type: fact.Bool}, {Name: "used", Type: fact.Percent}, {Name: "busy", Type: fact.Percent}, {Name: "total", Type: fact.Duration}, {Name: "left", Type: fact.Duration},
			},
			Run: func(context.Context, checks.Env, checks.Args) (checks.Findings, error) { return checks.Findings{}, nil },
		}
	}
	text := func(name string) checks.Param { return checks.Param{Name: name, Type: checks.TextParam} }
	required := func(name string, kind checks.ParamType) checks.Param {
		return checks.Param{Name: name, Type: kind, Required: true}
	}
	named := func(name, section string) checks.Param {
		return checks.Param{Name: name, Type: checks.TextParam, Names: section, Required: true}
	}
	reg, err := checks.NewRegistry(
		checks.Family{Name: "system", Modules: []*checks.Module{module("sys.cpu", "", checks.Param{Name: "window", Type: checks.DurationParam, Default: "60s"}), module("sys.disk", "")}},
		checks.Family{Name: "web", Modules: []*checks.Module{module("http.get", "", required("url", checks.TextParam), checks.Param{Name: "expect", Type: checks.MapParam}, text("method")), module("tls.expiry", "", required("targets", checks.TextsParam))}},
		checks.Family{Name: "postgres", Kind: "postgres", Modules: []*checks.Module{module("pg.ping", "postgres"), module("pg.connections", "postgres"), module("pg.sessions", "postgres"), module("pg.query", "postgres", named("query", "queries"))}},
		checks.Family{Name: "redis", Kind: "redis", Modules: []*checks.Module{module("redis.ping", "redis"), module("redis.memory", "redis")}},
		checks.Family{Name: "docker", Kind: "docker", Modules: []*checks.Module{module("compose.services", "docker")}},
		checks.Family{Name: "prometheus", Kind: "prometheus", Modules: []*checks.Module{module("metric.query", "prometheus", required("query", checks.TextParam))}},
		checks.Family{Name: "backup", Modules: []*checks.Module{module("backup.fresh", "", named("set", "backups")), module("backup.integrity", "", named("set", "backups"))}},
		checks.Family{Name: "logs", Modules: []*checks.Module{module("log.count", "", named("source", "logs"))}},
		checks.Family{Name: "files", Modules: []*checks.Module{module("file.content", "", text("path"), checks.Param{Name: "sha256", Type: checks.TextParam, Check: func(any) error { return errors.New("no hash") }})}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func environment(name string) string {
	return map[string]string{"PG_PASS": "planted-pg-secret", "VERIFY_PASS": "planted-verify", "LMS_OWNER_PASSWORD": "planted-owner", "REDIS_PASSWORD": "planted-redis"}[name]
}

func TestTheExampleSiteLoads(t *testing.T) {
	src, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, problems := Parse("opsdeck.yaml", src, catalogue(t), environment)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if s.Name != "Advanced-LMS" || s.Zone.String() != "Europe/Paris" {
		t.Errorf("site %q in %v", s.Name, s.Zone)
	}
	main, _ := s.Connection("postgres", "main")
	if main.Password.Reveal() != "planted-pg-secret" || !main.Production || strings.Contains(main.DSN, "planted") {
		t.Errorf("connection main: %+v", main)
	}
	api, _ := s.Service("api")
	if api.Args.Text("url") != "https://api.lms.example.com/health" || api.Every != 10*time.Second || !slices.Equal(api.Needs, []string{"db", "cache"}) ||
		api.Rules.Warn.Text != "total > 500ms" || !strings.HasPrefix(api.Rules.Warn.Source, "opsdeck.yaml:") {
		t.Errorf("service api: %+v", api)
	}
	if rules, params := s.Limits("sys.cpu"); rules.Warn.Text != "busy > 70%" || params["window"] != "15m" {
		t.Errorf("limits of sys.cpu: %+v, %v", rules, params)
	}
	if s.Logs["app"].Paths[0] != "/var/log/advanced-lms/error.log" || s.Queries["enrollments"].Args[0] != "24h" || s.Backups["db"].Glob != "db_backup_2*.sql.gz" {
		t.Errorf("logs %v, queries %v, backups %v", s.Logs, s.Queries, s.Backups)
	}
	if s.Retention.Evidence != 400*24*time.Hour || s.Commands["full-backup"].Danger != 1 || s.Allow.ScanTargets[0] != "staging.lms.example.com" {
		t.Errorf("retention %v, commands %v, allow %v", s.Retention, s.Commands, s.Allow)
	}
	if !slices.Contains(s.Secrets(), "planted-redis") {
		t.Error("a resolved secret is not known for redaction")
	}
}

func TestStandingChecksStandUnderTheSitesLimits(t *testing.T) {
	src, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reg := catalogue(t)
	s, _ := Parse("opsdeck.yaml", src, reg, environment)
	var ids []string
	for _, c := range s.Checks(reg) {
		ids = append(ids, c.ID)
		if c.OnDemand != (c.ID == "pg.sessions") {
			t.Errorf("%s is on demand: %v", c.ID, c.OnDemand)
		}
		switch c.ID {
		case "sys.cpu":
			if c.Rules.Warn.Text != "busy > 70%" || c.Args.Duration("window") != 15*time.Minute {
				t.Errorf("sys.cpu: %+v", c.Rules)
			}
		case "pg.connections":
			if !slices.Equal(c.Needs, []string{"db"}) {
				t.Errorf("pg.connections needs %v", c.Needs)
			}
		}
	}
	want := "sys.cpu sys.disk pg.connections redis.memory web api db cache stack cert backup.db integrity.db log.app log.postgres pg.sessions"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("checks are %s\nwant       %s", got, want)
	}
}

// bad files: each line of want is "line:col CODE part of the message".
func TestEveryProblemIsReportedAtItsPlace(t *testing.T) {
	head := "schema: 1\nsite: x\n"
	tests := []struct{ name, src, want string }{
		{"empty file", "", "1:1 S103 the file is empty"},
		{"not a map", "- a\n- b\n", "1:1 S102 the site file is a list, expected a map"},
		{"broken YAML", "schema: 1\nsite: [x\n", "S100"},
		{"no name", "schema: 1\n", `S103 the site file needs "site"`},
		{"another schema", "schema: 2\nsite: x\n", "1:9 S102 schema is \"2\", expected 1"},
		{"unknown key", head + "srevices: []\n", `3:1 S101 the site file has no key "srevices" (did you mean "services"?)`},
		{"key twice", head + "site: y\n", `3:1 S105 "site" stands here twice`},
		{"unknown zone", head + "timezone: Mars/Olympus\n", `3:11 S104 there is no time zone "Mars/Olympus"`},
		{"anchor", head + "vars: &a {b: c}\n", "3:7 S100 anchors and aliases are not accepted"},
		{"tag", head + "vars: {b: !!str c}\n", "S100 tags are not accepted"},
		{"unknown variable", head + "vars: {domain: a, url: \"https://${domian}\"}\n", `3:24 S108 there is no variable "domian" (did you mean "domain"?)`},
		{"unset environment", head + "vars: {a: \"${env:NOT_THERE}\"}\n", "3:11 S109 the environment variable NOT_THERE is empty or not set"},
		{"missing secret file", head + "vars: {a: \"${file:/nonexistent/x}\"}\n", "3:11 S109 reading the secret file"},
		{"placeholder", head + "vars: {domain: www.yourdomain.com}\n", `3:16 S110 "yourdomain.com" is a placeholder of the guide`},
		{"unknown kind", head + "connections: {postgers: {main: {dsn: x}}}\n", `3:15 S104 there is no kind of connection "postgers" (did you mean "postgres"?)`},
		{"bad DSN", head + "connections: {postgres: {main: {dsn: \"not a dsn\"}}}\n", "S102 connection postgres.main.dsn is not a PostgreSQL connection string"},
		{"key of another kind", head + "connections: {redis: {main: {address: a, dsn: b}}}\n", `S101 connection redis.main has no key "dsn"`},
		{"missing address", head + "connections: {redis: {main: {tls: true}}}\n", `S103 connection redis.main needs "address"`},
		{"not a flag", head + "connections: {redis: {main: {address: a, tls: maybe}}}\n", `S102 connection redis.main.tls is "maybe", expected true or false`},
		{"service without a module", head + "services: [{id: a}]\n", `S103 a service needs "use"`},
		{"unknown module", head + "services: [{id: a, use: http.gett}]\n", `3:25 S104 there is no module "http.gett" (did you mean "http.get"?)`},
		{"missing parameter", head + "services: [{id: a, use: http.get}]\n", `3:25 S106 http.get needs "url"`},
		{"unknown parameter", head + "services:\n  - id: a\n    use: http.get\n    with: {url: http://x, methd: GET}\n", `6:27 S106 http.get has no parameter "methd" (did you mean "method"?)`},
		{"bad rule", head + "services:\n  - {id: a, use: http.get, with: {url: http://x}, warn: totl > 5s}\n", `4:57 S107 there is no fact "totl"`},
		{"rule in the wrong unit", head + "limits:\n  sys.cpu: {warn: busy > 70}\n", "4:19 S107 busy is a percent, found 70"},
		{"rule that cannot fail", head + "limits:\n  sys.cpu: {warn: busy > 70% and busy < 10%}\n", "S107 this can never be true"},
		{"limit of an unknown module", head + "limits: {sys.cpuu: {warn: busy > 70%}}\n", `3:10 S104 there is no module "sys.cpuu" (did you mean "sys.cpu"?)`},
		{"unknown parameter in a limit", head + "limits: {sys.cpu: {windw: 5m}}\n", `S101 sys.cpu has no parameter "windw" (did you mean "window"?)`},
		{"bad parameter in a limit", head + "limits: {sys.cpu: {window: 5}}\n", `S106 "5" is not a duration`},
		{"two services of one id", head + "services:\n  - {id: a, use: sys.cpu}\n  - {id: a, use: sys.disk}\n", `5:10 S105 there are two services "a"`},
		{"need of nothing", head + "services:\n  - {id: a, use: sys.cpu, needs: [bb]}\n", `S104 service a needs "bb", which is no check of this site`},
		{"needs in a circle", head + "services:\n  - {id: a, use: sys.cpu, needs: [b]}\n  - {id: b, use: sys.disk, needs: [a]}\n", "S111 services need each other: a -> b -> a"},
		{"service without its connection", head + "services: [{id: a, use: pg.ping}]\n", "S103 pg.ping needs the connection postgres.main, which is not under connections"},
		{"template that is always there", head + "backups: {db: {dir: /b, glob: \"*\", template: template0}}\n", `backup db.template is "template0", expected a database made for restore tests`},
		{"template with a quote", head + "backups: {db: {dir: /b, glob: \"*\", template: 'a\"b'}}\n", `backup db.template is "a\"b", expected the name of a database`},
		{"template under a wrong key", head + "backups: {db: {dir: /b, glob: \"*\", templat: a}}\n", `backup db has no key "templat"`},
		{"unknown backup log", head + "backups: {db: {dir: /b, glob: \"*\", log: jobs}}\n", `S104 backup db names the log "jobs", which is not under logs`},
		{"log without paths", head + "logs: {app: {format: json}}\n", `S103 log app needs "paths"`},
		{"relative command", head + "commands: {full: {argv: [backup.sh]}}\n", `S102 command full runs "backup.sh", expected an absolute path`},
		{"bad duration", head + "retention: {evidence: 400}\n", `S102 retention.evidence: "400" is not a duration`},
		{"notify nobody", head + "notify: {ops: {from: a@b}}\n", `S103 notify ops needs "smtp" or "webhook"`},
		{"mail server that is none", head + "notify: {ops: {smtp: \"mail.example.com:25\", from: a@b, to: [c@d]}}\n", `3:22 S102 notify ops.smtp is "mail.example.com:25", expected the URL of a mail server (write smtp://host:587`},
		{"mail server with a path", head + "notify: {ops: {smtp: \"smtp://h/x\", from: a@b, to: [c@d]}}\n", "S102 notify ops.smtp is"},
		{"user in the mail server", head + "notify: {ops: {smtp: \"smtp://u:p@h\", from: a@b, to: [c@d]}}\n", "S109 notify ops.smtp has a user in it"},
		{"unknown choice of the mail server", head + "notify: {ops: {smtp: \"smtp://h?tsl=none\", from: a@b, to: [c@d]}}\n", `S104 notify ops.smtp has no choice "tsl"`},
		{"unknown kind of TLS", head + "notify: {ops: {smtp: \"smtp://h?tls=maybe\", from: a@b, to: [c@d]}}\n", "S104 notify ops.smtp asks for tls=maybe"},
		{"smtps without TLS", head + "notify: {ops: {smtp: \"smtps://h?tls=none\", from: a@b, to: [c@d]}}\n", "S104 notify ops.smtp asks for tls=none"},
		{"relative authorities", head + "notify: {ops: {smtp: \"smtp://h?ca=x.pem\", from: a@b, to: [c@d]}}\n", `S102 notify ops.smtp has the authorities "x.pem"`},
		{"mail from nobody", head + "notify: {ops: {smtp: \"smtp://h\", to: [c@d]}}\n", `S103 notify ops needs "from"`},
		{"mail to nobody", head + "notify: {ops: {smtp: \"smtp://h\", from: a@b}}\n", `S103 notify ops needs "to"`},
		{"user without a password", head + "notify: {ops: {smtp: \"smtp://h\", from: a@b, to: [c@d], user: u}}\n", "S103 notify ops has a user or a password, not both"},
		{"password in clear over the wire", head + "notify: {ops: {smtp: \"smtp://h?tls=none\", from: a@b, to: [c@d], user: u, password: \"${env:PG_PASS}\"}}\n", "S109 notify ops sends its password without TLS"},
		{"user of a webhook", head + "notify: {ops: {webhook: \"http://h\", user: u, password: \"${env:PG_PASS}\"}}\n", "S101 notify ops has a user"},
		{"password in clear", head + "notify: {ops: {smtp: \"smtp://h\", from: a@b, user: u, password: clear-text}}\n", "S109 notify ops.password stands in the file in clear text"},
		{"secret without a key", head + "secrets: {jwt: {file: /srv/.env}}\n", `S103 secret jwt needs "key"`},
		{"secret that is no variable", head + "secrets: {jwt: {file: /srv/.env, key: JWT-SECRET}}\n", `S102 secret jwt.key is "JWT-SECRET", which is no name of a variable`},
		{"secret in a relative file", head + "secrets: {jwt: {file: .env, key: JWT_SECRET}}\n", `S102 secret jwt.file is ".env", expected an absolute path`},
		{"secret accepted by a guess", head + "secrets: {jwt: {file: /srv/.env, key: JWT_SECRET, accept: maybe}}\n", `S104 secret jwt.accept is "maybe"`},
		{"password from nowhere", head + "secrets: {db: {file: /srv/.env, key: DB_PASSWORD, accept: one-key}}\n", `S103 secret db needs "new"`},
		{"closed by nothing", head + "maintenance: {web: {url: \"http://a/\", exempt: \"http://a/health\"}}\n", `3:15 S103 maintenance web needs "flag" or "snippet"`},
		{"file without a path", head + "files: {job: {mode: \"0755\"}}\n", `3:9 S103 file job needs "path"`},
		{"file with half a hash", head + "files: {job: {path: /a, sha256: abc}}\n", `3:25`},
		{"file with an unknown wish", head + "files: {job: {path: /a, hash: abc}}\n", `no parameter "hash"`},
		{"document nowhere", head + "documents: {guide: {review: 90d}}\n", `3:13 S103 document guide needs "path" or "url"`},
		{"document in two places", head + "documents: {guide: {path: a.md, url: \"http://a/\"}}\n", `S103 document guide needs`},
		{"document outside", head + "documents: {guide: {path: ../a.md}}\n", `S102 document guide leaves the site file's folder`},
		{"document of no address", head + "documents: {guide: {url: lms}}\n", `S102 document guide.url is "lms"`},
		{"project nowhere", head + "projects: {web: {main: master}}\n", `3:17 S103 project web needs "dir"`},
		{"project of a word", head + "projects: {web: {dir: /srv/web, merge: loacl}}\n", `project web.merge is "loacl"`},
		{"upgrade to whatever", head + "projects: {web: {dir: /srv/web, upgrade: {lodash: latest}}}\n", `project web.upgrade.lodash is "latest", expected an exact version`},
		{"waiver for ever", head + "projects: {web: {dir: /srv/web, waive: [{id: GHSA-1, reason: not reachable}]}}\n", `S103 project web.waive needs "until"`},
		{"waiver until some day", head + "projects: {web: {dir: /srv/web, waive: [{id: GHSA-1, reason: no, until: soon}]}}\n", `project web.waive.until is "soon", expected a day`},
		{"scan by nobody's leave", head + "scans: {a: {tool: nmap, target: 127.0.0.1, reports: /r}}\n", `S103 scan a needs "authorisation"`},
		{"scan for ever", head + "scans: {a: {tool: nmap, target: 127.0.0.1, reports: /r, authorisation: {reference: OPS-1}}}\n", `S103 scan a.authorisation needs "until"`},
		{"attack on production", head + "scans: {a: {tool: sqlmap, target: \"http://a/?id=1\", reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}}}\n", `S103 scan a attacks its target and does not say staging: true`},
		{"scan of an option", head + "scans: {a: {tool: nmap, target: --script=x, reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}}}\n", `S102 scan a.target "--script=x" is not what nmap takes`},
		{"scan of a network", head + "scans: {a: {tool: nmap, target: 10.0.0.0/8, reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}}}\n", `S102 scan a.target "10.0.0.0/8" is not what nmap takes`},
		{"load of a host that is not listed", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://b/\"}}\n", `S104 load x goes to b, which is not under allow.scan_targets`},
		{"load with a token in the file", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", token: TOKEN}}\n", `S109 load x.token is not a reference to a secret`},
		{"load with a token in clear text", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"http://a/\", token: \"${env:PG_PASS}\"}}\n", `load x sends its token in clear text`},
		{"load with a login in its address", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://u:p@a/\"}}\n", `load x.url has a login in it`},
		{"load without a bound", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", rate: 100000}}\n", `load x has 100 users with 10 requests at 100000 a second`},
		{"load for hours", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", requests: 1000, rate: 1}}\n", `load x takes longer than 20m0s`},
		{"load that waits for ever", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", wait: 2h}}\n", `load x.wait is not between 0 and 1m`},
		{"load that is never broken off", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", abort: 10}}\n", `load x.abort is "10", expected a percentage`},
		{"load that is broken off at no number", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", abort: NaN%}}\n", `load x.abort is "NaN%", expected a percentage`},
		{"load that is broken off at half a number", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", abort: 1O%}}\n", `load x.abort is "1O%", expected a percentage`},
		{"load at a number in another notation", head + "allow: {scan_targets: [a]}\nloads: {x: {reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}, staging: true, url: \"https://a/\", rate: 1e3}}\n", `load x.rate is`},
		{"load on production", head + "allow: {scan_targets: [a]}\nloads: {x: {url: \"https://a/\", reports: /r, authorisation: {reference: OPS-1, until: 2027-01-01}}}\n", `S103 load x does not say staging: true`},
		{"load by nobody's leave", head + "allow: {scan_targets: [a]}\nloads: {x: {url: \"https://a/\", reports: /r, staging: true}}\n", `S103 load x needs "authorisation"`},
		{"role with two keys", head + "secrets: {db: {file: /e, key: K, new: /n, accept: two-keys, role: lms, clients: [a]}}\n", `S103 secret db is the password of a role and does not say accept: one-key`},
		{"role without clients", head + "secrets: {db: {file: /e, key: K, new: /n, accept: one-key, role: lms}}\n", `S103 secret db needs "clients"`},
		{"clients of no role", head + "secrets: {db: {file: /e, key: K, new: /n, accept: one-key, clients: [a]}}\n", `secret db has clients or a login and names no "role"`},
		{"login with a password", head + "secrets: {db: {file: /e, key: K, new: /n, accept: one-key, role: lms, clients: [a], login: \"host=a password=b\"}}\n", `S102 secret db.login is not a connection string without a password`},
		{"scan by an unknown tool", head + "scans: {a: {tool: nikto, target: a}}\n", `scan a.tool is "nikto"`},
		{"closed twice", head + "maintenance: {web: {flag: /a, snippet: /b, url: \"http://a/\", exempt: \"http://a/health\"}}\n", `S102 maintenance web has both "flag" and "snippet"`},
		{"snippet nobody reads", head + "maintenance: {web: {snippet: /b, url: \"http://a/\", exempt: \"http://a/health\"}}\n", `S103 maintenance web needs "reload"`},
		{"reload of nothing", head + "commands: {nginx-reload: {argv: [/usr/sbin/nginx]}}\nmaintenance: {web: {snippet: /b, reload: nginx-relaod, url: \"http://a/\", exempt: \"http://a/health\"}}\n", `4:42 S104 maintenance web reloads by "nginx-relaod", which is not under commands (did you mean "nginx-reload"?)`},
		{"reload of a flag", head + "commands: {r: {argv: [/r]}}\nmaintenance: {web: {flag: /b, reload: r, url: \"http://a/\", exempt: \"http://a/health\"}}\n", `S101 maintenance web has a "reload", which a flag does not need`},
		{"closed page without a URL", head + "maintenance: {web: {flag: /a, exempt: \"http://a/health\"}}\n", `S103 maintenance web needs "url"`},
		{"nothing exempt", head + "maintenance: {web: {flag: /a, url: \"http://a/\"}}\n", `S103 maintenance web needs "exempt"`},
		{"the page itself exempt", head + "maintenance: {web: {flag: /a, url: \"http://a/\", exempt: \"http://a/\"}}\n", "S102 maintenance web.exempt is the page that is closed"},
		{"exempt path that would be nginx", head + "commands: {r: {argv: [/r]}}\nmaintenance: {web: {snippet: /a, reload: r, url: \"http://a/\", exempt: \"http://a/h%22;deny\"}}\n", `S102 maintenance web.exempt has the path "/h\";deny", which a snippet cannot name`},
		{"no URL at all", head + "maintenance: {web: {flag: /a, url: lms, exempt: \"http://a/h\"}}\n", `S102 maintenance web.url is "lms", expected a URL`},
		{"relative flag", head + "maintenance: {web: {flag: a.flag, url: \"http://a/\", exempt: \"http://a/h\"}}\n", `3:27 S102 maintenance web.flag is "a.flag", expected an absolute path`},
		{"flag by a detour", head + "maintenance: {web: {flag: /a/../b, url: \"http://a/\", exempt: \"http://a/h\"}}\n", `S102 maintenance web.flag is "/a/../b", expected an absolute path`},
		{"unknown key of a page", head + "maintenance: {web: {flga: /a, flag: /a, url: \"http://a/\", exempt: \"http://a/h\"}}\n", `S101 maintenance web has no key "flga" (did you mean "flag"?)`},
		{"nested too deep", head + "vars: " + strings.Repeat("[", 60) + "\n", "S100 brackets are nested deeper than 40"},
		{"two documents", head + "---\nsite: y\n", "S100 a site file is one YAML document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := Parse("opsdeck.yaml", []byte(tt.src), catalogue(t), environment)
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%d:%d %s %s (%s)", p.Line, p.Col, p.Code, p.Msg, p.Hint), " ()"))
			}
			if all := strings.Join(got, "\n"); !strings.Contains(all, tt.want) || s != nil {
				t.Errorf("problems:\n%s\nwant %s", all, tt.want)
			}
		})
	}
}

func TestAllProblemsComeAtOnce(t *testing.T) {
	src := "schema: 3\nsite: x\ntimzone: UTC\nvars: {a: \"${b}\"}\nservices:\n  - {id: a, use: nothing}\n  - {id: b, use: http.get, wiht: {}}\n"
	_, problems := Parse("f", []byte(src), catalogue(t), environment)
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if want := []int{1, 3, 4, 6, 7, 7}; !slices.Equal(lines, want) {
		t.Errorf("problems at lines %v, want %v:\n%s", lines, want, problems.Error())
	}
}

func TestSecretsAppearInNoProblem(t *testing.T) {
	src := "schema: 1\nsite: x\nvars: {a: \"${env:PG_PASS}\"}\nconnections:\n  postgres:\n    main: {dsn: \"postgres://u:hunter2222@h/d\", use: \"${a}\"}\nnotify: {o: {webhook: \"${env:PG_PASS}\"}}\n"
	_, problems := Parse("f", []byte(src), catalogue(t), environment)
	if len(problems) < 3 {
		t.Fatalf("problems: %v", problems)
	}
	for _, p := range problems {
		if text := p.Pointed(); strings.Contains(text, "planted") || strings.Contains(text, "hunter2222") {
			t.Errorf("a secret is in %s", text)
		}
	}
}

func TestAPasswordInTheDSNIsTakenOut(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:hunter2222@h/d":        "postgres://u@h/d",
		"host=h user=u password=hunter2222 ": "host=h user=u",
	} {
		src := fmt.Sprintf("schema: 1\nsite: x\nconnections: {postgres: {main: {dsn: %q}}}\n", dsn)
		s, problems := Parse("f", []byte(src), catalogue(t), environment)
		if s == nil {
			t.Fatal(problems)
		}
		c, _ := s.Connection("postgres", "main")
		if c.DSN != want || c.Password.Reveal() != "hunter2222" || len(problems) != 1 || problems[0].Severity != Warning {
			t.Errorf("%s became %q, problems %v", dsn, c.DSN, problems)
		}
	}
}

func TestASecretFileMustBeClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pass")
	tests := []struct {
		mode os.FileMode
		ok   bool
	}{{0o600, true}, {0o400, true}, {0o640, true}, {0o644, false}, {0o666, false}, {0o620, false}}
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte("file-secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		value, err := secretFile(path)
		if (err == nil) != tt.ok || tt.ok && value != "file-secret" {
			t.Errorf("mode %04o: %q, %v", tt.mode, value, err)
		}
	}
	if _, err := secretFile(dir); err == nil {
		t.Error("a directory was read as a secret")
	}
}

// TestASecretOfTheSupervisorDoesNotKeepItsPeopleOut: whose socket a site has
// alone needs its secrets; without one they are an error as ever.
func TestASecretOfTheSupervisorDoesNotKeepItsPeopleOut(t *testing.T) {
	const text = "schema: 1\nsite: shared\nconnections: {postgres: {main: {dsn: \"${env:DSN}\", password: \"${env:PASSWORD}\"}, free: {dsn: \"host=/run\"}}}\n" +
		"notify: {team: {webhook: \"${env:HOOK}\"}, post: {smtp: smtp://mail.example, from: a@example.org, to: b@example.org, user: u, password: \"${env:PASSWORD}\"}}\n"
	nothing := func(string) string { return "" }
	alone, problems := Parse("s.yaml", []byte(text), catalogue(t), nothing)
	if alone != nil || len(problems) != 4 || problems[0].Code != codeSecret {
		t.Errorf("without a socket: %v", problems)
	}
	s, problems := Parse("s.yaml", []byte(text+"supervisor: {socket: /run/opsdeck/supervisor.sock}\n"), catalogue(t), nothing)
	if s == nil || len(problems) != 0 || len(s.Withheld) != 4 {
		t.Fatalf("with one: %v", problems)
	}
	if len(s.Secrets()) != 0 {
		t.Errorf("what stands for a secret is not one: %q", s.Secrets())
	}
	for name, closed := range map[string]bool{"main": true, "free": false} {
		if c, ok := s.Connection("postgres", name); !ok || (c.Withheld != "") != closed {
			t.Errorf("%s is withheld because of %q", name, c.Withheld)
		}
	}
}

func TestTheSiteFileIsFoundInOrder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	home := filepath.Join(dir, "home")
	user := filepath.Join(home, ".config", "opsdeck", "opsdeck.yaml")
	write := func(path string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"HOME": home}
	env := func(name string) string { return vars[name] }
	expect := func(flag, want string) {
		t.Helper()
		if got, err := Find(flag, env); err != nil || got != want {
			t.Errorf("found %q, %v; want %q", got, err, want)
		}
	}
	expect("", "")
	write(user)
	expect("", user)
	write("opsdeck.yaml")
	expect("", "opsdeck.yaml")
	write("named.yaml")
	vars["OPSDECK_SITE"] = "named.yaml"
	expect("", "named.yaml")
	expect("opsdeck.yaml", "opsdeck.yaml")
	if _, err := Find("gone.yaml", env); err == nil {
		t.Error("a file that was named and is not there was passed over")
	}
}

// fixtureHost has a Postgres socket, nginx logs, certificates and dumps.
func fixtureHost(t *testing.T) Host {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/letsencrypt/live/lms.example.com", "var/log/nginx", "var/backups/lms", "var/run/postgresql"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{"etc/hostname": "web1\n", "var/log/nginx/access.log": "", "var/backups/lms/db_backup_20261123_030000.sql.gz": ""} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, "/var/run/postgresql/.s.PGSQL.5432") || address == "127.0.0.1:6379" {
			near, far := net.Pipe()
			far.Close()
			return near, nil
		}
		if network == "unix" {
			<-ctx.Done() // a socket whose owner hangs
		}
		return nil, errors.New("refused")
	}
	return Host{Root: root, Env: func(string) string { return "" }, Dial: dial}
}

func TestAHostIsDetectedReadOnlyAndWrittenDown(t *testing.T) {
	reg := catalogue(t)
	h := fixtureHost(t)
	s := Detect(t.Context(), h, reg)
	if s.Name != "web1" || !s.Detected {
		t.Errorf("site %q", s.Name)
	}
	if _, ok := s.Connection("postgres", "main"); !ok {
		t.Error("the Postgres socket was not found")
	}
	if _, ok := s.Connection("docker", "main"); ok {
		t.Error("a Docker socket that hangs was taken for one that answers")
	}
	if cert, ok := s.Service("cert"); !ok || cert.Args.Texts("targets")[0] != "lms.example.com:443" {
		t.Errorf("certificate service: %+v", cert)
	}
	if b := s.Backups["lms"]; b.Dir != "/var/backups/lms" || b.Glob != "db_backup*.sql.gz" {
		t.Errorf("backups: %+v", s.Backups)
	}
	written := s.Write()
	again, problems := Parse("opsdeck.yaml", written, reg, environment)
	if len(problems) > 0 {
		t.Fatalf("what init writes has problems:\n%s\n%s", problems.Error(), written)
	}
	var before, after []string
	for _, c := range s.Checks(reg) {
		before = append(before, c.ID)
	}
	for _, c := range again.Checks(reg) {
		after = append(after, c.ID)
	}
	if !slices.Equal(before, after) {
		t.Errorf("detected %v, read back %v", before, after)
	}
}

// TestDetectionTakesWordsForNothingButWords: no value of the environment adds a
// keyword to a DSN, a folder of two series has two sets, and a certificate is
// looked at under the names that stand in it.
func TestDetectionTakesWordsForNothingButWords(t *testing.T) {
	h := fixtureHost(t)
	h.Env = func(name string) string {
		return map[string]string{"PGUSER": "a b' sslmode=disable", "PGDATABASE": `x\y`}[name]
	}
	write(t, filepath.Join(h.Root, "var/backups/lms/media_20261123.tar.gz"), nil)
	write(t, filepath.Join(h.Root, "etc/letsencrypt/live/lms.example.com/cert.pem"), certificate(t, "www.lms.example.com", "*.lms.example.com", "lms.example.com"))
	s := Detect(t.Context(), h, catalogue(t))
	c, _ := s.Connection("postgres", "main")
	config, err := pgconn.ParseConfig(c.DSN)
	if err != nil || config.User != "a b' sslmode=disable" || config.Database != `x\y` {
		t.Errorf("%s: %v, user %q, database %q", c.DSN, err, config.User, config.Database)
	}
	if len(s.Backups) != 2 || s.Backups["lms-1"].Glob != "db_backup*.sql.gz" || s.Backups["lms-2"].Glob != "media*.tar.gz" {
		t.Errorf("%+v", s.Backups)
	}
	cert, _ := s.Service("cert")
	if got := cert.Args.Texts("targets"); !slices.Equal(got, []string{"www.lms.example.com:443", "lms.example.com:443"}) {
		t.Errorf("%v", got)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func certificate(t *testing.T, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestALongLineIsShownAroundItsProblem and what looks like a secret is not.
func TestALongLineIsShownAroundItsProblem(t *testing.T) {
	src := "schema: 1\nsite: s\nnotify: {ops: {smtp: \"smtp://a\", from: f, password: hunter22xyz, " + strings.Repeat("x-filler: aaaaaaaaaaaaaaaaaaaa, ", 1) + "wrong: 1, x-more: " + strings.Repeat("b", 300) + "}}\n"
	_, problems := Parse("opsdeck.yaml", []byte(src), catalogue(t), environment)
	found := false
	for _, p := range problems {
		shown := p.Pointed()
		if strings.Contains(shown, "hunter22xyz") {
			t.Errorf("the password is shown: %s", shown)
		}
		for _, line := range strings.Split(shown, "\n")[1:] {
			if len(line) > 4+excerptWidth+7 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
		if strings.Contains(p.Msg, `"wrong"`) {
			lines := strings.Split(shown, "\n")
			at := strings.Index(lines[2], "^")
			found = at > 0 && at < len(lines[1])
		}
	}
	if !found {
		t.Errorf("no problem points into its line: %v", problems)
	}
}

func TestAnEmptyHostWritesAFileThatLoads(t *testing.T) {
	reg := catalogue(t)
	h := Host{Root: t.TempDir(), Env: func(string) string { return "" }, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }}
	if _, problems := Parse("opsdeck.yaml", Detect(t.Context(), h, reg).Write(), reg, environment); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestAChangedFileIsReportedWholeOrWithItsProblems(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "opsdeck.yaml")
	replace := func(content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace("schema: 1\nsite: one\n")
	ctx, cancel := context.WithCancel(t.Context())
	updates := Watch(ctx, path, catalogue(t), environment)
	next := func() Update {
		t.Helper()
		select {
		case u := <-updates:
			return u
		case <-time.After(30 * time.Second):
			t.Fatal("no update")
			return Update{}
		}
	}
	replace("schema: 1\nsite: two\n")
	if u := next(); u.Site == nil || u.Site.Name != "two" {
		t.Errorf("update: %+v", u)
	}
	replace("schema: 1\nsite: three\nvras: {}\n")
	if u := next(); u.Site != nil || !u.Problems.Errors() {
		t.Errorf("a broken file gave %+v", u)
	}
	cancel()
	for range updates {
	}
}

func TestASiteFileThatOthersCanChangeIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(path, []byte("schema: 1\nsite: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, problems, err := Load(path, catalogue(t), environment); s == nil {
		t.Fatalf("a file of one's own: %v, %v", problems, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var refused *owner.Refusal
	if s, _, err := Load(path, catalogue(t), environment); s != nil || !errors.As(err, &refused) || refused.At != dir {
		t.Errorf("got %v, want a refusal of the folder", err)
	}
}

func TestASecretFileOfSomebodyElseIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a file has to be given to another user: run as root")
		}
		t.Skip("needs root to give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 41002, 41002); err != nil {
		t.Fatal(err)
	}
	src := "schema: 1\nsite: x\nvars:\n  a: \"${file:" + path + "}\"\n"
	s, problems := Parse("f", []byte(src), catalogue(t), environment)
	if s != nil || len(problems) != 1 || problems[0].Line != 4 || !strings.Contains(problems[0].Msg, "belongs to user 41002") {
		t.Errorf("got %v, want a refusal on line 4", problems)
	}
}

func TestAConnectionsFilesOfSomebodyElseAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root to give a file to another user")
		}
		t.Skip("needs root to give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 41002, 41002)); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{"host=h user=u passfile=" + path, "postgres://u@h/d?servicefile=" + path, "host=h sslkey='" + path + "'"} {
		src := fmt.Sprintf("schema: 1\nsite: x\nconnections:\n  postgres: {main: {dsn: %q}}\n", dsn)
		s, problems := Parse("f", []byte(src), catalogue(t), environment)
		if s != nil || len(problems) != 1 || problems[0].Line != 4 || !strings.Contains(problems[0].Msg, "belongs to user 41002") {
			t.Errorf("%s: got %v, want a refusal on line 4", dsn, problems)
		}
	}
}

func TestALinkThatLeadsNowhereIsNoMissingSiteFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Symlink("gone.yaml", "opsdeck.yaml"); err != nil {
		t.Fatal(err)
	}
	if path, err := Find("", func(string) string { return "" }); err != nil || path != "opsdeck.yaml" {
		t.Errorf("got %q, %v: the next file was taken", path, err)
	}
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	for _, seed := range []string{"", "a: b", "schema: 1\nsite: [", "vars: {a: ${b}}", "services:\n - {id: x, use: http.get, with: {url: y}}", "\x00", "? a", "a: |\n b"} {
		f.Add([]byte(seed))
	}
	reg := catalogue(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		s, problems := Parse("f", src, reg, environment)
		if s == nil && len(problems) == 0 {
			t.Fatal("neither a site nor a problem")
		}
		lines := strings.Split(string(src), "\n")
		for _, p := range problems {
			if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Msg == "" || p.Code == "" {
				t.Fatalf("problem outside the file: %+v", p)
			}
		}
	})
}

func TestPagesAndNoticesAreReadWhole(t *testing.T) {
	src := `schema: 1
site: x
maintenance:
  web: {flag: /srv/lms/maintenance.flag, url: "https://a/", exempt: "https://a/health"}
  api: {snippet: /etc/nginx/m.conf, reload: nginx-reload, url: "https://b/", exempt: "https://b/health"}
commands: {nginx-reload: {argv: [/usr/sbin/nginx, -s, reload]}}
notify:
  ops: {smtp: "smtp://mail:587?ca=/etc/ca.pem", user: opsdeck, password: "${env:PG_PASS}", from: a@b.example, to: [c@d.example]}
`
	s, problems := Parse("f", []byte(src), catalogue(t), environment)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	facts := s.Facts()
	want := checks.MaintenancePage{Name: "api", Snippet: "/etc/nginx/m.conf", Reload: "nginx-reload", URL: "https://b/", Exempt: "https://b/health", Origin: "f:5:3"}
	if got := facts.Maintenance["api"]; got != want {
		t.Errorf("api: %+v\nwant %+v", got, want)
	}
	if got := facts.Maintenance["web"]; got.Flag != "/srv/lms/maintenance.flag" || got.Reload != "" {
		t.Errorf("web: %+v", got)
	}
	if got := facts.Notify["ops"]; got.User != "opsdeck" || got.Password.Reveal() != "planted-pg-secret" {
		t.Errorf("ops: %+v", got)
	}
	if !slices.Contains(s.Secrets(), "planted-pg-secret") {
		t.Error("the mail password is not known for redaction")
	}
}

// What init writes as a comment is an example only if it loads.
func TestTheExamplesOfInitLoad(t *testing.T) {
	dir := t.TempDir()
	written := string((&Site{Name: "x"}).Write())
	for _, name := range []string{"smtp.pass", "webhook.url"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("https://chat.example.com/hook"), 0o600); err != nil {
			t.Fatal(err)
		}
		written = strings.ReplaceAll(written, "/etc/opsdeck/"+name, path)
	}
	src, taken := "schema: 1\nsite: x\n", false
	for line := range strings.Lines(written) {
		line = strings.TrimPrefix(line, "#")
		switch {
		case strings.HasPrefix(line, " notify:"), strings.HasPrefix(line, " commands:"), strings.HasPrefix(line, " maintenance:"):
			taken = true
		case !strings.HasPrefix(line, "   "):
			taken = false
		}
		if taken {
			src += strings.TrimPrefix(line, " ")
		}
	}
	s, problems := Parse("f", []byte(src), catalogue(t), environment)
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, src)
	}
	if len(s.Notify) != 2 || len(s.Maintenance) != 2 || len(s.Commands) != 1 {
		t.Errorf("%d notices, %d pages, %d commands in\n%s", len(s.Notify), len(s.Maintenance), len(s.Commands), src)
	}
}

func TestSecretsAreReadWithTheGuidesGrace(t *testing.T) {
	src := "schema: 1\nsite: lms\nsecrets:\n  jwt: {file: /srv/.env, key: JWT_SECRET, accept: two-keys}\n  db: {file: /srv/.env, key: DB_PASSWORD, new: /etc/lms/db.new, accept: one-key, grace: 1d, backup: /var/backups}\n"
	s, problems := Parse("opsdeck.yaml", []byte(src), catalogue(t), nil)
	if s == nil {
		t.Fatal(problems)
	}
	jwt, db := s.Facts().Secrets["jwt"], s.Facts().Secrets["db"]
	if jwt.Grace != 7*24*time.Hour || jwt.OldKey() != "JWT_SECRET_OLD" || db.Grace != 24*time.Hour || db.New != "/etc/lms/db.new" || db.Backup != "/var/backups" {
		t.Errorf("%+v %+v", jwt, db)
	}
}
