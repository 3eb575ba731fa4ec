package postgres

import (
	"regexp"
	"strings"
)

// shown makes bytes of the server fit to be shown: valid UTF-8 and, where the
// statement could hold a secret, without its literals.
//
// Statement texts are selected with textsend() as bytes: text functions fail on
// a statement of a session with another encoding, and a monitor must not.
func shown(query []byte) string {
	return redactLiterals(strings.ToValidUTF8(string(query), "\uFFFD"))
}

// normalised are the statements whose literals pg_stat_statements replaces.
var normalised = map[string]bool{
	"select": true, "insert": true, "update": true, "delete": true, "with": true, "merge": true, "values": true, "table": true, "": true,
}

// literal matches string literals: '...' with doubled quotes, E'...' with
// backslashes, $tag$...$tag$ is found by its own code. An unclosed one, of a
// statement that was cut, runs to the end.
var literal = regexp.MustCompile(`(?s)[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?$)|'(?:[^']|'')*(?:'|$)`)

var dollarTag = regexp.MustCompile(`\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

// redactLiterals removes the literals of utility statements and of any that
// speaks of a password: ALTER USER ... PASSWORD 'x' is kept by
// pg_stat_statements and pg_stat_activity as it was typed.
func redactLiterals(sql string) string {
	if normalised[firstKeyword(sql)] && !strings.Contains(strings.ToLower(sql), "password") {
		return sql
	}
	return literal.ReplaceAllString(redactDollar(sql), "'…'")
}

func redactDollar(sql string) string {
	var out strings.Builder
	for {
		open := dollarTag.FindStringIndex(sql)
		if open == nil {
			out.WriteString(sql)
			return out.String()
		}
		tag := sql[open[0]:open[1]]
		out.WriteString(sql[:open[0]] + "'…'")
		rest := sql[open[1]:]
		end := strings.Index(rest, tag)
		if end < 0 {
			return out.String()
		}
		sql = rest[end+len(tag):]
	}
}

// firstKeyword is the statement's first word in lower case, behind white
// space, comments and opening parentheses; "" if there is none.
func firstKeyword(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f\v(")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, after, found := strings.Cut(sql, "\n")
			if !found {
				return ""
			}
			sql = after
		case strings.HasPrefix(sql, "/*"):
			sql = afterComment(sql)
		default:
			end := strings.IndexFunc(sql, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' })
			if end < 0 {
				end = len(sql)
			}
			return strings.ToLower(sql[:end])
		}
	}
}

// afterComment skips a comment, which may hold others; "" if it does not end.
func afterComment(sql string) string {
	depth := 0
	for i := 0; i+1 < len(sql); {
		switch sql[i : i+2] {
		case "/*":
			depth, i = depth+1, i+2
		case "*/":
			depth, i = depth-1, i+2
			if depth == 0 {
				return sql[i:]
			}
		default:
			i++
		}
	}
	return ""
}
