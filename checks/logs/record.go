package logs

import "bytes"

// continuations begin lines that belong to the line before, whoever wrote
// them: Node, Java, Python, Go, PostgreSQL.
var continuations = [][]byte{
	[]byte("at "), []byte("Caused by:"), []byte("Suppressed:"), []byte("... "), []byte("Traceback "),
	[]byte("During handling of "), []byte("The above exception "), []byte("File \""),
	[]byte("goroutine "), []byte("created by "), []byte("panic("), []byte("panic: "), []byte("[signal "),
	[]byte("exit status "), []byte("runtime."), []byte("main."), []byte("Node.js v"), []byte("node:"),
	[]byte("from "), []byte("file://"), []byte("[cause]"), []byte("npm ERR!"), []byte("npm error"),
}

// errorNames end the name of an exception that heads a stack trace.
var errorNames = [][]byte{
	[]byte("Error"), []byte("Exception"), []byte("Warning"), []byte("Interrupt"), []byte("Exit"), []byte("Throwable"),
}

// isContinuation reports whether a line without a stamp belongs to the record
// before it: indented, empty, a bracket, a frame or the head of a stack trace.
func isContinuation(line []byte) bool {
	if len(line) == 0 {
		return true
	}
	switch line[0] {
	case ' ', '\t', '}', ')', ']', '^', '\r':
		return true
	case '/':
		return isSourcePlace(line)
	}
	if line[0] >= '0' && line[0] <= '9' {
		return false
	}
	for _, c := range continuations {
		if line[0] == c[0] && bytes.HasPrefix(line, c) {
			return true
		}
	}
	return isExceptionHead(line) || isCall(line)
}

// isExceptionHead recognises "java.lang.IllegalStateException: text" and
// "TypeError: text".
func isExceptionHead(line []byte) bool {
	end := 0
	for end < len(line) && (isWord(line[end]) || line[end] == '.' || line[end] == '$') {
		end++
	}
	if end < len(line) && line[end] != ':' && line[end] != ' ' && line[end] != '(' {
		return false
	}
	for _, name := range errorNames {
		if bytes.HasSuffix(line[:end], name) {
			return end == len(line) || line[end] == ':' || line[end] == '(' || bytes.HasPrefix(line[end:], []byte(" ["))
		}
	}
	return false
}

// isCall recognises a frame of a Go trace: "net/http.(*conn).serve(0xc000)".
func isCall(line []byte) bool {
	if !isWord(line[0]) {
		return false
	}
	open := bytes.IndexByte(line, '(')
	return open > 0 && line[len(line)-1] == ')' && bytes.IndexByte(line[:open], '.') > 0 && bytes.IndexByte(line[:open], ' ') < 0
}

// isSourcePlace recognises "/srv/app/server.js:10", with which Node begins
// what it says of an uncaught error.
func isSourcePlace(line []byte) bool {
	colon := bytes.LastIndexByte(line, ':')
	return colon > 0 && colon+1 < len(line) && bytes.IndexByte(line, ' ') < 0 && digits(line, colon+1, 1) >= 0
}

// A kind says what a line is in its record.
type kind uint8

const (
	head  kind = iota // has a stamp and begins a record
	more              // continues the record before it
	stray             // neither: not understood
)

// openQuotes follows a csvlog record over its lines: text in quotes may hold
// line ends, and whatever stands there is text, even if it looks like a stamp.
type openQuotes struct {
	open  bool
	lines int
}

// quoteLimit is after how many lines an open quote is taken for damage.
const quoteLimit = 2000

// begin starts a record with its first line.
func (q *openQuotes) begin(line []byte) {
	q.open, q.lines = oddQuotes(line), 0
}

// holds reports whether the line lies inside quotes, and takes note of those
// in it.
func (q *openQuotes) holds(line []byte) bool {
	if !q.open {
		return false
	}
	if q.lines++; q.lines > quoteLimit {
		q.open = false
		return false
	}
	if oddQuotes(line) {
		q.open = false
	}
	return true
}

func oddQuotes(line []byte) bool { return bytes.Count(line, []byte{'"'})%2 == 1 }
