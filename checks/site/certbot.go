package site

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/tlscert"
)

// certbot reads where certbot keeps its certificates and where they are served.
func (p *builder) certbot(n ast.Node) {
	c := checks.Certbot{Origin: p.place(n), Served: map[string][]string{}}
	p.dispatch(n, "certbot", map[string]func(ast.Node){
		"config": p.path(&c.Config, "certbot.config"), "work": p.path(&c.Work, "certbot.work"),
		"logs": p.path(&c.Logs, "certbot.logs"), "ca": p.path(&c.CA, "certbot.ca"),
		"served": func(n ast.Node) {
			for _, f := range p.fields(n, "certbot.served") {
				c.Served[f.key] = p.servedAt(f)
			}
		},
	})
	p.site.Certbot = c
}

// servedAt are the targets of one certificate.
func (p *builder) servedAt(f field) []string {
	what := "certbot.served." + f.key
	if err := certbot.CheckName(f.key); err != nil {
		p.at(f.at, Error, codeWrongType, fmt.Sprintf("certbot.served: %v", err), "the name that certbot certificates shows")
	}
	targets := []string{}
	p.texts(&targets, what)(f.value)
	for _, t := range targets {
		if err := tlscert.CheckTarget(t); err != nil {
			p.at(f.value, Error, codeWrongType, fmt.Sprintf("%s: %v", what, err), "write lms.example.com:443, or [] if it is served nowhere that can be asked")
		}
	}
	return targets
}

// certbot finds the certificates of certbot on the host. Where each is served is
// guessed from its names, for a person to correct.
func (h Host) certbot() checks.Certbot {
	c := checks.Certbot{Served: map[string][]string{}}
	for _, path := range h.glob("/etc/letsencrypt/renewal/*.conf") {
		if name := strings.TrimSuffix(filepath.Base(path), ".conf"); certbot.CheckName(name) == nil {
			c.Served[name], c.Origin = names(filepath.Join(h.Root, "etc/letsencrypt/live", name)), "detected"
		}
	}
	if c.Origin == "" {
		return checks.Certbot{}
	}
	return c
}
