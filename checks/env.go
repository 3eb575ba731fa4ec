package checks

import (
	"context"
	"fmt"
	"io"
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

	// Wait is how long the Runner lets a check by difference wait for enough
	// data. 0 is for a monitor: it runs the check again anyway.
	Wait time.Duration

	// Again says that this run repeats the one before it, which had not enough
	// data: both are one look.
	Again bool

	// Runs are the recorded runs of a section at this site, newest last; nil:
	// there is no record to look into.
	Runs func(section string) ([]RunSummary, error)

	// Runbooks are those on the shelf, and Import reads a guide as "opsdeck
	// import" would; nil: nobody can say.
	Runbooks func() ([]RunbookSummary, error)
	Import   func(path string) (ImportSummary, error)

	// What an action has beyond that; zero for checks.
	Out      io.Writer      // its live output, redacted and cleaned on the way; nil: nobody listens
	Progress func(Progress) // how far it is; nil: nobody listens
	Token    string         // "opsdeck/…": marks all it makes: application_name, scratch names, comments
	Dir      string         // a private directory for its temporary files, on the state's disk
	Before   []fact.Fact    // what its confirmed preview reported
}

// A RunSummary is what a module may know of a recorded run.
type RunSummary struct {
	ID, Section    string
	Opened, Closed time.Time // Closed is zero while it is open
	State          string    // "completed", "aborted", …
	Level          Level     // the worst of its items
	Rehearsal      bool
	Failed         int // items that failed or could not be found out
	Items          []ItemSummary
}

// An ItemSummary is the newest attempt at an item of a run.
type ItemSummary struct {
	ID, Module     string
	State          string // "passed", "failed", …
	Overridden     bool
	Started, Ended time.Time // zero if it did not
	Measures       []Measure // its numeric facts
}

// A Measure is a numeric fact with the direction in which it gets worse.
type Measure struct {
	fact.Fact
	Worse fact.Direction
}

// A RunbookSummary is what may be known of a runbook on the shelf.
type RunbookSummary struct {
	ID, File         string
	Errors, Warnings int       // of lint
	ReviewBy         time.Time // zero: no date is set
	Sections         []string
}

// An ImportSummary is what an import of a guide makes of it.
type ImportSummary struct {
	Sections  []string // titles, as the guide has them
	Tasks     int      // that became items
	Unsettled []string // what an owner has to settle, with its line
}

// Progress is how far an action is. A Total of 0 means that nobody knows.
type Progress struct {
	Done, Total float64
	What        string // "scanning heap", "restoring table users"
}

// Report tells how far an action is, if anybody listens.
func (e Env) Report(done, total float64, what string) {
	if e.Progress != nil {
		e.Progress(Progress{done, total, what})
	}
}

// Printf writes a line of the action's output, if anybody listens.
func (e Env) Printf(format string, a ...any) {
	if e.Out != nil {
		fmt.Fprintf(e.Out, format+"\n", a...) //nolint:errcheck // output that cannot be written must not stop the action
	}
}

// BeforeFact returns a fact of the confirmed preview.
func (e Env) BeforeFact(name, label string) (fact.Fact, bool) {
	for _, f := range e.Before {
		if f.Name == name && f.Label == label {
			return f, true
		}
	}
	return fact.Fact{}, false
}

// Exec runs one command: argv only, never a shell string, output capped,
// environment built from nothing, its whole process group ended with ctx.
type Exec func(ctx context.Context, call Call) (Output, error)

// A Call is one command to run.
type Call struct {
	Argv   []string  // Argv[0] is an absolute path, or a name that is looked up in the system's own folders
	Env    []string  // NAME=value, beyond PATH, HOME, LANG and TZ
	Dir    string    // "" means /; else refused unless it passes the rule of ownership
	Config []string  // files and whole folders that steer the program too; refused unless each passes the rule
	Stdin  io.Reader // nil: nothing to read
	Stdout io.Writer // nil: kept in Output, and copied to Live
	Live   io.Writer // gets standard error, and standard output unless Stdout is set, as it comes; may be nil
	Max    int64     // bytes of output after which the command is ended; 0 means 64 MiB, and no bound on what goes to Stdout
	Leave  bool      // what outlives it is named in Output.Left but stays: the scripts of packages start daemons
}

// Output is what a command left behind. A non-zero Code is not an error.
type Output struct {
	Stdout, Stderr []byte   // the first and the last 64 KiB of each
	Code           int      // exit code; -1 if a signal ended it
	Signal         string   // the signal that ended it: "killed"
	Truncated      bool     // there was more
	Left           []string // processes that outlived it and were ended, or left with Call.Leave: "1234 sleep"
}

// SiteFacts is the part of the site file that modules refer to by name.
type SiteFacts struct {
	Name        string
	Zone        *time.Location
	Connections []Connection
	Logs        map[string]LogSource
	Queries     map[string]Query
	Backups     map[string]BackupSet
	Notify      map[string]Notify
	Commands    map[string]Command
	Maintenance map[string]MaintenancePage
	Files       map[string]ExpectedFile
	Documents   map[string]Document
	Projects    map[string]Project
	Secrets     map[string]KeptSecret
	Scans       map[string]Scan
	Loads       map[string]Load
	Nginx       Nginx
	Archive     map[string]OldRows
	Purge       map[string]OldRows
	Cron        map[string]CronJob
	Logrotate   Logrotate
	Certbot     Certbot
	Allow       Allow
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
	Withheld   string // why this user cannot have its secret; "" if they can, or there is none
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
	Expect     []string // the reviewed values of its first column; nil: none were reviewed
	Connection string   // "" means main
	Origin     string
}

// A BackupSet is one entry under "backups".
type BackupSet struct {
	Name   string
	Dir    string
	Glob   string
	Log    string // the backup job's own log, a name under "logs"
	Second string // a second place, off this host: a directory

	// Template is the database that a restore test copies: it has the extensions
	// that the role of the test may not create; "" for template0.
	Template string
	Origin   string
}

// Notify is one entry under "notify": a way to tell people.
type Notify struct {
	Name          string
	SMTP          string // smtp://host:587, smtps://host:465
	User          string // of the mail server; "" for none
	Password      Secret
	From, Webhook string
	To            []string
	Origin        string
}

// A Command is one entry under "commands": an argv that cmd.run may run.
type Command struct {
	Name    string
	Argv    []string
	Danger  int
	Timeout time.Duration
	Origin  string
}

// A MaintenancePage is one entry under "maintenance": how a site is closed to
// its users and how that is seen from outside.
type MaintenancePage struct {
	Name    string
	Flag    string // file whose being there closes the site
	Snippet string // file that the web server includes; written instead of Flag
	Reload  string // command, by its name under "commands", that makes the web server read the snippet
	URL     string // answers 503 while the site is closed, 200 while it is open
	Exempt  string // URL that must go on answering 200: the health check
	Origin  string
}

// Allow is what opsdeck may do at a site beyond looking.
type Allow struct {
	KillSessions bool
	RemoveUnder  []string
	ScanTargets  []string // hosts that may be put under load
}

// A History keeps numeric facts over time.
type History interface {
	// Series returns the samples of one fact of one check since the given
	// time, oldest first.
	Series(check, factName, label string, since time.Time) []Sample
}

// A Lister is a History that knows what it holds.
type Lister interface {
	// Labels returns the labels under which a fact of a check has a sample
	// since the given time, sorted; "" among them if it has one without.
	Labels(check, factName string, since time.Time) []string
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

// Maintaining is the Env with the connection that actions use when the item
// names none: "maintain" where the site has one of the kind, so that what looks
// and what changes need not be one role.
func (e Env) Maintaining(kind string) Env {
	for _, c := range e.Site.Connections {
		if e.Connection == "" && c.Kind == kind && c.Name == "maintain" {
			e.Connection = c.Name
		}
	}
	return e
}

// Findings is what a module reports: facts and evidence, no verdict.
type Findings struct {
	Facts  []fact.Fact
	Note   string   // one line, 60 columns or less, for lists: "/ 84 % used, 23 GiB free"
	Target string   // what was looked at, if the arguments do not say: "/var"
	Detail []string // evidence lines; capped, cleaned and redacted by the Runner
	Tables []Table  // rows a pane or a report shows as they are
	Phases []Phase  // where the time went

	// NotUnderstood is the first thing in the evidence that the module could
	// not read, with what to configure. An ok becomes unknown with it, because
	// what was not read may be the opposite; warn and crit stay.
	NotUnderstood string

	// Over is the time between the two samples of a module that judges by
	// their difference; Since is set instead where counters are judged from
	// their reset on.
	Over  time.Duration
	Since time.Time

	// Of a Preview only.
	Fingerprint string   // identity of the target: system identifier, database and host; compared again just before the effect
	Locks       []string // what no other action on this host may touch meanwhile: "postgres:lms@7712700727815643242", "file:/srv/lms/maintenance.flag"
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
