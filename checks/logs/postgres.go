package logs

import "bytes"

// Said is what PostgreSQL says in a line of its log.
type Said struct {
	Severity string // "LOG", "ERROR", "STATEMENT": upper case
	State    string // the SQLSTATE; "" where the form does not name it by itself
	Prefix   []byte // of a plain line: what stands before the severity, as log_line_prefix has it
	Message  []byte // its first line
}

// pgSeverities are the words that stand before ":  " in a plain line.
var pgSeverities = map[string]bool{
	"DEBUG": true, "DEBUG1": true, "DEBUG2": true, "DEBUG3": true, "DEBUG4": true, "DEBUG5": true, "LOG": true, "INFO": true, "NOTICE": true, "WARNING": true,
	"ERROR": true, "FATAL": true, "PANIC": true, "DETAIL": true, "HINT": true, "CONTEXT": true, "STATEMENT": true, "QUERY": true, "LOCATION": true,
}

// Postgres reads a line of the log of a PostgreSQL server in any of its three
// forms: stderr, csvlog and jsonlog. It is false for a line that is none.
func Postgres(text []byte) (Said, bool) {
	if isJSON(text) {
		return pgJSON(text)
	}
	if s := string(unquoted(csvField(text, csvSeverity))); pgSeverities[s] {
		return Said{
			Severity: s, State: string(unquoted(csvField(text, csvState))),
			Message: bytes.ReplaceAll(unquoted(csvField(text, csvMessage)), []byte(`""`), []byte(`"`)),
		}, true
	}
	return pgPlain(text)
}

// pgPlain finds the first severity with a colon and two blanks behind it: what
// a client calls itself stands in the prefix, and cannot hold two blanks that
// follow such a word without having asked for it.
func pgPlain(text []byte) (Said, bool) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(":  "))
		if i < 0 {
			return Said{}, false
		}
		end := from + i
		start := end
		for start > 0 && isWord(text[start-1]) {
			start--
		}
		if word := string(text[start:end]); pgSeverities[word] {
			return Said{Severity: word, Prefix: text[:start], Message: text[end+3:]}, true
		}
		from = end + 3
	}
}

func pgJSON(text []byte) (Said, bool) {
	var s Said
	eachField(text, func(f field) bool {
		value := unquoted(text[f.from:f.to])
		switch string(f.key) {
		case "error_severity":
			s.Severity = string(value)
		case "state_code":
			s.State = string(value)
		case "message":
			s.Message = bytes.ReplaceAll(value, []byte(`\"`), []byte(`"`))
		}
		return true
	})
	return s, pgSeverities[s.Severity]
}

// unquoted is a field without its own quotes. One that goes on in the next line
// has none at its end.
func unquoted(field []byte) []byte {
	if len(field) == 0 || field[0] != '"' {
		return field
	}
	return bytes.TrimSuffix(field[1:], []byte(`"`))
}

// Signature is what a message has in common with its like: numbers, ids,
// quoted texts and paths are folded, so it holds no values.
func Signature(message []byte) string { return string(signature(nil, message)) }
