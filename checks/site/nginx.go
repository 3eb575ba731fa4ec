package site

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// nginx reads what is to be known of the web server. It comes after the logs,
// one of which it names.
func (p *builder) nginx(n ast.Node) {
	x := checks.Nginx{Origin: p.place(n)}
	p.dispatch(n, "nginx", map[string]func(ast.Node){
		"log": func(n ast.Node) {
			x.Log = p.text(n, "nginx.log")
			if _, ok := p.site.Logs[x.Log]; !ok {
				p.at(n, Error, codeUnknownWord, fmt.Sprintf("nginx.log is %q, which is not under logs", x.Log), checks.Nearest(x.Log, keys(p.site.Logs)))
			}
		},
		"format": p.logFormat(&x.Format), "latency": p.into(&x.Latency, "nginx.latency"), "real_ip": p.into(&x.RealIP, "nginx.real_ip"),
		"trusted": p.prefixes(&x.Trusted, "nginx.trusted"),
		"admin":   p.urlPaths(&x.Admin, "nginx.admin"), "routes": p.urlPaths(&x.Routes, "nginx.routes"),
		"status": p.address(&x.Status, "nginx.status"), "config": p.path(&x.Config, "nginx.config"),
		"prefix": p.path(&x.Prefix, "nginx.prefix"), "binary": p.path(&x.Binary, "nginx.binary"),
	})
	x.Latency, x.RealIP = strings.TrimPrefix(x.Latency, "$"), strings.TrimPrefix(x.RealIP, "$")
	p.site.Nginx = x
}

// logFormat takes a log_format that has the variables without which no line
// says anything.
func (p *builder) logFormat(to *string) func(ast.Node) {
	return func(n ast.Node) {
		*to = p.text(n, "nginx.format")
		if *to == "combined" || *to == "json" {
			return
		}
		if !strings.Contains(*to, "$status") || !strings.Contains(*to, "$request") {
			p.at(n, Error, codeWrongType, "nginx.format has no $status or no $request", "copy the log_format from nginx.conf, or write combined or json")
		}
	}
}

// prefixes reads networks; an address is a network of one.
func (p *builder) prefixes(to *[]netip.Prefix, what string) func(ast.Node) {
	return func(n ast.Node) {
		var texts []string
		p.texts(&texts, what)(n)
		for _, text := range texts {
			prefix, err := netip.ParsePrefix(text)
			if addr, bad := netip.ParseAddr(text); err != nil && bad == nil {
				prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
			}
			if err != nil {
				p.at(n, Error, codeWrongType, fmt.Sprintf("%s has %q, expected an address or a network", what, text), "write 10.0.0.0/8")
				continue
			}
			*to = append(*to, prefix.Masked())
		}
	}
}

func (p *builder) urlPaths(to *[]string, what string) func(ast.Node) {
	return func(n ast.Node) {
		p.texts(to, what)(n)
		for _, path := range *to {
			if !strings.HasPrefix(path, "/") || path == "/" {
				p.at(n, Error, codeWrongType, fmt.Sprintf("%s has %q, expected the beginning of a path", what, path), "write /courses")
			}
		}
	}
}
