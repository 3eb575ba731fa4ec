package nginx

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A location is one that nginx proxies, with what counts there.
type location struct {
	label   string
	headers map[string]bool // names in lower case
	timeout string          // proxy_read_timeout
}

// forwarding are the headers by which a backend knows whom it serves.
var forwarding = []string{"Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto"}

// proxied lists the locations with a proxy_pass whose path begins so.
func (c configuration) proxied(prefix string) []location {
	var found []location
	for _, h := range all(c.main, "http") {
		outer := location{timeout: "60s"}.within(h.block)
		for _, s := range all(h.block, "server") {
			name := last(s.block, "server_name", "_")
			outer.within(s.block).collect(s.block, name, prefix, &found)
		}
	}
	return found
}

// within is what counts inside a block. As nginx has it, proxy_set_header of a
// block replaces all of those around it: one more in a location takes the
// others away.
func (l location) within(block []directive) location {
	l.timeout = last(block, "proxy_read_timeout", l.timeout)
	set := all(block, "proxy_set_header")
	if len(set) == 0 {
		return l
	}
	l.headers = map[string]bool{}
	for _, d := range set {
		if len(d.args) == 2 && d.args[1] != "" {
			l.headers[strings.ToLower(d.args[0])] = true
		}
	}
	return l
}

func (l location) collect(block []directive, server, prefix string, found *[]location) {
	for _, d := range all(block, "location") {
		inner := l.within(d.block)
		inner.collect(d.block, server, prefix, found)
		if len(d.args) == 0 || len(all(d.block, "proxy_pass")) == 0 || !strings.HasPrefix(d.args[len(d.args)-1], prefix) {
			continue
		}
		inner.label = server + " " + strings.Join(d.args, " ")
		*found = append(*found, inner)
	}
}

func (l location) report(f *checks.Findings) {
	var missing []string
	for _, name := range forwarding {
		if !l.headers[strings.ToLower(name)] {
			missing = append(missing, name)
		}
	}
	f.Facts = append(f.Facts, fact.Number("headers_missing", len(missing)).On(l.label))
	if len(missing) > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("location %s: the backend does not get %s", l.label, strings.Join(missing, ", ")))
	}
	if d, ok := nginxTime(l.timeout); ok {
		f.Facts = append(f.Facts, fact.Dur("read_timeout", d).On(l.label))
	}
}

// nginxTime reads 60, 60s, 1m, 500ms.
func nginxTime(text string) (time.Duration, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
