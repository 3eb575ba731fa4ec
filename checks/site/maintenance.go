package site

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// maintenance reads how the site is closed to its users. It comes after the
// commands, one of which makes the web server read a snippet.
func (p *builder) maintenance(n ast.Node) {
	for _, f := range p.fields(n, "maintenance") {
		m := checks.MaintenancePage{Name: f.key, Origin: p.place(f.at)}
		what := "maintenance " + f.key
		var reloadAt, exemptAt ast.Node
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"flag": p.path(&m.Flag, what+".flag"), "snippet": p.path(&m.Snippet, what+".snippet"),
			"url":    p.address(&m.URL, what+".url"),
			"exempt": func(n ast.Node) { exemptAt = n; p.address(&m.Exempt, what+".exempt")(n) },
			"reload": func(n ast.Node) { reloadAt = n; m.Reload = p.text(n, what+".reload") },
		}, "url", "exempt")
		p.closes(f.at, what, m)
		if reloadAt != nil {
			p.reloads(reloadAt, what, m)
		}
		if exemptAt != nil {
			p.exempts(exemptAt, what, m)
		}
		p.site.Maintenance[f.key] = m
	}
}

// closes: a site is closed by a flag or by a snippet, and a snippet is nothing
// to a web server that does not read it.
func (p *builder) closes(at ast.Node, what string, m checks.MaintenancePage) {
	switch {
	case m.Flag == "" && m.Snippet == "":
		p.at(at, Error, codeMissing, what+` needs "flag" or "snippet"`, "the file that closes the site")
	case m.Flag != "" && m.Snippet != "":
		p.at(at, Error, codeWrongType, what+` has both "flag" and "snippet"`, "a site is closed in one way")
	case m.Snippet != "" && m.Reload == "":
		p.at(at, Error, codeMissing, what+` needs "reload"`, "the entry under commands that makes the web server read the snippet")
	}
}

func (p *builder) reloads(at ast.Node, what string, m checks.MaintenancePage) {
	if m.Flag != "" {
		p.at(at, Error, codeUnknownKey, what+` has a "reload", which a flag does not need`, "the web server looks for the flag at every request")
		return
	}
	if _, ok := p.site.Commands[m.Reload]; !ok {
		p.at(at, Error, codeUnknownWord, fmt.Sprintf("%s reloads by %q, which is not under commands", what, m.Reload), checks.Nearest(m.Reload, keys(p.site.Commands)))
	}
}

// plainPath is a path that means the same to every web server: it is written
// into a snippet.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._~-]*$`)

func (p *builder) exempts(at ast.Node, what string, m checks.MaintenancePage) {
	exempt, err := url.Parse(m.Exempt)
	if err != nil {
		return // reported as no URL
	}
	switch {
	case m.Exempt == m.URL:
		p.at(at, Error, codeWrongType, what+".exempt is the page that is closed", "write the URL of the health check")
	case m.Snippet != "" && (!plainPath.MatchString(exempt.Path) || exempt.Path == "/"):
		p.at(at, Error, codeWrongType, fmt.Sprintf("%s.exempt has the path %q, which a snippet cannot name", what, exempt.Path), "write a path of letters, digits and . _ ~ - /")
	}
}

// path reads an absolute path without detours.
func (p *builder) path(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		*to = p.text(n, what)
		if !filepath.IsAbs(*to) || filepath.Clean(*to) != *to || *to == "/" {
			p.at(n, Error, codeWrongType, fmt.Sprintf("%s is %q, expected an absolute path", what, *to), "without .. and a / at the end")
		}
	}
}
