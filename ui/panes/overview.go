package panes

import (
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// databaseParts are the checks of the overview in the order of the screen.
var databaseParts = []struct {
	module, noun string
	rank         int
	lines        func(source) []line
}{
	{"pg.connections", "conn", 1, connectionLines},
	{"pg.locks", "blocked", 2, lockLines},
	{"pg.tps", "tps", 3, tpsLines},
	{"pg.slow", "slow", 4, slowLines},
	{"pg.dbsize", "size", 5, sizeLines},
	{"pg.deadtuples", "dead", 6, deadLines},
	{"pg.ping", "server", 7, serverLines},
	{"pg.wal", "wal", 9, walLines},
	{"pg.replication", "repl", 10, replicationLines},
	{"pg.wraparound", "xid", 11, wraparoundLines},
	{"pg.tables", "tables", 8, tableLines},
}

// mostTables is how many of the largest tables the overview names.
const mostTables = 3

// readings is the overview. A server that is away comes first, with what can
// be known without it; below it, faint, is what was last seen.
func (p *database) readings(now time.Time) []line {
	if p.nothing != "" {
		return nil
	}
	server, known := p.source("pg.ping", now)
	away := known && gone(server)
	var lines []line
	if away {
		lines = p.awayLines(server)
	}
	for _, part := range databaseParts {
		s, ok := p.source(part.module, now)
		if part.module == "pg.replication" && s.Level == checks.Skipped {
			continue // most servers have no replicas: that is no line
		}
		if !ok || away && (part.module == "pg.ping" || s.blank()) {
			continue
		}
		if away {
			s.trouble, s.HeldBy, s.old = "", "", true
			s.Level = checks.Unknown
		}
		lines = append(lines, told(s, part.noun, part.rank, part.lines(s))...)
	}
	return lines
}

func connectionLines(s source) []line {
	names := []string{"used", "full", "connections", "active", "idle", "idle_in_tx", "waiting"}
	count := s.bare("", "connections", "", "") + " " + s.bare("of", "usable", "", " usable")
	conn := line{
		id: "conn", name: "conn", value: s.say("used", ""), level: s.level("", names...), trend: s.trend("used", ""), top: 100,
		note: join(s.limits("", "used", names...), strings.TrimSpace(count), s.part("active", "active", "", ""), s.part("idle", "idle", "", ""),
			s.part("idle in tx", "idle_in_tx", "", ""), s.part("waiting", "waiting", "", "")),
	}
	if s.is("full", "") {
		conn.note = join("no slot is free", conn.note)
	}
	if _, ok := s.num("oldest_xact", ""); !ok {
		return []line{conn}
	}
	names = []string{"oldest_xact", "longest_query", "idle_in_tx_age"}
	xact := line{
		id: "xact", name: "xact", value: s.say("oldest_xact", ""), level: s.level("", names...), trend: s.trend("oldest_xact", ""),
		note: join(strings.TrimSpace("oldest "+s.limits("", "oldest_xact", names...)), s.part("longest query", "longest_query", "", ""), s.part("idle in tx", "idle_in_tx_age", "", "")),
	}
	return []line{conn, xact}
}

func lockLines(s source) []line {
	names := []string{"blocked", "longest_wait", "depth", "roots", "frees"}
	at := line{id: "blocked", name: "blocked", value: s.say("blocked", ""), level: s.level("", names...), trend: s.trend("blocked", "")}
	by := ""
	if t, ok := s.facts.Table("roots"); ok && len(t.Rows) > 0 {
		cell := cells(t, t.Rows[0])
		by = "by pid " + cell("pid").String() + " " + strings.TrimSpace(cell("app").String()) + ", " + cell("state").String() + " " + cell("age").String()
		if len(t.Rows) > 1 {
			by += ", and " + strconv.Itoa(len(t.Rows)-1) + " other"
		}
	}
	wait := ""
	if n, ok := s.num("longest_wait", ""); ok && n > 0 {
		wait = s.part("longest", "longest_wait", "", "")
	}
	at.note = join(by, s.limits("", "blocked", names...), wait)
	if n, ok := s.num("blocked", ""); ok && n == 0 {
		at.note = join("nobody waits", at.note)
	}
	return []line{at}
}

func tpsLines(s source) []line {
	names := []string{"tps", "tps_ratio", "commits", "rollbacks", "rollbacks_share", "cache_hit", "deadlocks", "temp"}
	temp := ""
	if n, ok := s.num("temp", ""); ok && n > 0 {
		temp = s.part("temp", "temp", "", "/s")
	}
	return []line{{
		id: "tps", name: "tps", value: s.say("tps", "") + " /s", level: s.level("", names...), trend: s.trend("tps", ""),
		note: join(s.part("usual", "tps_usual", "", ""), s.limits("", "tps", names...), s.part("rollback", "rollbacks_share", "", ""),
			s.part("cache hit", "cache_hit", "", ""), s.part("deadlocks", "deadlocks", "", ""), temp),
	}}
}

func slowLines(s source) []line {
	names := []string{"slow", "heavy", "worst_mean", "worst_share"}
	query := ""
	if t, ok := s.facts.Table("statements"); ok && len(t.Rows) > 0 {
		cell := cells(t, t.Rows[0])
		query = percent(cell("share").Num) + " of db time: " + cell("query").String()
	}
	return []line{{
		id: "slow", name: "slow", value: s.say("slow", ""), level: s.level("", names...), trend: s.trend("slow", ""),
		note: join(s.limits("", "slow", names...), s.part("worst mean", "worst_mean", "", ""), query),
	}}
}

func sizeLines(s source) []line {
	names := []string{"size", "size_growth", "total"}
	growth := ""
	if n, ok := s.num("size_growth", ""); ok {
		growth = signed(n) + " in 7 d"
	}
	return []line{{
		id: "size", name: "size", value: s.say("size", ""), level: s.level("", names...), trend: s.trend("size", ""),
		note: join(s.limits("", "size", names...), growth, s.part("all databases", "total", "", "")),
	}}
}

func signed(p float64) string {
	if p > 0 {
		return "+" + percent(p)
	}
	return percent(p)
}

func deadLines(s source) []line {
	names := []string{"tables", "dead", "ratio", "times_trigger", "autovacuum_off"}
	off := ""
	if n, ok := s.num("autovacuum_off", ""); ok && n > 0 {
		off = "autovacuum off for " + short(n)
	}
	return []line{{
		id: "dead", name: "dead", value: s.say("ratio", ""), level: s.level("", names...), trend: s.trend("ratio", ""), top: 100,
		note: join(s.limits("", "ratio", names...), s.part("in", "worst", "", ""), off, s.part("vacuumed", "worst_vacuum_age", "", " ago"), s.part("", "dead", "", " dead rows")),
	}}
}

func serverLines(s source) []line {
	return []line{{
		id: "server", name: "server", value: s.say("latency", ""), level: s.level("", "ok", "latency", "up", "recovery", "changed"), trend: s.trend("latency", ""),
		note: join(s.limits("", "latency", "up"), s.facts.Note, s.part("own polling", "own", "", " of a session"), s.facts.Target),
	}}
}

// tableLines are the largest tables.
func tableLines(s source) []line {
	t, _ := s.facts.Table("tables")
	var lines []line
	for _, row := range t.Rows[:min(mostTables, len(t.Rows))] {
		cell := cells(t, row)
		name := cell("table").String()
		growth := ""
		if n, ok := s.num("size_growth", name); ok {
			growth = signed(n) + " in 7 d"
		}
		rows := ""
		if v := cell("rows"); v.Type == fact.Count {
			rows = short(v.Num) + " rows"
		}
		lines = append(lines, line{
			id: "table " + name, name: "table", value: cell("total").String(), rank: 20,
			level: s.level(name, "size", "size_growth"), trend: s.trend("size", name), note: join(s.limits(name, "size", "size_growth"), name, growth, rows),
		})
	}
	if len(lines) == 0 {
		return []line{{id: "tables", name: "tables", value: s.say("total", ""), level: s.level("", "total"), note: s.part("", "tables", "", " tables")}}
	}
	return lines
}

func walLines(s source) []line {
	names := []string{"wal_rate", "wal_size", "archiver_ok", "failing_since", "ready", "hours_left"}
	archiver := ""
	if f, ok := s.facts.Fact("archiver_ok", ""); ok {
		archiver = "archiver ok"
		if !f.Bool() {
			archiver = join("archiver fails", s.bare("since", "failing_since", "", ""))
		}
	}
	return []line{{
		id: "wal", name: "wal", value: s.say("wal_rate", "") + "/s", level: s.level("", names...), trend: s.trend("wal_rate", ""),
		note: join(s.limits("", "wal_rate", names...), s.part("pg_wal", "wal_size", "", ""), archiver, s.part("ready", "ready", "", ""), s.part("full in", "hours_left", "", "")),
	}}
}

// replicationLines is the replica that is farthest behind.
func replicationLines(s source) []line {
	names := []string{"replicas", "missing", "inactive_slots"}
	at := line{id: "replicas", name: "repl", value: s.say("replicas", ""), level: s.level("", names...)}
	worst, limits := fact.Fact{}, ""
	for _, label := range s.labels("lag") {
		if f, ok := s.facts.Fact("lag", label); ok && f.Num >= worst.Num {
			worst, limits = f, s.limits(label, "lag")
		}
		if l := s.level(label, "lag"); l.Worse(at.level) {
			at.level = l
		}
	}
	lag := ""
	if worst.Label != "" {
		lag = join(worst.Label+" lags "+worst.String(), limits)
	}
	at.note = join(s.limits("", "replicas", names...), lag, s.part("slots without a reader", "inactive_slots", "", ""))
	return []line{at}
}

func wraparoundLines(s source) []line {
	names := []string{"xid_used", "mxid_used", "xid_age", "mxid_age", "prepared_age"}
	return []line{{
		id: "xid", name: "xid", value: s.say("xid_used", ""), level: s.level("", names...), trend: s.trend("xid_used", ""),
		note: join(s.limits("", "xid_used", names...), "of freeze_max_age", s.part("multixact", "mxid_used", "", ""), s.part("left", "left", "", ""), s.part("held back by", "holder", "", "")),
	}}
}
