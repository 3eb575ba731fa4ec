package nginx

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Patterns finds requests that try what no user of the site would.
var Patterns = module(checks.Module{
	Name: "nginx.patterns",
	Doc:  "Finds suspicious requests in nginx's access log by fixed strings in path and query, decoded twice, and says how they were answered",
	Params: []checks.Param{
		windowParam("30d"),
		{Name: "rules", Type: checks.TextsParam, Default: []string{"sql", "script", "traversal"}, Doc: "which of the shipped rules: sql, script, traversal", Check: areRules},
	},
	Facts: withReadFacts(
		fact.Spec{Name: "requests", Type: fact.Count, Unit: "requests", Doc: "requests that were looked at"},
		fact.Spec{Name: "matches", Type: fact.Count, Unit: "requests", Worse: fact.Higher, Doc: "suspicious requests, however they were answered"},
		fact.Spec{Name: "answered", Type: fact.Count, Unit: "requests", Worse: fact.Higher, Doc: "those that were answered with 2xx"},
		fact.Spec{Name: "admin", Type: fact.Count, Unit: "requests", Worse: fact.Higher, Doc: "those that were answered with 2xx on a path that only admins use"},
		fact.Spec{Name: "burst_5xx", Type: fact.Count, Unit: "/min", Worse: fact.Higher, Doc: "most of them within one minute that were answered with 5xx"},
	),
	Warn: "answered > 0 or gaps > 0 or skipped > 5%", Fail: "admin > 0 or burst_5xx >= 5", Source: "proposed",
	Timeout: 2 * time.Minute, Every: time.Hour,
	Example: "use: nginx.patterns\nwith: {rules: [sql]}",
	Run:     runPatterns,
})

// A rule is fixed strings, in lower case. Weak words mean something only as a
// whole word, and nothing on a route that the site knows.
type rule struct {
	name         string
	strong, weak []string
}

var shipped = []rule{
	{"sql", []string{"union select", "union all select", "information_schema", "' or '", "' or 1", "or 1=1", "' and 1=", "'--", "'; ", "';drop", "pg_sleep(", "sleep(", "benchmark(", "xp_cmdshell", "sqlmap", "waitfor delay"}, []string{"sql"}},
	{"script", []string{"<script", "</script", "javascript:", "onerror=", "onload=", "<svg", "<iframe", "document.cookie"}, nil},
	{"traversal", []string{"../", `..\`, "/etc/passwd", "/proc/self/", "\x00"}, nil},
}

func areRules(value any) error {
	names, _ := value.([]string)
	for _, name := range names {
		if len(rulesNamed([]string{name})) == 0 {
			return fmt.Errorf("there is no rule %q: sql, script, traversal", name)
		}
	}
	return nil
}

func rulesNamed(names []string) []rule {
	var found []rule
	for _, r := range shipped {
		for _, name := range names {
			if r.name == name {
				found = append(found, r)
			}
		}
	}
	return found
}

// matches reports whether decoded text has one of the rule's strings.
func (r rule) matches(text string, known bool) bool {
	for _, s := range r.strong {
		if strings.Contains(text, s) {
			return true
		}
	}
	if known {
		return false
	}
	for _, word := range r.weak {
		if hasWord(text, word) {
			return true
		}
	}
	return false
}

func hasWord(text, word string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		begin, end := at+i, at+i+len(word)
		if (begin == 0 || !isLetter(text[begin-1])) && (end == len(text) || !isLetter(text[end])) {
			return true
		}
		at = end
	}
}

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' }

// decoded is a target as an application may come to see it: nginx's escapes
// (\x22) and then two layers of percent-encoding taken off, + a space in the
// query, comments of SQL a space, lower case. What is no encoding stays as it is.
func decoded(target string) string {
	text := unescape(target, `\x`)
	path, query, has := strings.Cut(text, "?")
	if has {
		text = path + "?" + strings.ReplaceAll(query, "+", " ")
	}
	text = unescape(unescape(text, "%"), "%")
	return strings.ToLower(strings.ReplaceAll(text, "/**/", " "))
}

// unescape replaces mark and two hexadecimal digits by their byte, once.
func unescape(text, mark string) string {
	if !strings.Contains(text, mark) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], mark) && i+len(mark)+2 <= len(text) {
			high, low := hexDigit(text[i+len(mark)]), hexDigit(text[i+len(mark)+1])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += len(mark) + 2
				continue
			}
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}

func hexDigit(b byte) int { return strings.IndexByte("0123456789abcdef", b|0x20) }

// under reports whether a path is one of the routes or below it.
func under(path string, routes []string) bool {
	for _, route := range routes {
		route = strings.TrimSuffix(strings.ToLower(route), "/")
		if rest, ok := strings.CutPrefix(path, route); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// A hunt is the search of one window.
type hunt struct {
	rules         []rule
	admin, routes []string

	all, matches, answered, onAdmin int64

	minutes map[int64]int64 // 5xx by minute
	table   checks.Table
	weights []int // how bad the table's rows are
}

// mostFindings is how many suspicious requests the table shows.
const mostFindings = 50

func (h *hunt) visit(r *request) {
	h.all++
	text := decoded(r.target)
	path, _, _ := strings.Cut(text, "?")
	known := under(path, h.routes)
	for _, rule := range h.rules {
		if !rule.matches(text, known) {
			continue
		}
		h.matches++
		h.found(r, rule, under(path, h.admin))
		return
	}
}

func (h *hunt) found(r *request, rule rule, admin bool) {
	weight := 0
	switch {
	case r.status/100 == 2 && admin:
		h.answered++
		h.onAdmin++
		weight = 3
	case r.status/100 == 2:
		h.answered++
		weight = 2
	case r.status >= 500:
		h.minutes[r.at.Unix()/60]++
		weight = 1
	}
	row := []fact.Value{fact.TimeValue(r.at), fact.WordValue(rule.name), fact.NumberValue(r.status),
		fact.WordValue(clean.Line(r.fields["remote_addr"], 45)), fact.WordValue(clean.Line(r.target, 200))}
	if len(h.weights) < mostFindings {
		h.table.Rows, h.weights = append(h.table.Rows, row), append(h.weights, weight)
		return
	}
	for i, w := range h.weights { // a flood of refused ones must not hide one that was answered
		if w < weight {
			h.table.Rows[i], h.weights[i] = row, weight
			return
		}
	}
}

func (h *hunt) burst() int64 {
	var most int64
	for _, n := range h.minutes {
		most = max(most, n)
	}
	return most
}

func runPatterns(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	site, now := env.Site.Nginx, clock(env)
	h := &hunt{rules: rulesNamed(args.Texts("rules")), admin: site.Admin, routes: site.Routes, minutes: map[int64]int64{}}
	if len(h.admin) == 0 {
		h.admin = []string{"/admin"}
	}
	h.table = checks.Table{Name: "requests", Columns: []checks.Column{
		{Name: "at", Type: fact.Time}, {Name: "rule", Type: fact.Text}, {Name: "status", Type: fact.Count}, {Name: "peer", Type: fact.Text}, {Name: "request", Type: fact.Text},
	}}
	reading, err := requests(ctx, env, now.Add(-args.Duration("window")), now, h.visit)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Note: fmt.Sprintf("%d suspicious of %d, %d answered", h.matches, h.all, h.answered),
		Facts: append(reading.Facts, fact.Number("requests", h.all), fact.Number("matches", h.matches), fact.Number("answered", h.answered),
			fact.Number("admin", h.onAdmin), fact.Number("burst_5xx", h.burst())),
		Detail: reading.Detail, NotUnderstood: reading.NotUnderstood, Tables: []checks.Table{h.table},
	}
	if h.matches > mostFindings {
		f.Detail = append(f.Detail, fmt.Sprintf("the table has %d of %d, those that were answered first", mostFindings, h.matches))
	}
	return f, nil
}
