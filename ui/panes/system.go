package panes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// System is the pane of the host: processors, memory, waiting, disks, network,
// processes.
var System = pane.Spec{
	ID: "system", Title: "SYSTEM", Order: 1, Min: pane.Size{W: 22, H: 1},
	Needs: pane.Checks("sys.cpu", "sys.mem", "sys.psi", "sys.disk", "sys.diskio", "sys.net", "sys.procs", "sys.uptime"),
	New: func(pane.Deps) pane.Pane {
		return &system{list: newList("no check of this host runs")}
	},
}

// systemParts are the checks of the pane in the order of the screen; the rank
// decides what is shown first where there is little room.
var systemParts = []struct {
	check, noun string
	rank        int
	lines       func(source) []line
}{
	{"sys.cpu", "cpu", 1, cpuLines},
	{"sys.mem", "mem", 2, memLines},
	{"sys.psi", "psi", 3, psiLines},
	{"sys.disk", "disks", 4, diskLines},
	{"sys.diskio", "disk io", 5, diskioLines},
	{"sys.net", "net", 6, netLines},
	{"sys.procs", "procs", 7, procLines},
	{"sys.uptime", "up", 8, uptimeLines},
}

// How many lines a check with labels gets.
const (
	mostMounts     = 4
	mostDevices    = 3
	mostInterfaces = 2
	mostProcesses  = 3
)

type system struct {
	*list
	snap   watch.Snapshot
	memory memory
}

// Show takes the newest snapshot.
func (p *system) Show(s watch.Snapshot) {
	p.snap, p.memory = s, p.memory.keep(s)
	p.set(p.readings(s.At), nil, 0)
}

func (p *system) readings(now time.Time) []line {
	var lines []line
	for _, part := range systemParts {
		if s, ok := p.memory.source(p.snap, part.check, now); ok {
			lines = append(lines, told(s, part.noun, part.rank, part.lines(s))...)
		}
	}
	return lines
}

// Handle takes nothing: the pane asks for nothing.
func (p *system) Handle(any) tea.Cmd { return nil }

// Actions are the movements; enter, r and y are the deck's.
func (p *system) Actions() []pane.Action { return p.Moves() }

// Summary is the worst line.
func (p *system) Summary() string {
	if len(p.lines) == 0 {
		return "nothing is watched"
	}
	return p.summary("ok")
}

// View draws the lines that fit.
func (p *system) View(f pane.Frame) string { return p.draw(p.readings(f.Now), f) }

func cpuLines(s source) []line {
	split := ""
	for _, p := range [][2]string{{"us", "user"}, {"sy", "system"}, {"wa", "iowait"}, {"st", "steal"}} {
		if n, ok := s.num(p[1], ""); ok {
			split += " " + p[0] + " " + short(n)
		}
	}
	names := []string{"busy", "user", "system", "iowait", "steal", "hottest"}
	cpu := line{
		id: "cpu", name: "cpu", value: s.say("busy", ""), level: s.level("", names...), trend: s.trend("busy", ""), top: 100,
		note: join(s.limits("", "busy", names...), strings.TrimSpace(split), s.part("hottest core", "hottest", "", ""), s.part("quota", "limit_cores", "", " cores")),
	}
	names = []string{"load1", "load5", "load15", "load_per_core", "runnable", "blocked"}
	load := line{
		id: "load", name: "load", value: s.say("load1", ""), level: s.level("", names...), trend: s.trend("load1", ""),
		note: join(s.limits("", "load1", names...), s.part("of", "cores", "", " cores"), s.part("run", "runnable", "", ""), s.part("D", "blocked", "", ""),
			s.bare("5 min", "load5", "", ""), s.bare("15 min", "load15", "", "")),
	}
	return []line{cpu, load}
}

func memLines(s source) []line {
	names := []string{"used", "available", "oom_kills", "oom_kills_total"}
	of := s.part("of", "total", "", "")
	if _, ok := s.num("limit", ""); ok {
		of = s.part("of limit", "limit", "", "")
	}
	ooms := ""
	if n, ok := s.num("oom_kills", ""); ok && n > 0 {
		ooms = short(n) + " OOM kills"
	}
	mem := line{
		id: "mem", name: "mem", value: s.say("used", ""), level: s.level("", names...), trend: s.trend("used", ""), top: 100,
		note: join(s.limits("", "used", names...), ooms, strings.TrimSpace(s.bare("avail", "available", "", "")+" "+of)),
	}
	names = []string{"swap_used", "swap_in", "swap_out"}
	swap := line{
		id: "swap", name: "swap", value: s.say("swap_used", ""), level: s.level("", names...), trend: s.trend("swap_used", ""), top: 100, rank: 9,
		note: join(s.limits("", "swap_used", names...), s.part("of", "swap_total", "", ""), s.part("in", "swap_in", "", " /s"), s.part("out", "swap_out", "", " /s")),
	}
	if n, ok := s.num("swap_total", ""); ok && n == 0 {
		swap.value, swap.note, swap.trend = "none", "", nil
	}
	return []line{mem, swap}
}

// psiNames are the facts of sys.psi, the most serious first.
var psiNames = [][2]string{{"io_full", "io full"}, {"mem_full", "mem full"}, {"cpu_some", "cpu some"}, {"io_some", "io some"}, {"mem_some", "mem some"}}

// psiLines is one line: the share of time that something waited, the worst of
// what is over its limit, else the highest full stop.
func psiLines(s source) []line {
	headline := psiNames[0]
	for _, p := range psiNames[1:3] {
		if higher(s, p[0], headline[0]) {
			headline = p
		}
	}
	if b, ok := worstBreach(s.facts.Why); ok {
		for _, p := range psiNames {
			switch b.Fact {
			case p[0]:
				headline = p
			case p[0] + "_60":
				headline = [2]string{b.Fact, p[1] + " over 60 s"}
			}
		}
	}
	var rest []string
	for _, p := range psiNames {
		if p[0] != strings.TrimSuffix(headline[0], "_60") {
			rest = append(rest, s.part(p[1], p[0], "", ""))
		}
	}
	var names []string
	for _, p := range psiNames {
		names = append(names, p[0], p[0]+"_60")
	}
	return []line{{
		id: "psi", name: "psi", value: s.say(headline[0], ""), level: s.level("", names...), trend: s.trend(headline[0], ""), top: 100,
		note: join(strings.TrimSpace(headline[1]+" "+s.limits("", headline[0], names...)), join(rest...)),
	}}
}

func higher(s source, a, b string) bool {
	x, _ := s.num(a, "")
	y, _ := s.num(b, "")
	return x > y
}

func worstBreach(list []checks.Breach) (checks.Breach, bool) {
	var worst checks.Breach
	for i, b := range list {
		if i == 0 || b.Level.Worse(worst.Level) {
			worst = b
		}
	}
	return worst, len(list) > 0
}

// labelled makes a line per label, the worst first, then the highest of the
// fact by; at most most of them, and one that says how many are left out.
func labelled(s source, by string, most int, make func(label string) line) []line {
	var lines []line
	size := map[string]float64{}
	for _, label := range s.labels(by) {
		at := make(label)
		size[at.id], _ = s.num(by, label)
		lines = append(lines, at)
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(urgency(a.level)-urgency(b.level), cmp.Compare(size[b.id], size[a.id]))
	})
	for i := range lines {
		if i > 0 && lines[i].level == checks.OK {
			lines[i].rank = 10 + i
		}
	}
	if len(lines) <= most+1 {
		return lines
	}
	left := lines[most:]
	more := line{id: left[0].check + by + " more", level: checks.OK, note: "and " + strconv.Itoa(len(left)) + " more, at most " + left[0].value, rank: 30}
	if left[0].level != checks.OK {
		more.level, more.note = left[0].level, "and "+strconv.Itoa(len(left))+" more, not all well"
	}
	return append(lines[:most:most], more)
}

func diskLines(s source) []line {
	return labelled(s, "used", mostMounts, func(mount string) line {
		names := []string{"used", "inodes", "free", "free_growth", "read_only", "answered", "full_in"}
		at := line{id: "disk " + mount, name: mount, value: s.say("used", mount), level: s.level(mount, names...), trend: s.trend("used", mount), top: 100}
		state := ""
		switch {
		case s.is("read_only", mount):
			state = "READ-ONLY"
		case s.say("answered", mount) == "false":
			state, at.value = "does not answer", "?"
		}
		inodes := ""
		if n, ok := s.num("inodes", mount); ok && n >= 50 {
			inodes = "inodes " + percent(n)
		}
		free := strings.TrimSpace(s.bare("", "free", mount, " free") + " " + s.bare("of", "total", mount, ""))
		at.note = join(state, s.limits(mount, "used", names...), free, s.part("full in", "full_in", mount, ""), inodes)
		return at
	})
}

func diskioLines(s source) []line {
	return labelled(s, "busy", mostDevices, func(device string) line {
		names := []string{"busy", "latency", "queue", "read", "written"}
		return line{
			id: "io " + device, name: device, value: s.say("busy", device), level: s.level(device, names...), trend: s.trend("busy", device), top: 100,
			note: join(s.limits(device, "busy", names...), s.part("", "latency", device, "/op"), s.part("queue", "queue", device, ""),
				s.part("r", "read", device, "/s"), s.part("w", "written", device, "/s")),
		}
	})
}

func netLines(s source) []line {
	lines := labelled(s, "in", mostInterfaces, func(device string) line {
		names := []string{"in", "out", "errors", "drops"}
		in, _ := s.num("in", device)
		out, _ := s.num("out", device)
		return line{
			id: "net " + device, name: device, value: fact.FormatBytes(in+out) + "/s", level: s.level(device, names...), trend: s.trend("in", device),
			note: join(s.limits(device, "", names...), s.part("in", "in", device, "/s"), s.part("out", "out", device, "/s"),
				s.part("err", "errors", device, ""), s.part("drop", "drops", device, " /s")),
		}
	})
	if _, ok := s.facts.Fact("established", ""); !ok {
		return lines
	}
	names := []string{"established", "retransmits", "listen_drops"}
	return append(lines, line{
		id: "tcp", name: "tcp", value: s.say("established", ""), level: s.level("", names...), trend: s.trend("established", ""), rank: 10,
		note: join(s.limits("", "established", names...), "established", s.part("retransmits", "retransmits", "", ""), s.part("listen drops", "listen_drops", "", " /s")),
	})
}

func uptimeLines(s source) []line {
	names := []string{"up", "booted", "reboot_required", "kernel"}
	reboot := ""
	if s.is("reboot_required", "") {
		reboot = "reboot required"
	}
	return []line{{id: "up", name: "up", value: s.say("up", ""), level: s.level("", names...), note: join(s.limits("", "up", names...), reboot, s.part("kernel", "kernel", "", ""))}}
}
