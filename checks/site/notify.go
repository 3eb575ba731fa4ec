package site

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// notify reads the ways to tell people.
func (p *builder) notify(n ast.Node) {
	for _, f := range p.fields(n, "notify") {
		t := checks.Notify{Name: f.key, Origin: p.place(f.at)}
		what := "notify " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"smtp": p.mailServer(&t.SMTP, what+".smtp"), "from": p.into(&t.From, what+".from"), "to": p.texts(&t.To, what+".to"), "webhook": p.address(&t.Webhook, what+".webhook"),
			"user": p.into(&t.User, what+".user"), "password": p.password(&t.Password, what+".password"),
		})
		p.ofNotify(f.at, what, t)
		p.site.Notify[f.key] = t
	}
}

// ofNotify checks what makes a way to tell people usable.
func (p *builder) ofNotify(at ast.Node, what string, t checks.Notify) {
	switch {
	case t.SMTP == "" && t.Webhook == "":
		p.at(at, Error, codeMissing, what+` needs "smtp" or "webhook"`, "")
	case t.SMTP != "" && t.From == "":
		p.at(at, Error, codeMissing, what+` needs "from"`, "the sender's address")
	case t.SMTP != "" && len(t.To) == 0:
		p.at(at, Error, codeMissing, what+` needs "to"`, "the recipients' addresses")
	case (t.User == "") != t.Password.IsZero():
		p.at(at, Error, codeMissing, what+` has a user or a password, not both`, "a mail server asks for both or for neither")
	case t.SMTP == "" && t.User != "":
		p.at(at, Error, codeUnknownKey, what+` has a user, and no "smtp" to give it to`, "a webhook's secret is part of its URL: webhook: ${file:/path}")
	case t.User != "" && inTheOpen(t.SMTP):
		p.at(at, Error, codeSecret, what+" sends its password without TLS", "remove tls=none")
	}
}

// inTheOpen: what is sent to that mail server can be read on the way.
func inTheOpen(server string) bool {
	u, err := url.Parse(server)
	if err != nil || u.Query().Get("tls") != "none" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// mailServer reads smtp://host:587 or smtps://host:465. The choices behind the
// question mark are those of the module that sends.
func (p *builder) mailServer(to *string, what string) func(ast.Node) {
	return func(n ast.Node) {
		*to = p.text(n, what)
		u, err := url.Parse(*to)
		if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || u.Path != "" {
			p.at(n, Error, codeWrongType, fmt.Sprintf("%s is %q, expected the URL of a mail server", what, *to), "write smtp://host:587 or smtps://host:465")
			return
		}
		if u.User != nil {
			p.at(n, Error, codeSecret, what+" has a user in it", "write user: and password: ${file:/path}")
		}
		for _, key := range keys(u.Query()) {
			value := u.Query().Get(key)
			switch {
			case key != "tls" && key != "ca":
				p.at(n, Error, codeUnknownWord, fmt.Sprintf("%s has no choice %q", what, key), "tls=none, tls=starttls or ca=/path/to/authorities.pem")
			case key == "tls" && (!slices.Contains([]string{"none", "starttls"}, value) || u.Scheme == "smtps"):
				p.at(n, Error, codeUnknownWord, fmt.Sprintf("%s asks for tls=%s", what, value), "smtp: none or starttls; smtps is always TLS")
			case key == "ca" && !filepath.IsAbs(value):
				p.at(n, Error, codeWrongType, fmt.Sprintf("%s has the authorities %q, expected an absolute path", what, value), "")
			}
		}
	}
}
