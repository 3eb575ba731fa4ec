package secret

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A line of an environment file. Its text is kept byte for byte.
type line struct {
	text       string // with its end
	key        string // "" for a comment or an empty line
	start, end int    // of the value in text, quotes included
}

func (l line) literal() string { return l.text[l.start:l.end] }

// value is the literal without quotes.
func (l line) value() string { return strings.Trim(l.literal(), `"'`) }

var assignment = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*`)

// parse understands what every reader of such files understands alike:
// comments, KEY=value with or without export and quotes, a comment after the
// value. It refuses the rest, a value over several lines above all, rather than
// guess. Errors name lines by number and never quote them.
func parse(content []byte) ([]line, error) {
	if bytes.IndexByte(content, 0) >= 0 {
		return nil, checks.Failed(checks.Parse, "it holds zero bytes: it is no environment file")
	}
	var lines []line
	for text := range strings.Lines(string(content)) {
		l, err := parseLine(text)
		if err != "" {
			return nil, checks.Failed(checks.Parse, "line %d: %s", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func parseLine(text string) (l line, problem string) {
	l.text = text
	body := strings.TrimRight(text, "\r\n")
	if trimmed := strings.TrimSpace(body); trimmed == "" || trimmed[0] == '#' {
		return l, ""
	}
	at := assignment.FindStringSubmatchIndex(body)
	if at == nil {
		return l, "neither a comment nor KEY=value"
	}
	l.key, l.start = body[at[2]:at[3]], at[1]
	rest := body[l.start:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		if i := strings.Index(rest, " #"); i >= 0 {
			rest = rest[:i]
		}
		if strings.HasPrefix(rest, "#") {
			rest = ""
		}
		l.end = l.start + len(strings.TrimRight(rest, " \t"))
		return l, ""
	}
	close := strings.IndexByte(rest[1:], rest[0])
	if close < 0 {
		return l, "a quoted value that does not end on its line"
	}
	l.end = l.start + close + 2
	after := body[l.end:]
	comment := strings.TrimLeft(after, " \t")
	if strings.HasSuffix(rest[:close+1], `\`) || comment != "" && (comment[0] != '#' || comment == after) {
		return l, "a quoted value with something behind it"
	}
	return l, ""
}

// find returns the one line that sets key, or -1.
func find(lines []line, key string) (int, error) {
	found := -1
	for i, l := range lines {
		if l.key != key {
			continue
		}
		if found >= 0 {
			return -1, checks.Failed(checks.Parse, "%s is set on line %d and on line %d: which one counts depends on the reader", key, found+1, i+1)
		}
		found = i
	}
	return found, nil
}

// rotated is the file with a new value for the key on line i, and the old one
// under oldKey on the line behind it, unless that is "".
func rotated(lines []line, i int, value, oldKey string) []byte {
	var b bytes.Buffer
	for n, l := range lines {
		if n != i {
			b.WriteString(l.text)
			continue
		}
		body := strings.TrimRight(l.text, "\r\n")
		ending := l.text[len(body):]
		b.WriteString(l.text[:l.start] + value + body[l.end:])
		if oldKey == "" {
			b.WriteString(ending)
			continue
		}
		separator := ending
		if separator == "" {
			separator = "\n"
		}
		prefix := ""
		if strings.HasPrefix(strings.TrimSpace(body), "export") && l.key != "export" {
			prefix = "export "
		}
		b.WriteString(separator + prefix + oldKey + "=" + l.literal() + ending)
	}
	return b.Bytes()
}

// without is the file without line i.
func without(lines []line, i int) []byte {
	var b bytes.Buffer
	for n, l := range lines {
		if n != i {
			b.WriteString(l.text)
		}
	}
	return b.Bytes()
}
