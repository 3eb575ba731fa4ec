package checks

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Env is everything a module may touch. A nil field means "not configured"
// and gives an unknown result, never a panic. Env is passed by value; the
// Runner hands every check its own Memory and Connection.
type Env struct {
	// Root is the directory under which /proc, /sys and /etc are read: "/" on
	// a real host, a fixture in tests.
	Root string

	HTTP     *http.Client  // follows no redirects by itself; modules decide
	Dialer   *net.Dialer   // TCP and Unix sockets
	Resolver *net.Resolver // DNS
	Exec     Exec          // allow-listed commands, argv only

	Now func() time.Time
	Log *slog.Logger

	Site       SiteFacts                               // what the site file says
	Handle     func(kind, name string) (Handle, error) // opened connections
	History    History                                 // metric history; nil: none kept
	Memory     *Memory                                 // the check's own, from one run to the next
	Connection string                                  // the connection named by the check; "" means main
	Check      string                                  // the check's id, under which History keeps its facts
}

// Exec runs one command: argv only, never a shell string, standard input
// closed, output capped, environment built from nothing.
type Exec func(ctx context.Context, argv ...string) (Output, error)

// Output is what a command left behind. A non-zero Code is not an error.
type Output struct {
	Stdout, Stderr []byte
	Code           int
	Truncated      bool
}

// SiteFacts is the part of the site file that modules refer to by name.
type SiteFacts struct {
	Name        string
	Zone        *time.Location
	Connections []Connection
	Logs        map[string]LogSource
	Queries     map[string]Query
	Backups     map[string]BackupSet
}

// A Connection is one entry under "connections" of the site file. Which
// fields are used depends on the kind.
type Connection struct {
	Kind, Name string
	DSN        string // postgres, without the password
	Address    string // redis: host:port or unix:///path
	URL        string // prometheus, loki
	Host       string // docker: unix:///var/run/docker.sock
	Password   Secret
	Project    string   // docker: compose project
	File       string   // docker: compose file
	Expect     []string // docker: services that must be there
	Production bool     // actions that replace data refuse it
	Use        string   // "only-when-full": never used unless slots are exhausted
	TLS        bool
	Origin     string // "opsdeck.yaml:17:5"
}

// A Secret is a value that no output may show. Its String is a placeholder;
// Reveal gives the value to the one call that needs it.
type Secret struct{ value string }

// NewSecret wraps a value. The site loader also registers it for redaction.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

// String never shows the value.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "[redacted]"
}

// GoString keeps %#v from showing the value.
func (s Secret) GoString() string { return s.String() }

// A LogSource is one entry under "logs": files that are read together.
type LogSource struct {
	Name    string
	Paths   []string // glob patterns; rotated and gzipped siblings are found by the reader
	Format  string   // "" means detect: json, iso, syslog, combined, postgres, csvlog, jsonlog
	Zone    *time.Location
	Latency string // nginx: the name before the request time, "Response-Time"
	Origin  string
}

// A Query is one entry under "queries": SQL that pg.query may run, by name.
type Query struct {
	Name       string
	SQL        string
	Args       []string // typed by the statement's own parameter types
	Unit       string
	Connection string // "" means main
	Origin     string
}

// A BackupSet is one entry under "backups".
type BackupSet struct {
	Name   string
	Dir    string
	Glob   string
	Log    string // the backup job's own log, a name under "logs"
	Second string // a second place, off this host: a directory
	Origin string
}

// A History keeps numeric facts over time.
type History interface {
	// Series returns the samples of one fact of one check since the given
	// time, oldest first.
	Series(check, factName, label string, since time.Time) []Sample
}

// A Sample is one point of a History.
type Sample struct {
	At    time.Time
	Value float64
}

// NotHere is the error of a module that needs something the site does not
// have: the result is Skipped, not Unknown.
type NotHere struct{ What string }

// Error says what the site file would have to name.
func (e NotHere) Error() string { return e.What }

// Connected returns the handle of the check's connection as the family's own
// type. A site with no connection of the kind gives NotHere; a name the site
// does not have is an error that lists those it has.
func Connected[T Handle](env Env, kind string) (T, error) {
	var none T
	var names []string
	for _, c := range env.Site.Connections {
		if c.Kind == kind {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 || env.Handle == nil {
		return none, NotHere{fmt.Sprintf("no %s connection in the site file", kind)}
	}
	name := env.Connection
	if name == "" {
		name = "main"
	}
	h, err := env.Handle(kind, name)
	if err != nil {
		sort.Strings(names)
		return none, fmt.Errorf("%s connection %q: %w (configured: %s)", kind, name, err, strings.Join(names, ", "))
	}
	typed, ok := h.(T)
	if !ok {
		return none, fmt.Errorf("%s connection %q was opened as %T", kind, name, h)
	}
	return typed, nil
}

// Findings is what a module reports: facts and evidence, no verdict.
type Findings struct {
	Facts  []fact.Fact
	Note   string   // one line, 60 columns or less, for lists: "/ 84 % used, 23 GiB free"
	Target string   // what was looked at, if the arguments do not say: "/var"
	Detail []string // evidence lines; capped, cleaned and redacted by the Runner
	Tables []Table  // rows a pane or a report shows as they are
	Phases []Phase  // where the time went
}

// A Table is a small typed table: top processes, slow statements, mounts.
type Table struct {
	Name    string
	Columns []Column
	Rows    [][]fact.Value
}

// A Column is a table's column; Type and Unit are those of its values.
type Column struct {
	Name string
	Type fact.Type
	Unit string
}

// A Phase is a named part of the time a check took: dns, connect, tls, first byte.
type Phase struct {
	Name string        `json:"name"`
	Took time.Duration `json:"-"`
	Ms   float64       `json:"ms"`
}
