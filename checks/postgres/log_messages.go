package postgres

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/logs"
)

// mostMessages bounds what a log of ever new messages can make us keep.
const mostMessages = 1000

// A message is the lines of the log that say the same.
type message struct {
	severity, class, text string
	count                 int
	first, last           time.Time
}

// messages counts the lines of a log.
type messages struct {
	states               *regexp.Regexp // in the prefix of a plain line; nil: there is none
	byKey                map[string]*message
	bySeverity           map[string]int
	byKind               map[string]int // remarkable lines of severity LOG, by their kind
	refused, damaged     int
	known, strange, rest int // lines of the server; dated lines that are not; lines in no message
}

func newMessages(states *regexp.Regexp) *messages {
	return &messages{states: states, byKey: map[string]*message{}, bySeverity: map[string]int{}, byKind: map[string]int{}}
}

// severities in the order of their weight. What a line explains of the one
// before, and what is only a notice, is no message of its own.
var severities = []string{"PANIC", "FATAL", "ERROR", "WARNING", "LOG"}

func (m *messages) visit(text []byte, at time.Time) {
	said, ok := logs.Postgres(text)
	if !ok {
		m.strange++
		return
	}
	m.known++
	if !slices.Contains(severities, said.Severity) {
		return
	}
	m.bySeverity[said.Severity]++
	class := ""
	if said.Severity == "LOG" {
		if class = kindOf(said.Message); class == "" {
			return
		}
		m.byKind[class]++
	} else {
		state := m.stateOf(said)
		class = className(state)
		switch {
		case state == "53300":
			m.refused++
		case strings.HasPrefix(state, "XX") && state != "XX000", strings.Contains(string(said.Message), "checksum"):
			m.damaged++
		}
	}
	m.add(said.Severity, class, logs.Signature(lastValue.ReplaceAll(said.Message, []byte(`: "…"$1`))), at)
}

// lastValue is a value at the end of a message; it may hold quotes itself, which
// nobody escapes.
var lastValue = regexp.MustCompile(`(?s): ".*"( at character \d+)?$`)

// stateOf is the SQLSTATE of a line: named in it, or told from its words.
func (m *messages) stateOf(said logs.Said) string {
	if said.State != "" {
		return said.State
	}
	if m.states != nil {
		if found := m.states.FindSubmatch(said.Prefix); found != nil {
			return string(found[1])
		}
	}
	for _, w := range worded {
		if w.expr.Match(said.Message) {
			return w.state
		}
	}
	return ""
}

func (m *messages) add(severity, class, text string, at time.Time) {
	key := severity + "\x00" + class + "\x00" + text
	found := m.byKey[key]
	if found == nil {
		if len(m.byKey) >= mostMessages {
			m.rest++
			return
		}
		found = &message{severity: severity, class: class, text: text, first: at, last: at}
		m.byKey[key] = found
	}
	found.count++
	if at.Before(found.first) {
		found.first = at
	}
	if at.After(found.last) {
		found.last = at
	}
}

// The kinds of LOG lines that are remarkable.
const (
	slowLine  = "slow statement"
	lockLine  = "wait for a lock"
	crashLine = "crash"
)

// remarked are what a line of severity LOG begins with, or holds, that an
// incident is told by.
var remarked = []struct {
	expr *regexp.Regexp
	kind string
}{
	{regexp.MustCompile(`^duration: `), slowLine},
	{regexp.MustCompile(`^process \d+ still waiting for `), lockLine},
	{regexp.MustCompile(`was terminated by signal \d+|^database system was (?:interrupted|not properly shut down)|^all server processes terminated`), crashLine},
	{regexp.MustCompile(`^temporary file: `), "temporary file"},
	{regexp.MustCompile(`^checkpoints are occurring too frequently`), "checkpoints"},
	{regexp.MustCompile(`archive command failed|^archiving write-ahead log file .* failed`), "archiver"},
	{regexp.MustCompile(`^(?:received .*shutdown request|database system is (?:ready|shut down))`), "start or stop"},
}

// kindOf is what a line of severity LOG is remarkable for; "" for all others.
func kindOf(text []byte) string {
	for _, r := range remarked {
		if r.expr.Match(text) {
			return r.kind
		}
	}
	return ""
}

// worded are SQLSTATEs that the words of an English message give away.
var worded = []struct {
	expr  *regexp.Regexp
	state string
}{
	{regexp.MustCompile(`too many clients already|remaining connection slots are reserved|^too many connections for `), "53300"},
	{regexp.MustCompile(`^deadlock detected`), "40P01"},
	{regexp.MustCompile(`^could not serialize access`), "40001"},
	{regexp.MustCompile(`^canceling `), "57014"},
	{regexp.MustCompile(`^terminating connection|^the database system is (?:starting up|shutting down|in recovery|not yet accepting)`), "57P01"},
	{regexp.MustCompile(`authentication failed for |^no pg_hba\.conf entry|^role .* does not exist|is not permitted to log in`), "28000"},
	{regexp.MustCompile(`^duplicate key value|^null value in column|violates `), "23000"},
	{regexp.MustCompile(`^invalid page |page verification failed|checksum `), "XX001"},
	{regexp.MustCompile(`No space left on device|^could not extend file`), "53100"},
	{regexp.MustCompile(`^out of (?:shared )?memory`), "53200"},
	{regexp.MustCompile(`^syntax error|^permission denied|^(?:relation|column|function|operator|schema|type) .* (?:does not exist|already exists)`), "42000"},
	{regexp.MustCompile(`^invalid input syntax|^division by zero|^value too long|out of range`), "22000"},
	{regexp.MustCompile(`^could not (?:receive data from|send data to) client|^unexpected EOF on client`), "08006"},
	{regexp.MustCompile(`^database .* does not exist`), "3D000"},
	{regexp.MustCompile(`^current transaction is aborted`), "25P02"},
}

// classes of SQLSTATE by their first two characters, in a few words.
var classes = map[string]string{
	"08": "connection", "0A": "not supported", "21": "cardinality", "22": "data", "23": "constraint", "25": "transaction state", "26": "no such prepared statement",
	"28": "authorisation", "2B": "dependent objects", "34": "no such cursor", "3D": "no such database", "3F": "no such schema", "40": "deadlock, serialisation",
	"42": "syntax, access", "44": "check option", "53": "out of resources", "54": "limit exceeded", "55": "object not ready", "57": "cancelled, ended",
	"58": "system", "72": "snapshot too old", "F0": "configuration file", "P0": "PL/pgSQL", "XX": "internal, damaged",
}

// className is the class of a SQLSTATE for a person: "53 out of resources".
func className(state string) string {
	if len(state) != 5 {
		return ""
	}
	return strings.TrimSpace(state[:2] + " " + classes[state[:2]])
}

func (m *messages) facts(habits logging) []fact.Fact {
	facts := []fact.Fact{
		fact.Number("panics", m.bySeverity["PANIC"]), fact.Number("fatals", m.bySeverity["FATAL"]), fact.Number("errors", m.bySeverity["ERROR"]),
		fact.Number("warnings", m.bySeverity["WARNING"]), fact.Number("refused", m.refused), fact.Number("damaged", m.damaged),
		fact.Number("crashes", m.byKind[crashLine]), fact.Number("messages", len(m.byKey)),
	}
	if habits.LockWaits != "off" || m.byKind[lockLine] > 0 {
		facts = append(facts, fact.Number("lock_waits", m.byKind[lockLine]))
	}
	if habits.MinDuration != "-1" || m.byKind[slowLine] > 0 {
		facts = append(facts, fact.Number("slow", m.byKind[slowLine]))
	}
	return facts
}

// ordered are the messages, the worst severity first, then the most frequent.
func (m *messages) ordered() []*message {
	return slices.SortedFunc(maps.Values(m.byKey), func(a, b *message) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.severity), slices.Index(severities, b.severity)),
			cmp.Compare(b.count, a.count), b.last.Compare(a.last), cmp.Compare(a.text, b.text))
	})
}

func (m *messages) table(limit int) checks.Table {
	t := checks.Table{Name: "messages", Columns: []checks.Column{
		{Name: "count", Type: fact.Count}, {Name: "severity", Type: fact.Text}, {Name: "class", Type: fact.Text},
		{Name: "first", Type: fact.Time}, {Name: "last", Type: fact.Time}, {Name: "message", Type: fact.Text},
	}}
	all := m.ordered()
	for _, g := range all[:min(limit, len(all))] {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(g.count), fact.WordValue(g.severity), fact.WordValue(g.class), fact.TimeValue(g.first), fact.TimeValue(g.last), fact.WordValue(shown([]byte(g.text))),
		})
	}
	return t
}

func (m *messages) note(window time.Duration) string {
	var parts []string
	for _, s := range severities[:4] {
		if n := m.bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	for _, kind := range []string{crashLine, lockLine, slowLine} {
		if n := m.byKind[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d x %s", n, kind))
		}
	}
	if len(parts) == 0 {
		return "nothing remarkable in " + fact.FormatDuration(window)
	}
	return strings.Join(parts, ", ") + " in " + fact.FormatDuration(window)
}
