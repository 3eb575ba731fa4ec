package site

import (
	"fmt"
	"regexp"
	"time"

	"github.com/goccy/go-yaml/ast"

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
		}, "file", "key")
		switch {
		case k.Key != "" && !environmentName.MatchString(k.Key):
			p.at(f.at, Error, codeWrongType, fmt.Sprintf("%s.key is %q, which is no name of a variable", what, k.Key), "letters, digits and _")
		case k.Accept != "" && k.Accept != "two-keys" && k.Accept != "one-key":
			p.at(f.at, Error, codeUnknownWord, fmt.Sprintf("%s.accept is %q", what, k.Accept), `expected "two-keys" or "one-key"`)
		case k.Accept == "one-key" && k.New == "":
			p.at(f.at, Error, codeMissing, what+` needs "new"`, "a password is set elsewhere first, and read from that file")
		case k.New != "" && k.New == k.File:
			p.at(f.at, Error, codeWrongType, what+".new is the environment file itself", "name a file of its own")
		case k.Grace <= 0:
			p.at(f.at, Error, codeWrongType, what+".grace is not above 0", "write for example 7d")
		}
		p.site.Kept[f.key] = k
	}
}
