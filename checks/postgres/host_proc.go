package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A lookout reads a host's /proc and logs. Everything it reads is small, local
// and bounded.
type lookout struct {
	root string
	now  time.Time
}

// Bounds of what is read.
const (
	mostTitle = 1 << 10  // of a process
	mostTable = 16 << 20 // of /proc/net
)

// A serverProcess is a process of a PostgreSQL server.
type serverProcess struct {
	PID, Parent int
	State       string // R running, S sleeping, D blocked by a disk
	Age         time.Duration
	RSS         int64
	Title       string // what it says that it does, without "postgres: "
	Data        string // of a postmaster that names it: the data directory
}

// client: a process that serves a client says where that is connected from:
// "lms advanced_lms 10.0.0.7(51234) idle in transaction", or "[local]".
func (p serverProcess) client() bool {
	if strings.HasPrefix(p.Title, "postmaster: ") {
		return false
	}
	for _, w := range strings.Fields(p.Title) {
		if w == "[local]" || strings.HasSuffix(w, ")") && strings.Contains(w, "(") {
			return true
		}
	}
	return false
}

// processes are those that call themselves postgres, postmasters first.
func (l lookout) processes(ctx context.Context) ([]serverProcess, error) {
	proc := filepath.Join(l.root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	boot, err := l.booted()
	if err != nil {
		return nil, err
	}
	var all []serverProcess
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p, ok := l.process(filepath.Join(proc, e.Name()), pid, boot); ok {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b serverProcess) int {
		return strings.Compare(b.Data, a.Data) // those that have a directory come first
	})
	return all, nil
}

// lockFolders are where a server that is reached by TCP keeps its socket.
var lockFolders = []string{"/var/run/postgresql", "/run/postgresql", "/tmp"}

// ofServer keeps the processes of the server at that socket or port: those of
// the postmaster that its lock file names. Only the server's user and root may
// read that file; to others all servers of the host are one, which is said.
func (l lookout) ofServer(all []serverProcess, host string, port int) (kept []serverProcess, detail []string) {
	folders := lockFolders
	if strings.HasPrefix(host, "/") {
		folders = []string{host}
	}
	for _, dir := range folders {
		content, err := readSome(filepath.Join(l.root, dir, ".s.PGSQL."+strconv.Itoa(port)+".lock"), mostTitle)
		lines := strings.Split(string(content), "\n")
		pid, numberErr := strconv.Atoi(strings.TrimSpace(lines[0]))
		if err != nil || numberErr != nil || len(lines) < 2 {
			continue
		}
		for _, p := range all {
			if p.PID == pid {
				p.Data = lines[1]
			}
			if p.PID == pid || p.Parent == pid {
				kept = append(kept, p)
			}
		}
		return kept, nil
	}
	if masters := count(all, func(p serverProcess) bool { return strings.HasPrefix(p.Title, "postmaster: ") }); masters > 1 {
		detail = append(detail, fmt.Sprintf("%d servers run on this host, and which of them serves port %d cannot be told from here: all are counted", masters, port))
	}
	return all, detail
}

// process reads one; a process that ends meanwhile is none of ours.
func (l lookout) process(dir string, pid int, boot time.Time) (serverProcess, bool) {
	stat, err := readSome(filepath.Join(dir, "stat"), mostTitle)
	if err != nil {
		return serverProcess{}, false
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return serverProcess{}, false
	}
	name := string(stat[open+1 : end])
	fields := strings.Fields(string(stat[end+1:]))
	if name != "postgres" && name != "postmaster" || len(fields) < 22 {
		return serverProcess{}, false
	}
	p := serverProcess{PID: pid, State: fields[0]}
	p.Parent, _ = strconv.Atoi(fields[1]) //nolint:errcheck // the kernel writes numbers
	ticks, _ := strconv.ParseInt(fields[19], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.Age = max(0, l.now.Sub(boot.Add(time.Duration(ticks)*10*time.Millisecond)))
	p.RSS = pages * int64(os.Getpagesize())
	line, err := readSome(filepath.Join(dir, "cmdline"), mostTitle)
	if err != nil {
		return serverProcess{}, false
	}
	p.describe(line)
	return p, true
}

// describe reads a command line: a backend has rewritten its own, a postmaster
// has the arguments it was started with.
func (p *serverProcess) describe(line []byte) {
	args := strings.Split(strings.TrimRight(string(line), "\x00 "), "\x00")
	if title, ok := strings.CutPrefix(args[0], "postgres: "); ok {
		p.Title = strings.TrimSpace(title)
		return
	}
	p.Title = "postmaster: " + strings.Join(args, " ")
	for i, arg := range args {
		if arg == "-D" && i+1 < len(args) {
			p.Data = args[i+1]
		} else if dir, ok := strings.CutPrefix(arg, "-D"); ok && dir != "" {
			p.Data = dir
		}
	}
}

// booted is when the host was.
func (l lookout) booted() (time.Time, error) {
	content, err := readSome(filepath.Join(l.root, "proc/uptime"), 100)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the host's uptime: %w", err)
	}
	words := strings.Fields(string(content))
	if len(words) == 0 {
		return time.Time{}, checks.Failed(checks.Parse, "proc/uptime is empty")
	}
	up, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return time.Time{}, checks.Failed(checks.Parse, "proc/uptime: %q is no number", words[0])
	}
	return l.now.Add(-time.Duration(up * float64(time.Second))), nil
}

// readSome reads at most so many bytes of a file of /proc, of which what counts
// stands at the beginning.
func readSome(path string, most int64) ([]byte, error) {
	head, err := hostfs.Head(path, most)
	return head.Bytes, err
}
