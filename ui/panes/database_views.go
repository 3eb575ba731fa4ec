package panes

import (
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A view is one screen of the pane: tables of check modules and what stands
// around them. The pane shows what a module found out and asks nothing itself,
// so a runbook, a recorded result and the screen have the same numbers.
type view struct {
	name   string
	letter string // chooses it in the list of views
	what   string // in the list of views
	facets []facet
}

// A facet is one of the tables of a view, or one selection of its rows.
type facet struct {
	name         string // "" where a view has one alone
	check, table string
	rows         string   // what a row is: "session"
	key          []string // columns that tell rows apart; nil: the first
	columns      []column
	facts        string // of the check, in one line above the rows
	empty        string // what no rows mean
	only         func(cell func(string) fact.Value) bool
	tree         bool // rows come as a tree by their depth, and stay in that order
	leads        bool // the first row is told in the line above
	into         string
}

// sessionKey tells sessions apart: a pid is used again, a start is not.
var sessionKey = []string{"pid", "began"}

// overview is the view before the tables.
var overview = view{name: "overview", letter: "o", what: "the server in a screenful, worst first"}

// views are the tables in the order of the key v, after the overview.
var views = []view{
	{"sessions", "s", "who is connected, waits, or idles in a transaction", sessionFacets()},
	{"blocking", "b", "who holds up whom, from the root", []facet{{
		check: "pg.locks", table: "tree", rows: "session", key: []string{"pid", "began", "query"}, tree: true, leads: true,
		columns: columns("pid:tree frees:loud wait:aged state age:aged mode relation:object user app client database query:rest"),
		facts:   "blocked longest_wait depth", empty: "nobody waits for a lock",
	}}},
	{"saturation", "u", "who uses the slots", saturationFacets()},
	{"statements", "m", "what the time goes into, since the last look", []facet{{
		check: "pg.statements", table: "statements", rows: "statement", key: []string{"queryid", "user", "database", "toplevel"},
		columns: columns("share calls total mean stddev rows hit read written temp wal io_time plans user database query:text"),
		facts:   "interval reset deallocations tracked", empty: "no statement has ended since the last look",
	}}},
	{"tables", "t", "size, growth and bloat", []facet{
		{name: "size", check: "pg.tables", table: "tables", rows: "table", facts: "total tables", empty: "no tables",
			columns: columns("table:object total size_by rows growth heap indexes toast seq_share bloat bloat_by dead grown_over")},
		{name: "bloat", check: "pg.bloat", table: "tables", rows: "table", facts: "worst_bloat", empty: "no table is large enough",
			columns: columns("table:object size wasted bloat badge analyzed")},
		{name: "databases", check: "pg.dbsize", table: "databases", rows: "database", facts: "size total", empty: "no database may be measured",
			columns: columns("database:object size")},
	}},
	{"vacuum", "v", "dead rows against each table's own trigger", []facet{
		{name: "dead rows", check: "pg.deadtuples", table: "tables", rows: "table", facts: "dead autovacuum_off", empty: "no table has many dead rows",
			columns: columns("table:object ratio times:loud dead live trigger vacuumed autovacuum")},
		{name: "largest", check: "pg.tables", table: "tables", rows: "table", empty: "no tables",
			columns: columns("table:object times:loud dead trigger live vacuumed:aged analyzed:aged autovacuum bloat bloat_by total")},
	}},
	{"indexes", "i", "unused, duplicate, invalid, missing", []facet{{
		check: "pg.indexes", table: "indexes", rows: "index", key: []string{"index", "table", "problem"}, empty: "no index has a problem",
		columns: columns("index:object problem:loud table:object size scans since:aged advice:rest"),
	}}},
	{"sequences", "n", "how near each is to the end of its column", []facet{{
		check: "pg.sequences", table: "sequences", rows: "sequence", facts: "worst_used sequences unknown", empty: "no sequences",
		columns: columns("sequence:object used used:bar column:object type last limit left"),
	}}},
	{"progress", "p", "vacuum, analyze, index builds, copies, base backups", []facet{{
		check: "pg.progress", table: "operations", rows: "session", key: []string{"pid", "command"}, empty: "nothing that reports its progress runs",
		columns: columns("pid:ident command done done:bar phase age:aged relation:object user detail:object query:rest"),
	}}},
	{"replication", "r", "replicas and slots, hours until pg_wal is full", []facet{
		{name: "replicas", check: "pg.replication", table: "replicas", rows: "replica", empty: "no replica is connected",
			columns: columns("name:object state sync lag lag_bytes write_lag flush_lag replay_lag client"), facts: "replicas missing inactive_slots"},
		{name: "slots", check: "pg.replication", table: "slots", rows: "slot", empty: "no slots",
			columns: columns("slot:object kind active retained:loud wal_status hours_left:loud safe inactive:aged"), facts: "inactive_slots"},
	}},
	{"wal", "w", "rate, size and the archiver", []facet{{
		check: "pg.wal", table: "archiver", rows: "value", empty: "nothing is archived",
		columns: columns("name:object value:text"), facts: "wal_rate wal_size archiver_ok failing_since ready hours_left",
	}}},
	{"checkpoints", "c", "checkpoints, background writer and I/O", []facet{{
		check: "pg.checkpoints", table: "io", rows: "line", key: []string{"backend", "object", "context"}, empty: "nothing was read or written since the last look",
		columns: columns("backend:object object context reads writes extends hits evictions fsyncs read_time write_time"),
		facts:   "timed requested requested_share interval",
	}}},
	{"wraparound", "x", "age of transaction ids, and what holds it back", []facet{
		{name: "databases", check: "pg.wraparound", table: "databases", rows: "database", facts: "left oldest holder held prepared", empty: "no databases",
			columns: columns("database:object xid_age xid_used xid_used:bar mxid_age mxid_used left")},
		{name: "holders", check: "pg.wraparound", table: "holders", rows: "holder", key: []string{"kind", "who"}, facts: "holder held prepared prepared_age", empty: "nothing holds it back",
			columns: columns("kind who:object xmin:loud age:aged")},
		{name: "tables", check: "pg.wraparound", table: "tables", rows: "table", empty: "no tables",
			columns: columns("table:object xid_age mxid_age size")},
	}},
	{"settings", "e", "what differs, and what waits for a restart", []facet{
		{name: "all", check: "pg.settings", table: "settings", rows: "setting", facts: "pending_restart dangerous hints checksum_failures file_errors extensions_behind", empty: "no setting differs from its default",
			columns: columns("setting:object value unit pending:loud next hint:object boot reset source file:object")},
		{name: "pending restart", check: "pg.settings", table: "settings", rows: "setting", facts: "pending_restart dangerous hints checksum_failures file_errors extensions_behind", empty: "nothing waits for a restart",
			columns: columns("setting:object value unit pending:loud next hint:object boot reset source file:object"),
			only:    func(cell func(string) fact.Value) bool { return cell("pending").Bool() }},
	}},
	{"host", "h", "what can be known without SQL", []facet{
		{name: "processes", check: "pg.host", table: "processes", rows: "process", key: []string{"pid"}, facts: "clients waiting blocked postmaster listening up", empty: "no process of it runs on this host",
			columns: columns("pid:ident state age:aged rss title:text")},
		{name: "end of the log", check: "pg.host", table: "log", rows: "line", empty: "the log is empty or not known",
			columns: columns("line:text")},
	}},
	{"log", "l", "what the server's log says, folded", []facet{{
		check: "pg.log", table: "messages", rows: "message", key: []string{"severity", "class", "message"}, empty: "the log says nothing remarkable",
		facts:   "panics fatals errors refused lock_waits slow messages",
		columns: columns("count severity class first last message:text"),
	}}},
}

// sessionFacets are the sessions, all of them or those in a state.
func sessionFacets() []facet {
	all := facet{
		name: "all", check: "pg.sessions", table: "sessions", rows: "session", key: sessionKey,
		columns: columns("pid:ident state xact:aged wait blocked_by:loud frees:loud query_age:aged state_age:aged cpu user database app client xmin:loud locks:object query:rest"),
		facts:   "active waiting idle_in_tx oldest_xact xmin_age xmin_holder", empty: "no other session",
	}
	with := func(name, empty string, only func(func(string) fact.Value) bool) facet {
		f := all
		f.name, f.empty, f.only = name, empty, only
		return f
	}
	return []facet{
		all,
		with("running", "no session runs a statement", func(cell func(string) fact.Value) bool { return cell("state").Text == "active" }),
		with("waiting", "no session waits for a lock", waits),
		with("idle in transaction", "no session is idle in a transaction", func(cell func(string) fact.Value) bool {
			return strings.HasPrefix(cell("state").Text, "idle in transaction")
		}),
	}
}

// waits reports whether a session waits for another one.
func waits(cell func(string) fact.Value) bool {
	return cell("blocked_by").Text != "" || strings.HasPrefix(cell("wait").Text, "Lock")
}

// saturationFacets are the sessions counted by what they have in common; a row
// leads into its sessions.
func saturationFacets() []facet {
	var list []facet
	for _, by := range []string{"database", "user", "app", "state", "client"} {
		list = append(list, facet{
			name: by, check: "pg.saturation", table: "by_" + by, rows: by, into: by,
			columns: columns("name:object sessions used used:bar active idle idle_in_tx:loud waiting:loud limit"),
			facts:   "cause used usable reserved sessions time_to_full", empty: "no sessions",
		})
	}
	return list
}
