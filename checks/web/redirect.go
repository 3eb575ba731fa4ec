package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

var ports = map[string]string{"http": "80", "https": "443"}

// refuses says why a redirect is not followed, nil if it is. hops counts it.
func (r request) refuses(from, to *url.URL, hops int) error {
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return fmt.Errorf("redirected to %s, which is not a web address", to.Scheme)
	case to.Hostname() == "":
		return errors.New("redirected to an address without a host")
	case !sameHost(to, r.url) && !r.crossHost:
		return fmt.Errorf("redirected to another host, %s (cross_host: true follows)", to.Host)
	case isDowngrade(from, to) || isDowngrade(r.url, to):
		return fmt.Errorf("redirected from https to http, in clear, %s", to.Host)
	case hops > maxRedirects:
		return fmt.Errorf("more than %d redirects, the last to %s", maxRedirects, to.Redacted())
	}
	return nil
}

// sameHost compares names: another port, or https for http, is the same host.
func sameHost(a, b *url.URL) bool { return strings.EqualFold(a.Hostname(), b.Hostname()) }

// isDowngrade: what was encrypted would go on in clear.
func isDowngrade(from, to *url.URL) bool {
	return sameHost(from, to) && from.Scheme == "https" && to.Scheme == "http"
}

// mayCarry: headers meant for one address may hold credentials. They go to the
// same scheme, host and port, or to the same host by https instead of http.
func mayCarry(first, to *url.URL) bool {
	if !sameHost(first, to) {
		return false
	}
	return first.Scheme == to.Scheme && port(first) == port(to) || first.Scheme == "http" && to.Scheme == "https"
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return ports[u.Scheme]
}
