package nginx

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// combined is nginx's own log_format of that name.
const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// A format takes the lines of one log_format apart.
type format struct {
	text  string
	json  bool
	parts []part
}

// A part is a variable and the literal text behind it.
type part struct{ name, after string }

var variable = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// formatOf is the site's format. A log source that names its latency field
// ("Response-Time") has it behind the combined format, as the guide does.
func formatOf(site checks.Nginx, latency string) (format, error) {
	text := site.Format
	switch {
	case text == "json":
		return format{text: text, json: true}, nil
	case (text == "" || text == "combined") && latency != "":
		text = combined + " " + strings.TrimSuffix(latency, ":") + ": $request_time"
	case text == "" || text == "combined":
		text = combined
	}
	f := format{text: text}
	at := variable.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		return f, checks.Failed(checks.Unconfigured, "nginx.format %q has no variable", text)
	}
	f.parts = append(f.parts, part{"", text[:at[0][0]]})
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name := text[max(m[2], m[4]):max(m[3], m[5])]
		f.parts = append(f.parts, part{name, text[m[1]:end]})
	}
	return f, nil
}

// read takes one line apart. nginx escapes quotes in what clients send, so a
// value ends where the literal behind it begins. What a line has beyond the
// format is left alone; what it lacks at its end is absent.
func (f format) read(line string, into map[string]string) bool {
	if f.json {
		return readJSON(line, into)
	}
	rest, ok := strings.CutPrefix(line, f.parts[0].after)
	if !ok {
		return false
	}
	for i, p := range f.parts[1:] {
		end := len(rest)
		if p.after != "" {
			end = strings.Index(rest, p.after)
		} else if i+2 == len(f.parts) {
			end = strings.IndexByte(rest+" ", ' ')
		}
		if end < 0 {
			// The line ends earlier than the format: what matters may be there.
			into[p.name] = strings.TrimRight(rest, `"`)
			return into["status"] != "" && (into["request"] != "" || into["request_uri"] != "")
		}
		into[p.name] = rest[:end]
		rest = rest[min(len(rest), end+len(p.after)):]
	}
	return true
}

func readJSON(line string, into map[string]string) bool {
	var raw map[string]any
	if json.Unmarshal([]byte(line), &raw) != nil {
		return false
	}
	for key, value := range raw {
		switch v := value.(type) {
		case string:
			into[key] = v
		case float64:
			into[key] = strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return true
}

// A request is one line of the access log; valid until the visitor returns.
type request struct {
	at     time.Time
	status int
	target string // path and query as the client sent them
	fields map[string]string
}

// take reads what every module needs; false if the line does not have it.
func (r *request) take() bool {
	status, err := strconv.Atoi(r.fields["status"])
	if err != nil || status < 0 || status > 999 {
		return false
	}
	r.status, r.target = status, r.fields["request_uri"]
	if r.target == "" {
		r.target = targetOf(r.fields["request"])
	}
	if r.target == "" {
		r.target = r.fields["uri"]
	}
	return true
}

// targetOf is the target of a request line; of one that is none (a scanner's
// garbage), the whole of it.
func targetOf(line string) string {
	_, rest, ok := strings.Cut(line, " ")
	if !ok {
		return line
	}
	if i := strings.LastIndex(rest, " HTTP/"); i >= 0 {
		return rest[:i]
	}
	return rest
}

// path is the target without its query.
func (r *request) path() string {
	path, _, _ := strings.Cut(r.target, "?")
	return path
}
