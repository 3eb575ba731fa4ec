package logs

import "bytes"

// severity is how bad a line says it is.
type severity uint8

const (
	noLevel severity = iota
	debugLevel
	infoLevel
	warnLevel
	errorLevel
	fatalLevel
)

var severityNames = [...]string{"none", "debug", "info", "warn", "error", "fatal"}

func (s severity) String() string { return severityNames[s] }

// severityOf is the severity of that name.
func severityOf(name string) severity {
	for i, known := range severityNames {
		if known == name {
			return severity(i)
		}
	}
	return noLevel
}

// levelWord is the severity that a whole word names, whatever its case.
func levelWord(word []byte) severity {
	if len(word) < 3 || len(word) > 13 {
		return noLevel
	}
	var lower [13]byte
	for i, b := range word {
		lower[i] = b | 0x20
	}
	switch string(lower[:len(word)]) {
	case "error", "err", "severe":
		return errorLevel
	case "fatal", "ftl", "crit", "critical", "panic", "emerg", "emergency", "alert":
		return fatalLevel
	case "warn", "warning", "wrn":
		return warnLevel
	case "info", "inf", "notice", "log", "http", "statement", "detail", "hint", "context", "information":
		return infoLevel
	case "debug", "dbg", "trace", "trc", "verbose", "vrb", "silly", "fine":
		return debugLevel
	}
	return noLevel
}

// numberLevel reads pino's and bunyan's numbers (30 info, 50 error, 60 fatal),
// and syslog's (3 error, 0 emergency) under the names syslog uses.
func numberLevel(key, text []byte) severity {
	if len(text) == 0 || len(text) > 2 {
		return noLevel
	}
	n := digits(text, 0, len(text))
	if bytes.Equal(key, []byte("severity")) || bytes.Equal(key, []byte("priority")) {
		return [...]severity{fatalLevel, fatalLevel, fatalLevel, errorLevel, warnLevel, infoLevel, infoLevel, debugLevel}[clamp(n, 7)]
	}
	switch {
	case n >= 60:
		return fatalLevel
	case n >= 50:
		return errorLevel
	case n >= 40:
		return warnLevel
	case n >= 30:
		return infoLevel
	case n >= 10:
		return debugLevel
	}
	return noLevel
}

func clamp(n, most int) int { return max(0, min(n, most)) }

// levelReach is how far behind its stamp a plain line may name its level.
const levelReach = 160

// textLevel finds the level of a plain line in the text behind its stamp, and
// where its word ends. The first word that stands where a level stands counts:
// first of all, in upper case, in brackets, or before a colon. "NO_ERROR" is
// one word and no level, and "error" inside a sentence is none either. Nothing
// behind the byte that follows the word has a say.
func textLevel(rest []byte) (found severity, end int) {
	if len(rest) > levelReach {
		rest = rest[:levelReach]
	}
	first := true
	for i := 0; i < len(rest); {
		lead := i // where colours begin that stand directly before a word
		if i = colourAt(rest, i); i == len(rest) {
			break
		}
		if !isWord(rest[i]) {
			i++
			continue
		}
		start := i
		for i < len(rest) && isWord(rest[i]) {
			i++
		}
		if i == len(rest) && i == levelReach {
			return noLevel, 0 // a word cut short
		}
		word := rest[start:i]
		if found := levelWord(word); found != noLevel && stands(rest, lead, start, i, first) {
			return found, i
		}
		if word[0] > '9' {
			first = false
		}
	}
	return noLevel, 0
}

// stands reports whether the word rest[start:end], whose colours begin at lead,
// is where a level is written.
func stands(rest []byte, lead, start, end int, first bool) bool {
	before, after := byte(' '), byte(' ')
	if lead > 0 {
		before = rest[lead-1]
	}
	if end < len(rest) {
		after = rest[end]
	}
	switch {
	case before == '.' && after == ':', before == ' ' && after == '/': // production.ERROR: of monolog, ERROR/Worker-1 of celery
		return isUpper(rest[start:end])
	case before == '-' || before == '.' || before == '/' || after == '-' || after == '.' || after == '/':
		return false // part of a name: error-handler, app.error, /log
	case first:
		return true
	case before == '=' || before == ':' || before == '"' && lead > 1 && rest[lead-2] == '=':
		return namesLevel(rest[:lead])
	case after == ':' || before == '[' && after == ']' || before == '<' && after == '>' || before == '|' || after == '|':
		return true
	}
	return isUpper(rest[start:end])
}

// namesLevel reports whether the text ends in level= or the like; "error=3"
// and "msg:error" are no levels.
func namesLevel(before []byte) bool {
	before = bytes.TrimRight(before, `="`)
	if bytes.HasSuffix(before, []byte(":")) { // apache: [core:error]
		return bytes.LastIndexByte(before, '[') >= 0 && bytes.IndexByte(before, ' ') < bytes.LastIndexByte(before, '[')
	}
	for _, key := range []string{"level", "lvl", "severity", "levelname"} {
		if bytes.HasSuffix(before, []byte(key)) {
			return true
		}
	}
	return false
}

func isUpper(word []byte) bool {
	for _, b := range word {
		if b >= 'a' && b <= 'z' {
			return false
		}
	}
	return true
}

// csvSeverity is the index of error_severity in PostgreSQL's csvlog, csvState
// of the SQLSTATE, csvMessage of the message.
const (
	csvSeverity = 11
	csvState    = 12
	csvMessage  = 13
)

// csvField is the n-th field of a csvlog line as it is written.
func csvField(line []byte, n int) []byte {
	start, quoted := 0, false
	for i, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case b == ',' && !quoted && n > 0:
			n--
			start = i + 1
		case b == ',' && !quoted:
			return line[start:i]
		}
	}
	if n > 0 {
		return nil
	}
	return line[start:]
}
