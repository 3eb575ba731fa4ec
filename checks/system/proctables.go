package system

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Bounds on what is read of a process that is shown, and of the password file.
const (
	maxCommand = 512
	maxZombies = 20
)

// tables makes the tables of one run. Users and commands are read for rows
// that are shown, once each.
type tables struct {
	host     host
	all      []process
	cpu      map[int]float64
	memory   uint64
	users    map[string]string // uid to name
	resolved map[int]shown
}

// shown is what a row needs beyond /proc/PID/stat.
type shown struct{ user, command string }

func (h host) newTables(s span[[]process], memory uint64) *tables {
	return &tables{host: h, all: s.after.values, cpu: processorTime(s), memory: memory, resolved: map[int]shown{}}
}

var processColumns = []checks.Column{
	{Name: "pid", Type: fact.Count}, {Name: "user", Type: fact.Text}, {Name: "cpu", Type: fact.Percent}, {Name: "mem", Type: fact.Percent},
	{Name: "rss", Type: fact.Bytes}, {Name: "state", Type: fact.Text}, {Name: "command", Type: fact.Text},
}

// top is the first n by the order. cpu is in percent of one core.
func (t *tables) top(name string, n int, order func(a, b process) int) checks.Table {
	table := checks.Table{Name: name, Columns: processColumns}
	for _, p := range sortedBy(t.all, order, n) {
		row := t.shown(p)
		rss := p.rss * uint64(os.Getpagesize())
		table.Rows = append(table.Rows, []fact.Value{
			fact.NumberValue(p.pid), fact.WordValue(row.user), fact.PctValue(tidy(t.cpu[p.pid])),
			fact.PctValue(tidy(share(float64(rss), float64(t.memory)))), fact.SizeValue(rss),
			fact.WordValue(string(p.state)), fact.WordValue(row.command),
		})
	}
	return table
}

// zombies names the parent, which is the one to restart: a zombie itself
// cannot be killed.
func (t *tables) zombies() checks.Table {
	table := checks.Table{Name: "zombies", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "parent", Type: fact.Text}, {Name: "command", Type: fact.Text},
	}}
	for _, p := range t.all {
		if p.state != 'Z' || len(table.Rows) == maxZombies {
			continue
		}
		parent := strconv.Itoa(p.parent)
		if found, ok := byPID(t.all, p.parent); ok {
			parent = fmt.Sprintf("%s (%d)", found.name, p.parent)
		}
		table.Rows = append(table.Rows, []fact.Value{fact.NumberValue(p.pid), fact.WordValue(parent), fact.WordValue(p.name)})
	}
	return table
}

// shown reads user and command of a process. One that ended, or that hides its
// command, keeps its name in brackets, as ps writes it.
func (t *tables) shown(p process) shown {
	if known, ok := t.resolved[p.pid]; ok {
		return known
	}
	dir := "proc/" + strconv.Itoa(p.pid)
	row := shown{user: "?", command: "[" + p.name + "]"}
	if status, err := t.host.start(dir+"/status", 4096); err == nil {
		if uid, ok := parseUID(string(status)); ok {
			row.user = t.user(uid)
		}
	}
	if line, err := t.host.start(dir+"/cmdline", maxCommand); err == nil {
		line = bytes.TrimSpace(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		if len(line) > 0 {
			row.command = string(line)
		}
	}
	t.resolved[p.pid] = row
	return row
}

// start is the first n bytes of a file, which the caller shows as a part.
func (h host) start(name string, n int64) ([]byte, error) {
	head, err := hostfs.Head(h.path(name), n)
	return head.Bytes, err
}

// parseUID finds the real user in /proc/PID/status.
func parseUID(status string) (string, bool) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return "", false
			}
			_, err := strconv.ParseUint(fields[0], 10, 32)
			return fields[0], err == nil
		}
	}
	return "", false
}

// user is the name of a uid in the host's password file, or the number itself:
// a name from elsewhere (LDAP) would need a call that can hang.
func (t *tables) user(uid string) string {
	if t.users == nil {
		t.users = map[string]string{}
		if content, err := t.host.read("etc/passwd"); err == nil {
			t.users = parsePasswd(string(content))
		}
	}
	if name, ok := t.users[uid]; ok {
		return name
	}
	return uid
}

func parsePasswd(content string) map[string]string {
	users := map[string]string{}
	for line := range strings.Lines(content) {
		fields := strings.Split(line, ":")
		if len(fields) < 3 {
			continue
		}
		if _, known := users[fields[2]]; !known {
			users[fields[2]] = fields[0]
		}
	}
	return users
}
