package postgres

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/logs"
)

// ServerLog sums up what the server wrote into its own log: how often, of which
// severity and class of SQLSTATE, and what it is about. It reads the files that
// the site file names, so it works while the server does not; the server is only
// asked what it logs at all.
//
// A plain log names no SQLSTATE unless log_line_prefix has %e: there the class
// is told from the words of an English log, where they are known.
var ServerLog = module(checks.Module{
	Name: "pg.log",
	Doc:  "Counts what the server wrote into its log, by severity, class and message",
	Params: []checks.Param{
		{Name: "source", Type: checks.TextParam, Default: "postgres", Doc: "log source of the site file"},
		{Name: "window", Type: checks.DurationParam, Default: "30m", Doc: "how far back from now, by the lines' own time stamps"},
		limitParam("limit", 50, "how many different messages to list, the worst first", 500),
	},
	Facts: append([]fact.Spec{
		{Name: "panics", Type: fact.Count, Worse: fact.Higher, Doc: "PANIC: the server restarted itself"},
		{Name: "fatals", Type: fact.Count, Worse: fact.Higher, Doc: "FATAL: a session was ended or refused"},
		{Name: "errors", Type: fact.Count, Worse: fact.Higher, Usual: true, Doc: "ERROR: a statement failed"},
		{Name: "warnings", Type: fact.Count, Worse: fact.Higher, Doc: "WARNING"},
		{Name: "refused", Type: fact.Count, Worse: fact.Higher, Doc: "sessions that were refused because slots were used up (53300)"},
		{Name: "damaged", Type: fact.Count, Worse: fact.Higher, Doc: "messages of damaged data: a checksum, an invalid page, an index that is not as it must be"},
		{Name: "crashes", Type: fact.Count, Worse: fact.Higher, Doc: "processes of the server that a signal ended"},
		{Name: "lock_waits", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "sessions that waited for a lock for longer than deadlock_timeout; absent while log_lock_waits is off"},
		{Name: "slow", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "statements that were logged for their duration; absent while log_min_duration_statement is off"},
		{Name: "messages", Type: fact.Count, Doc: "different messages, numbers and texts folded"},
	}, logs.ReadFacts()...),
	Warn: "fatals > 0 or errors_ratio > 300% or lock_waits > 0 or unparsed > 1% or gaps > 0", Fail: "panics > 0 or refused > 0 or damaged > 0 or crashes > 0",
	Source:  "PANIC, 53300 and checksums: proposed; the rest compares with earlier runs",
	Timeout: 30 * time.Second, Every: 30 * time.Second,
	Example: "use: pg.log\nwith: {window: 30m}",
	Run:     serverLog,
})

func serverLog(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	now, window, name := clock(env), args.Duration("window"), args.Text("source")
	habits, why := loggingOf(ctx, env)
	m := newMessages(habits.state())
	reading, err := logs.Read(ctx, env, name, now.Add(-window), now, m.visit)
	if err != nil {
		return checks.Findings{}, err
	}
	if m.known == 0 && m.strange > 0 {
		return checks.Findings{}, checks.Failed(checks.Parse, "log source %s: none of %d dated lines is of a PostgreSQL server; its log_destination is %s, its log_line_prefix %q", name, m.strange, cmp.Or(habits.Destination, "not known"), habits.Prefix)
	}
	f := checks.Findings{Target: name, Facts: m.facts(habits), Tables: []checks.Table{m.table(args.Int("limit"))}, Note: m.note(window)}
	f.Detail = append(f.Detail, habits.silent(why)...)
	if m.strange > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d dated lines are not of a PostgreSQL server and count for nothing", m.strange))
	}
	if m.rest > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d lines of rare messages are in no row", m.rest))
	}
	f.Facts, f.NotUnderstood = append(f.Facts, reading.Facts...), reading.NotUnderstood
	f.Detail = append(f.Detail, reading.Detail...)
	return f, nil
}

// logging is what the server writes into its log at all.
type logging struct {
	Prefix, Destination, LockWaits, MinDuration, MinMessages string
}

const loggingSQL = `
SELECT current_setting('log_line_prefix'), current_setting('log_destination'), current_setting('log_lock_waits'),
       current_setting('log_min_duration_statement'), current_setting('log_min_messages')`

// loggingOf asks the server, which may be away: why says so.
func loggingOf(ctx context.Context, env checks.Env) (habits logging, why string) {
	s, err := server(env)
	if err == nil {
		habits, err = one[logging](ctx, s, "pg.log", loggingSQL)
	}
	if err != nil {
		return logging{}, err.Error()
	}
	return habits, ""
}

// silent names what would not be in the log although it happens.
func (l logging) silent(why string) []string {
	if why != "" {
		return []string{"whether lock waits and slow statements are logged is not known: " + why}
	}
	var lines []string
	if l.LockWaits == "off" {
		lines = append(lines, "waits for locks are not logged: log_lock_waits is off")
	}
	if l.MinDuration == "-1" {
		lines = append(lines, "slow statements are not logged: log_min_duration_statement is -1")
	}
	if min := strings.ToLower(l.MinMessages); min == "error" || min == "log" || min == "fatal" || min == "panic" {
		lines = append(lines, "not every message is logged: log_min_messages is "+min)
	}
	return lines
}

// prefixEscape is an escape of log_line_prefix, padded or not.
var prefixEscape = regexp.MustCompile(`%-?\d*([a-zA-Z%])`)

// state finds the SQLSTATE in what stands before the severity of a plain line;
// nil if log_line_prefix does not put it there.
func (l logging) state() *regexp.Regexp {
	if !strings.Contains(l.Prefix, "e") {
		return nil
	}
	var expr strings.Builder
	expr.WriteString("^")
	from, has := 0, false
	for _, at := range prefixEscape.FindAllStringSubmatchIndex(l.Prefix, -1) {
		expr.WriteString(regexp.QuoteMeta(l.Prefix[from:at[0]]))
		from = at[1]
		switch l.Prefix[at[2]:at[3]] {
		case "e":
			has = true
			expr.WriteString(` *([0-9A-Z]{5}) *`)
		case "%":
			expr.WriteString("%")
		case "q": // nothing: background processes stop here
		default:
			expr.WriteString(".*?")
		}
	}
	if !has {
		return nil
	}
	return regexp.MustCompile(expr.String() + regexp.QuoteMeta(l.Prefix[from:]) + "$")
}
