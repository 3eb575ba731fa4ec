package site

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// What a load is if its entry does not say otherwise: the guide's 100 users
// with 10 requests each, at 50 a second as its tool begins them.
const (
	defaultUsers    = 100
	defaultRequests = 10
	defaultRate     = 50
	defaultWait     = 10 * time.Second
	defaultAbort    = 10 // percent
)

// Bounds of a load: opsdeck measures, it does not break.
const (
	mostUsers   = 1000
	mostRate    = 1000
	longestLoad = 20 * time.Minute
)

// loads reads what may be put under load, and who has allowed it.
func (p *builder) loads(n ast.Node) {
	for _, f := range p.fields(n, "loads") {
		l := checks.Load{Name: f.key, Users: defaultUsers, Requests: defaultRequests, Rate: defaultRate, Wait: defaultWait, Abort: defaultAbort, Origin: p.place(f.at)}
		what := "load " + f.key
		before := len(p.closed)
		p.dispatch(f.value, what, map[string]func(ast.Node){
			"url": p.address(&l.URL, what+".url"), "token": p.token(&l.Token, what+".token"), "ca": p.path(&l.CA, what+".ca"),
			"users": p.number(&l.Users, what+".users"), "requests": p.number(&l.Requests, what+".requests"), "rate": p.number(&l.Rate, what+".rate"),
			"wait": p.duration(&l.Wait, what+".wait"), "abort": p.percent(&l.Abort, what+".abort"),
			"reports": p.path(&l.Reports, what+".reports"), "staging": p.flag(&l.Staging, what+".staging"),
			"authorisation": func(n ast.Node) { p.authorisation(n, what+".authorisation", &l.Reference, &l.Until) },
		}, "url", "reports", "authorisation")
		if len(p.closed) > before {
			l.Withheld = p.closed[before].why
		}
		p.ofLoad(f.at, what, l)
		p.later = append(p.later, func() { p.loadListed(f.at, what, l) })
		p.site.Loads[f.key] = l
	}
}

// token takes a secret that does not stand in the file: whoever may read the
// file is not whoever may log in.
func (p *builder) token(to *checks.Secret, what string) func(ast.Node) {
	return func(n ast.Node) {
		if raw, _ := scalarText(n); !strings.HasPrefix(raw, "${file:") && !strings.HasPrefix(raw, "${env:") {
			p.at(n, Error, codeSecret, what+" is not a reference to a secret", "write ${file:/path} or ${env:NAME}")
			return
		}
		*to = checks.NewSecret(p.text(n, what))
	}
}

func (p *builder) percent(to *float64, what string) func(ast.Node) {
	return func(n ast.Node) {
		text := p.text(n, what)
		number, isPercent := strings.CutSuffix(text, "%")
		share, err := strconv.ParseFloat(number, 64)
		if *to = share; err != nil || !isPercent || !(share > 0 && share <= 100) { // so that NaN is none either
			p.at(n, Error, codeWrongType, fmt.Sprintf("%s is %q, expected a percentage", what, text), "write 10%")
		}
	}
}

// ofLoad checks that a load stays within bounds and away from production.
func (p *builder) ofLoad(at ast.Node, what string, l checks.Load) {
	u, err := url.Parse(l.URL)
	switch {
	case err != nil || u.Host == "":
		return // said already
	case !l.Staging:
		p.at(at, Error, codeMissing, what+" does not say staging: true", "a load is never put on production: it slows down who works there and falsifies its metrics")
	case u.User != nil:
		p.at(at, Error, codeSecret, what+".url has a login in it", "write the token as token: ${file:/path}")
	case !l.Token.IsZero() && u.Scheme == "http" && !loopback(u.Hostname()):
		p.at(at, Error, codeSecret, what+" sends its token in clear text", "write the URL with https")
	case l.Users < 1 || l.Users > mostUsers || l.Requests < 1 || l.Rate < 1 || l.Rate > mostRate:
		p.at(at, Error, codeWrongType, fmt.Sprintf("%s has %d users with %d requests at %d a second", what, l.Users, l.Requests, l.Rate), fmt.Sprintf("1 to %d users, 1 request or more, 1 to %d a second", mostUsers, mostRate))
	case l.Requests > int(longestLoad.Seconds())*l.Rate/l.Users:
		p.at(at, Error, codeWrongType, fmt.Sprintf("%s takes longer than %v", what, longestLoad), "fewer requests, or more a second")
	case l.Wait <= 0 || l.Wait > time.Minute:
		p.at(at, Error, codeWrongType, what+".wait is not between 0 and 1m", "write for example 10s")
	}
}

// loadListed holds the target to the list of hosts: an address that was
// mistyped is in one place only.
func (p *builder) loadListed(at ast.Node, what string, l checks.Load) {
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" || slices.Contains(p.site.Allow.ScanTargets, u.Hostname()) {
		return
	}
	p.at(at, Error, codeUnknownWord, fmt.Sprintf("%s goes to %s, which is not under allow.scan_targets", what, u.Hostname()), checks.Nearest(u.Hostname(), p.site.Allow.ScanTargets))
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
