package site

import (
	"fmt"
	"regexp"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
)

// defaultGrace is how long an old secret is accepted after a rotation: the
// guide's seven days.
const defaultGrace = 7 * 24 * time.Hour

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// kept reads which secrets may be rotated, where they are, and whether the
// application accepts the old one meanwhile.
func (p *builder) kept(n ast.Node) {
	for _, f := range p.fields(n, "secrets") {
		k := checks.KeptSecret{Name: f.key, Grace: defaultGrace, Origin: p.place(f.at)}
		what := "secret " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"file": p.path(&k.File, what+".file"), "new": p.path(&k.New, what+".new"), "backup": p.path(&k.Backup, what+".backup"),
			"key": p.into(&k.Key, what+".key"), "grace": p.duration(&k.Grace, what+".grace"), "accept": p.into(&k.Accept, what+".accept"),
			"role": p.into(&k.Role, what+".role"), "clients": p.texts(&k.Clients, what+".clients"), "login": p.loginDSN(&k.Login, what+".login"),
		}, "file", "key")
		switch {
		case k.Key != "" && !environmentName.MatchString(k.Key):
			p.at(f.at, Error, codeWrongType, fmt.Sprintf("%s.key is %q, which is no name of a variable", what, k.Key), "letters, digits and _")
		case k.Accept != "" && k.Accept != "two-keys" && k.Accept != "one-key":
			p.at(f.at, Error, codeUnknownWord, fmt.Sprintf("%s.accept is %q", what, k.Accept), `expected "two-keys" or "one-key"`)
		case k.Accept == "one-key" && k.New == "":
			p.at(f.at, Error, codeMissing, what+` needs "new"`, "a password is set elsewhere first, and read from that file")
		case k.Role != "" && k.Accept != "one-key":
			p.at(f.at, Error, codeMissing, what+` is the password of a role and does not say accept: one-key`, "a role has one password")
		case k.Role != "" && len(k.Clients) == 0:
			p.at(f.at, Error, codeMissing, what+` needs "clients"`, "whatever logs in as "+k.Role+": workers and cron scripts too, or they fail without a word")
		case k.Role == "" && (k.Login != "" || len(k.Clients) > 0):
			p.at(f.at, Error, codeMissing, what+` has clients or a login and names no "role"`, "")
		case k.New != "" && k.New == k.File:
			p.at(f.at, Error, codeWrongType, what+".new is the environment file itself", "name a file of its own")
		case k.Grace <= 0:
			p.at(f.at, Error, codeWrongType, what+".grace is not above 0", "write for example 7d")
		}
		p.site.Kept[f.key] = k
	}
}

// loginDSN takes the address at which a role logs in; who and by what password
// is known already.
func (p *builder) loginDSN(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		text := p.text(n, what)
		password, secrets := dsnSecrets(dsnSettings(text))
		for _, s := range secrets {
			p.secret(s)
		}
		if _, err := pgconn.ParseConfig(text); err != nil || password != "" {
			p.at(n, Error, codeWrongType, what+" is not a connection string without a password", "write host=db.example.com dbname=lms sslmode=verify-full")
			return
		}
		*to = text
	}
}
