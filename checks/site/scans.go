package site

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

var (
	scanTools = []string{"nmap", "testssl", "sqlmap", "zap", "gitleaks"}
	scanHost  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:-]*$`)
	scanPorts = regexp.MustCompile(`^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$`)
)

// scans reads what may be scanned, by which tool, and who has allowed it.
func (p *builder) scans(n ast.Node) {
	for _, f := range p.fields(n, "scans") {
		s := checks.Scan{Name: f.key, Origin: p.place(f.at)}
		what := "scan " + f.key
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"tool": p.into(&s.Tool, what+".tool"), "target": p.into(&s.Target, what+".target"), "ports": p.into(&s.Ports, what+".ports"),
			"baseline": p.path(&s.Baseline, what+".baseline"), "reports": p.path(&s.Reports, what+".reports"),
			"max_time": p.duration(&s.MaxTime, what+".max_time"), "staging": p.flag(&s.Staging, what+".staging"),
			"authorisation": func(n ast.Node) { p.authorisation(n, what+".authorisation", &s.Reference, &s.Until) },
		}, "tool", "target")
		p.ofScan(f.at, what, s)
		p.site.Scans[f.key] = s
	}
}

// authorisation has an end: one without is forgotten.
func (p *builder) authorisation(n ast.Node, what string, reference *string, until *time.Time) {
	p.dispatch(n, what, map[string]func(ast.Node){
		"reference": p.into(reference, what+".reference"),
		"until": func(n ast.Node) {
			text := p.text(n, what+".until")
			day, err := time.ParseInLocation(time.DateOnly, text, p.site.Zone)
			if err != nil {
				p.at(n, Error, codeWrongType, fmt.Sprintf("%s.until is %q, expected a day", what, text), "write 2027-03-01")
			}
			*until = day
		},
	}, "reference", "until")
}

// ofScan checks that the target is one target, of the form the tool takes.
func (p *builder) ofScan(at ast.Node, what string, s checks.Scan) {
	active := s.Tool != "gitleaks"
	switch {
	case !slices.Contains(scanTools, s.Tool):
		p.at(at, Error, codeUnknownWord, fmt.Sprintf("%s.tool is %q", what, s.Tool), "expected one of "+strings.Join(scanTools, ", "))
	case active && (s.Reference == "" || s.Until.IsZero()):
		p.at(at, Error, codeMissing, what+` needs "authorisation"`, `who has allowed it and until when: {reference: OPS-17, until: 2027-03-01}`)
	case active && s.Reports == "":
		p.at(at, Error, codeMissing, what+` needs "reports"`, "the directory that reports are kept in")
	case (s.Tool == "sqlmap" || s.Tool == "zap") && !s.Staging:
		p.at(at, Error, codeMissing, what+" attacks its target and does not say staging: true", "it can alter data; it is never pointed at production")
	case s.Ports != "" && (s.Tool != "nmap" || !scanPorts.MatchString(s.Ports)):
		p.at(at, Error, codeWrongType, fmt.Sprintf("%s.ports is %q", what, s.Ports), "write 22,80,8000-8100, for nmap only")
	case !scannable(s):
		p.at(at, Error, codeWrongType, fmt.Sprintf("%s.target %q is not what %s takes", what, s.Target, s.Tool), "one host for nmap, host:port for testssl, a URL for sqlmap and zap, an absolute path for gitleaks")
	}
}

func scannable(s checks.Scan) bool {
	switch s.Tool {
	case "nmap":
		return scanHost.MatchString(s.Target)
	case "testssl":
		return scanHost.MatchString(s.Target) && strings.Contains(s.Target, ":")
	case "gitleaks":
		return filepath.IsAbs(s.Target)
	}
	u, err := url.Parse(s.Target)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
