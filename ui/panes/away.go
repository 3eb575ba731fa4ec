package panes

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

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
	if outside, ok := p.source("pg.host", s.now); ok && !outside.blank() {
		lines = append(lines, hostLines(outside)...)
		lines = append(lines, p.diskHint(s.now))
	} else {
		lines = append(lines, p.diskHint(s.now), p.logHint(s.now), p.processHint(s.now))
	}
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

// mostLogLines is how much of the end of the log is shown of a server that is
// away.
const mostLogLines = 3

// hostLines are what the host knows of the server: its processes by what they
// do, its sockets, its disks and the end of its log.
func hostLines(s source) []line {
	names := []string{"postmaster", "listening", "blocked"}
	procs := line{
		id: "host procs", check: s.Check.ID, name: "processes", value: s.say("processes", ""), level: s.level("", names...),
		note: join(s.limits("", "processes", names...), s.bare("", "clients", "", " for clients"), s.bare("", "waiting", "", " wait for locks"), s.bare("", "blocked", "", " wait for a disk"), byState(s)),
	}
	if f, ok := s.facts.Fact("postmaster", ""); ok && !f.Bool() {
		procs.value, procs.note = "none", "no process of it runs on this host"
	}
	lines := []line{procs}
	var sockets []string
	for _, state := range s.labels("sockets") {
		sockets = append(sockets, s.say("sockets", state)+" "+state)
	}
	if f, ok := s.facts.Fact("listening", ""); ok && !f.Bool() {
		sockets = append([]string{"nothing listens"}, sockets...)
	}
	if len(sockets) > 0 {
		lines = append(lines, line{id: "host sockets", check: s.Check.ID, name: "sockets", level: s.level("", "listening"), note: join(sockets...)})
	}
	for _, folder := range s.labels("used") {
		lines = append(lines, line{
			id: "host " + folder, check: s.Check.ID, name: "disk", value: s.say("used", folder), level: s.level(folder, "used", "free"),
			note: join(s.limits(folder, "used"), s.bare("", "free", folder, " free"), folder),
		})
	}
	t, _ := s.facts.Table("log")
	for i, row := range t.Rows[max(0, len(t.Rows)-mostLogLines):] {
		lines = append(lines, line{id: "host log " + strconv.Itoa(i), check: s.Check.ID, name: "log", level: checks.OK, note: cells(t, row)("line").String()})
	}
	return lines
}

// byState counts the processes by the state the kernel has them in.
func byState(s source) string {
	t, _ := s.facts.Table("processes")
	count := map[string]int{}
	for _, row := range t.Rows {
		count[cells(t, row)("state").String()]++
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, state+" "+strconv.Itoa(count[state]))
	}
	return strings.Join(parts, " ")
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
