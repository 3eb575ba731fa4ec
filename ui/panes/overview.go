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

// gone reports whether the server does not answer.
func gone(s source) bool {
	if s.Stuck || s.Result.Err != "" {
		return true
	}
	f, ok := s.Result.Fact("ok", "")
	return ok && !f.Bool()
}

// awayLines say what is known of a server that does not answer, and where to
// look: the disks it writes to, its log, its processes.
func (p *database) awayLines(s source) []line {
	cause := s.trouble
	if cause == "" {
		cause = s.say("reason", "")
	}
	since := "since " + clock(s.State, s.now)
	lines := []line{
		{id: "away", check: s.Check.ID, name: "server", value: "away", level: shown(s.State, s.now), note: join(since+" ("+ago(s.now.Sub(s.Since))+")", cause), since: since},
		{id: "meaning", check: s.Check.ID, level: checks.OK, name: "look at", note: meaning(s.Result.Class, cause)},
	}
	lines = append(lines, p.diskHint(s.now), p.logHint(s.now), p.processHint(s.now))
	if seen, ok := p.source("pg.connections", s.now); ok && !seen.blank() {
		lines = append(lines, line{id: "seen", check: seen.Check.ID, level: checks.OK, old: true, name: "seen", note: ago(s.now.Sub(seen.facts.At)) + " ago:"})
	}
	kept := lines[:0]
	for i, at := range lines {
		if at.id != "" {
			at.rank = i - 10
			kept = append(kept, at)
		}
	}
	return kept
}

// meanings are the sentences for what a failure most often means. The first
// whose word is in the message is taken.
var meanings = []struct{ word, says string }{
	{"53100", "its disk is full: free space before anything else"},
	{"no space left", "its disk is full: free space before anything else"},
	{"too many clients", "every slot is taken: find who holds them before a restart"},
	{"remaining connection slots", "every slot is taken: find who holds them before a restart"},
	{"starting up", "it starts or recovers: its log says how far it is; do not restart it"},
	{"recovery mode", "it recovers after a crash: its log says how far it is; do not restart it"},
	{"shutting down", "it is being stopped: who did that?"},
	{"password", "the login is refused: password, pg_hba.conf or role"},
	{"pg_hba", "the login is refused: password, pg_hba.conf or role"},
	{"refused", "nothing listens there: is postgres running? its log has the reason"},
	{"no such host", "the name does not resolve: DNS or a typing error in the site file"},
	{"certificate", "TLS: the certificate is not accepted"},
}

// classMeanings are for what no word gives away.
var classMeanings = map[checks.Class]string{
	checks.Timeout: "no answer in time: overload, a full disk, or a firewall that drops",
	checks.Refused: "nothing listens there: is postgres running? its log has the reason",
	checks.DNS:     "the name does not resolve: DNS or a typing error in the site file",
	checks.TLS:     "TLS: the certificate is not accepted",
	checks.Auth:    "the login is refused: password, pg_hba.conf or role",
	checks.Denied:  "the role may not look: GRANT pg_monitor",
	checks.Missing: "something it needs is not there",
}

// meaning is a failure in words of somebody who has seen it before.
func meaning(class checks.Class, cause string) string {
	low := strings.ToLower(cause)
	for _, m := range meanings {
		if strings.Contains(low, m.word) {
			return m.says
		}
	}
	if says, ok := classMeanings[class]; ok {
		return says
	}
	return classMeanings[checks.Timeout]
}

// diskHint is the fullest disk of the host.
func (p *database) diskHint(now time.Time) line {
	s, ok := p.memory.source(p.snap, "sys.disk", now)
	if !ok || s.blank() {
		return line{}
	}
	worst := labelled(s, "used", 1, func(mount string) line {
		return line{id: mount, value: s.say("used", mount), level: s.level(mount, "used", "free", "inodes", "read_only", "answered"), note: mount + ", " + s.say("free", mount) + " free"}
	})[0]
	worst.id, worst.check, worst.name = "hint disk", "sys.disk", "disk"
	return worst
}

// logHint is what the server's log says, if the site names it.
func (p *database) logHint(now time.Time) line {
	s, ok := p.memory.source(p.snap, "log.postgres", now)
	if !ok {
		return line{}
	}
	at := line{id: "hint log", check: "log.postgres", name: "log", value: "?", level: shown(s.State, now), note: why(s)}
	for _, name := range []string{"matches", "count", "errors", "lines"} {
		if _, ok := s.num(name, ""); ok {
			at.value, at.note = s.say(name, ""), join(name, at.note)
			break
		}
	}
	if t, ok := s.facts.Table("signatures"); ok && len(t.Rows) > 0 {
		cell := cells(t, t.Rows[0])
		at.note = cell("count").String() + "x " + cell("sample").String()
	}
	return at
}

// processHint counts the server's processes among the busiest and the largest:
// more than those a reading does not list.
func (p *database) processHint(now time.Time) line {
	s, ok := p.memory.source(p.snap, "sys.procs", now)
	if !ok || s.blank() {
		return line{}
	}
	pids, busiest := map[string]bool{}, ""
	for _, name := range []string{"top_cpu", "top_mem"} {
		t, _ := s.facts.Table(name)
		for _, row := range t.Rows {
			cell := cells(t, row)
			if !strings.Contains(cell("command").String(), "postgres") && !strings.Contains(cell("command").String(), "postmaster") {
				continue
			}
			pids[cell("pid").String()] = true
			if busiest == "" {
				busiest = "pid " + cell("pid").String() + " " + percent(cell("cpu").Num) + " cpu, " + cell("rss").String()
			}
		}
	}
	at := line{id: "hint procs", check: "sys.procs", name: "postgres", level: checks.OK, value: strconv.Itoa(len(pids)) + " procs", note: join("among the busiest", busiest)}
	if len(pids) == 0 {
		at.note = "none among the busiest processes of this host"
	}
	return at
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
		id: "server", name: "server", value: s.say("latency", ""), level: s.level("", "ok", "latency", "up", "recovery"), trend: s.trend("latency", ""),
		note: join(s.limits("", "latency", "up"), s.facts.Note, s.facts.Target),
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
