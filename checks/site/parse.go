package site

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
)

// builder builds a Site section by section.
type builder struct {
	*reader
	reg   *checks.Registry
	site  *Site
	later []func() // checks that need the whole file
}

// Parse reads the bytes of a site file. env gives the environment that
// ${env:…} refers to. The Site is nil when a problem is an error.
func Parse(path string, src []byte, reg *checks.Registry, env func(string) string) (*Site, Problems) {
	p := &builder{reader: newReader(path, src, env), reg: reg, site: &Site{
		Path: path, Zone: time.UTC, Vars: map[string]string{}, Logs: map[string]checks.LogSource{}, Queries: map[string]checks.Query{},
		Backups: map[string]checks.BackupSet{}, Notify: map[string]checks.Notify{}, Commands: map[string]checks.Command{}, Maintenance: map[string]checks.MaintenancePage{}, Files: map[string]checks.ExpectedFile{}, Documents: map[string]checks.Document{}, Projects: map[string]checks.Project{}, Archive: map[string]checks.OldRows{}, Purge: map[string]checks.OldRows{}, Cron: map[string]checks.CronJob{}, Scans: map[string]checks.Scan{}, Loads: map[string]checks.Load{}, Kept: map[string]checks.KeptSecret{}, limits: map[string]limit{},
		Retention: Retention{DefaultRetention, DefaultRetention},
	}}
	root := p.parse(src)
	if root == nil {
		return nil, p.problems
	}
	p.sections(root)
	for _, check := range p.later {
		check()
	}
	p.judgeClosed()
	p.site.secrets = p.secrets
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
	if p.problems.Errors() {
		return nil, p.problems
	}
	return p.site, p.problems
}

// sections reads what others refer to first: the order in the file is free.
func (p *builder) sections(root ast.Node) {
	nodes := map[string]ast.Node{}
	known := map[string]func(ast.Node){}
	for _, name := range []string{"schema", "site", "timezone", "vars", "connections", "services", "limits", "logs", "queries", "backups", "notify", "commands", "maintenance", "files", "documents", "projects", "archive", "purge", "scans", "loads", "secrets", "nginx", "cron", "logrotate", "certbot", "allow", "retention", "team", "supervisor"} {
		known[name] = func(n ast.Node) { nodes[name] = n }
	}
	p.dispatch(root, "the site file", known, "schema", "site")
	for _, step := range []struct {
		name string
		read func(ast.Node)
	}{
		{"schema", p.schema}, {"site", p.name}, {"timezone", p.zone}, {"vars", p.variables}, {"connections", p.connections},
		{"logs", p.logs}, {"queries", p.queries}, {"backups", p.backups}, {"limits", p.limits}, {"services", p.services},
		{"notify", p.notify}, {"commands", p.commands}, {"maintenance", p.maintenance}, {"files", p.files}, {"documents", p.documents}, {"projects", p.projects}, {"archive", p.archive}, {"purge", p.purge}, {"scans", p.scans}, {"loads", p.loads}, {"secrets", p.kept}, {"nginx", p.nginx}, {"cron", p.cron}, {"logrotate", p.logrotate}, {"certbot", p.certbot}, {"allow", p.allow}, {"retention", p.retention}, {"team", p.team}, {"supervisor", p.supervisor},
	} {
		if n, given := nodes[step.name]; given {
			step.read(n)
		}
	}
}

func (p *builder) schema(n ast.Node) {
	if version := p.text(n, "schema"); version != "1" {
		p.at(n, Error, codeWrongType, fmt.Sprintf("schema is %q, expected 1", version), "this opsdeck reads schema 1")
	}
}

func (p *builder) name(n ast.Node) {
	if p.site.Name = p.text(n, "site"); p.site.Name == "" {
		p.at(n, Error, codeMissing, "the site has no name", "")
	}
}

func (p *builder) zone(n ast.Node) {
	name := p.text(n, "timezone")
	zone, err := time.LoadLocation(name)
	if err != nil {
		p.at(n, Error, codeUnknownWord, fmt.Sprintf("there is no time zone %q", name), "write for example Europe/Paris or UTC")
		return
	}
	p.site.Zone = zone
}

func (p *builder) variables(n ast.Node) {
	for _, f := range p.fields(n, "vars") {
		p.vars[f.key] = p.text(f.value, "variable "+f.key)
	}
	p.site.Vars = maps.Clone(p.vars)
}

func (p *builder) connections(n ast.Node) {
	for _, kind := range p.fields(n, "connections") {
		if !slices.Contains(p.reg.Kinds(), kind.key) {
			p.at(kind.at, Error, codeUnknownWord, fmt.Sprintf("there is no kind of connection %q", kind.key), checks.Nearest(kind.key, p.reg.Kinds()))
			continue
		}
		for _, f := range p.fields(kind.value, "connections."+kind.key) {
			c := p.connection(f.value, kind.key, f.key)
			c.Origin = p.place(f.at)
			p.site.Connections = append(p.site.Connections, c)
		}
	}
}

// connectionKeys are the keys each kind of connection takes; the first is required.
var connectionKeys = map[string][]string{
	"postgres":   {"dsn", "password", "production", "use"},
	"redis":      {"address", "password", "tls", "production"},
	"docker":     {"host", "project", "file", "expect", "production"},
	"prometheus": {"url", "password"},
	"pgbouncer":  {"dsn", "password"},
}

func (p *builder) connection(n ast.Node, kind, name string) checks.Connection {
	c := checks.Connection{Kind: kind, Name: name}
	what := "connection " + kind + "." + name
	all := map[string]func(ast.Node){
		"dsn": p.dsn(&c, what+".dsn"), "address": p.into(&c.Address, what+".address"), "url": p.address(&c.URL, what+".url"),
		"host": p.into(&c.Host, what+".host"), "password": p.password(&c.Password, what+".password"),
		"production": p.flag(&c.Production, what+".production"), "tls": p.flag(&c.TLS, what+".tls"),
		"project": p.into(&c.Project, what+".project"), "file": p.into(&c.File, what+".file"), "expect": p.texts(&c.Expect, what+".expect"),
		"use": func(n ast.Node) {
			if c.Use = p.text(n, what+".use"); c.Use != "only-when-full" {
				p.at(n, Error, codeUnknownWord, fmt.Sprintf("%s.use is %q", what, c.Use), `expected "only-when-full"`)
			}
		},
	}
	accepted := map[string]func(ast.Node){}
	allowed := connectionKeys[kind]
	for _, key := range allowed {
		accepted[key] = all[key]
	}
	if len(allowed) == 0 {
		accepted = all
	}
	before := len(p.closed)
	p.dispatch(n, what, accepted, allowed[:min(1, len(allowed))]...)
	if len(p.closed) > before {
		c.Withheld = p.closed[before].why
	}
	return c
}

// dsn takes a connection string apart from its password.
func (p *builder) dsn(c *checks.Connection, what string) func(ast.Node) {
	return func(n ast.Node) {
		text := p.text(n, what)
		if strings.Contains(text, withheld) {
			return
		}
		if refused := strangersFile(text); refused != nil {
			p.withhold(n, refused.Cause(), refused.Remedy)
			return
		}
		settings := dsnSettings(text)
		given, secrets := dsnSecrets(settings)
		for _, s := range secrets {
			p.secret(s)
		}
		config, err := pgconn.ParseConfig(text)
		if err != nil {
			p.at(n, Error, codeWrongType, what+" is not a PostgreSQL connection string", "write postgres://user@host/database or host=… user=… dbname=…")
			return
		}
		p.secret(config.Password) // wherever pgconn has it from: PGPASSWORD, a password file
		c.DSN = text
		if given == "" {
			return
		}
		if given != config.Password {
			p.at(n, Error, codeSecret, what+" has more than one password in it", "write it as password: ${file:/path}")
			return
		}
		p.at(n, Warning, codeSecret, what+" has a password in it", "write it as password: ${file:/path}")
		c.DSN = withoutPassword(text, settings)
		c.Password = checks.NewSecret(config.Password)
	}
}

func (p *builder) address(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		if *to = p.text(n, what); strings.Contains(*to, withheld) {
			return
		}
		if u, err := url.Parse(*to); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			p.at(n, Error, codeWrongType, fmt.Sprintf("%s is %q, expected a URL", what, *to), "write http://host:port")
		}
	}
}

func (p *builder) logs(n ast.Node) {
	for _, f := range p.fields(n, "logs") {
		l := checks.LogSource{Name: f.key, Zone: p.site.Zone, Origin: p.place(f.at)}
		what := "log " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"paths": p.texts(&l.Paths, what+".paths"), "format": p.into(&l.Format, what+".format"), "latency": p.into(&l.Latency, what+".latency"),
			"timezone": func(n ast.Node) {
				zone, err := time.LoadLocation(p.text(n, what+".timezone"))
				if err != nil {
					p.at(n, Error, codeUnknownWord, "there is no such time zone", "write for example Europe/Paris or UTC")
					return
				}
				l.Zone = zone
			},
		}, "paths")
		p.site.Logs[f.key] = l
	}
}

func (p *builder) queries(n ast.Node) {
	for _, f := range p.fields(n, "queries") {
		q := checks.Query{Name: f.key, Origin: p.place(f.at)}
		what := "query " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"sql": p.into(&q.SQL, what+".sql"), "args": p.texts(&q.Args, what+".args"), "unit": p.into(&q.Unit, what+".unit"), "connection": p.into(&q.Connection, what+".connection"),
			"expect": p.texts(&q.Expect, what+".expect"),
		}, "sql")
		p.site.Queries[f.key] = q
	}
}

func (p *builder) backups(n ast.Node) {
	for _, f := range p.fields(n, "backups") {
		b := checks.BackupSet{Name: f.key, Origin: p.place(f.at)}
		what := "backup " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"dir": p.into(&b.Dir, what+".dir"), "glob": p.into(&b.Glob, what+".glob"), "log": p.into(&b.Log, what+".log"), "second": p.into(&b.Second, what+".second"),
			"template": p.into(&b.Template, what+".template"),
		}, "dir", "glob")
		if why := unfitTemplate(b.Template); why != "" {
			p.at(f.at, Error, codeWrongType, fmt.Sprintf("%s.template is %q, expected %s", what, b.Template, why), "")
		}
		if b.Log != "" {
			if _, ok := p.site.Logs[b.Log]; !ok {
				p.at(f.at, Error, codeUnknownWord, fmt.Sprintf("%s names the log %q, which is not under logs", what, b.Log), checks.Nearest(b.Log, keys(p.site.Logs)))
			}
		}
		p.site.Backups[f.key] = b
	}
}

// unfitTemplate says what is expected of the name of a template database; "" if
// it is one, or there is none.
func unfitTemplate(name string) string {
	switch {
	case name == "template0" || name == "template1":
		return "a database made for restore tests; without it the copy is made of template0"
	case len(name) > 63 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || strings.ContainsRune("\"'\\", c) }):
		return "the name of a database"
	}
	return ""
}

func (p *builder) commands(n ast.Node) {
	for _, f := range p.fields(n, "commands") {
		c := checks.Command{Name: f.key, Danger: 1, Origin: p.place(f.at)}
		what := "command " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"argv": p.texts(&c.Argv, what+".argv"), "danger": p.number(&c.Danger, what+".danger"), "timeout": p.duration(&c.Timeout, what+".timeout"),
		}, "argv")
		if len(c.Argv) > 0 && !strings.HasPrefix(c.Argv[0], "/") {
			p.at(f.at, Error, codeWrongType, fmt.Sprintf("%s runs %q, expected an absolute path", what, c.Argv[0]), "nothing is searched in PATH")
		}
		p.site.Commands[f.key] = c
	}
}

func (p *builder) allow(n ast.Node) {
	a := &p.site.Allow
	p.dispatch(n, "allow", map[string]func(ast.Node){
		"kill_sessions": p.flag(&a.KillSessions, "allow.kill_sessions"), "remove_under": p.texts(&a.RemoveUnder, "allow.remove_under"), "scan_targets": p.texts(&a.ScanTargets, "allow.scan_targets"),
	})
}

func (p *builder) retention(n ast.Node) {
	p.dispatch(n, "retention", map[string]func(ast.Node){
		"evidence": p.duration(&p.site.Retention.Evidence, "retention.evidence"), "metrics": p.duration(&p.site.Retention.Metrics, "retention.metrics"),
	})
}

func (p *builder) team(n ast.Node) {
	c := checks.Connection{Kind: "postgres", Name: "team"}
	p.dispatch(n, "team", map[string]func(ast.Node){"dsn": p.dsn(&c, "team.dsn"), "password": p.password(&c.Password, "team.password")}, "dsn")
	p.site.Team = &c
}

// supervisor names the socket of one that runs as a service, for people who
// are not its user.
func (p *builder) supervisor(n ast.Node) {
	p.dispatch(n, "supervisor", map[string]func(ast.Node){"socket": p.path(&p.site.Socket, "supervisor.socket")}, "socket")
}
