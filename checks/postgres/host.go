package postgres

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Host finds out what can be known of a server on this host without asking it
// anything: its processes, which name their user, database and what they do,
// its sockets, its disks and the end of its log. It is for the minutes in
// which no session can be had.
var Host = module(checks.Module{
	Name: "pg.host",
	Doc:  "Tells what can be known of a server on this host without SQL: processes, sockets, disks and the end of its log",
	Params: []checks.Param{
		{Name: "lines", Type: checks.NumberParam, Default: 50, Doc: "lines of the end of its log, 0 to 200", Check: checkLogLines},
	},
	Facts: []fact.Spec{
		{Name: "postmaster", Type: fact.Bool, Doc: "a process of a PostgreSQL server runs on this host", Worse: fact.Lower},
		{Name: "listening", Type: fact.Bool, Doc: "something listens at the connection's port or socket", Worse: fact.Lower},
		{Name: "processes", Type: fact.Count, Doc: "processes of the server"},
		{Name: "clients", Type: fact.Count, Unit: "processes", Doc: "those of them that serve a client", Worse: fact.Higher},
		{Name: "blocked", Type: fact.Count, Unit: "processes", Doc: "those of them that wait for a disk and cannot be interrupted", Worse: fact.Higher},
		{Name: "waiting", Type: fact.Count, Unit: "processes", Doc: "those whose title says that they wait for a lock", Worse: fact.Higher},
		{Name: "up", Type: fact.Duration, Optional: true, Doc: "since the first of its processes began"},
		{Name: "sockets", Type: fact.Count, Label: "state", Optional: true, Doc: "sockets at its port or path, by state"},
		{Name: "used", Type: fact.Percent, Label: "folder", Optional: true, Doc: "space in use where its data and its WAL are", Worse: fact.Higher},
		{Name: "free", Type: fact.Bytes, Label: "folder", Optional: true, Doc: "space left there", Worse: fact.Lower},
	},
	Warn: "used > 80% or blocked > 3", Fail: "postmaster == false or listening == false or used > 90%", Source: "disk: guide; the rest: proposed",
	Every: 5 * time.Second, Timeout: 5 * time.Second,
	Example: "use: pg.host\nwith: {lines: 20}",
	Run:     lookAtHost,
})

const mostLogLines = 200

func checkLogLines(v any) error {
	if n := v.(float64); n < 0 || n > mostLogLines {
		return fmt.Errorf("0 to %d lines", mostLogLines)
	}
	return nil
}

func lookAtHost(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	host, port := s.config.Host, int(s.config.Port)
	if !onThisHost(host) {
		return checks.Findings{Target: s.Target()}, checks.NotHere{What: "the server is on another host, " + host + ": look at it from there"}
	}
	if env.Root == "" {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	at := lookout{root: env.Root, now: env.Now()}
	found, err := at.processes(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	found, which := at.ofServer(found, host, port)
	sockets, err := at.sockets(host, port)
	if err != nil {
		return checks.Findings{}, err
	}
	if len(found) == 0 && sockets["listening"] > 0 {
		return checks.Findings{Target: s.Target()}, checks.NotHere{What: "what listens there is no PostgreSQL of this host: a tunnel, a proxy or a container"}
	}
	f := checks.Findings{Target: s.Target(), Detail: which, Tables: []checks.Table{processTable(found)}}
	f.Facts = append(processFacts(found), fact.Flag("listening", sockets["listening"] > 0))
	for _, state := range socketStates {
		if n, ok := sockets[state]; ok {
			f.Facts = append(f.Facts, fact.Number("sockets", n).On(state))
		}
	}
	f.Facts = append(f.Facts, at.disks(found, &f)...)
	f.Note = fmt.Sprintf("%d processes, %d clients", len(found), count(found, serverProcess.client))
	if len(found) == 0 {
		f.Note = "no process of it runs on this host"
	}
	if n := args.Int("lines"); n > 0 {
		f.Tables = append(f.Tables, checks.Table{Name: "log", Columns: []checks.Column{{Name: "line", Type: fact.Text}}, Rows: at.logEnd(env, n, &f)})
	}
	return f, nil
}

// onThisHost reports whether a connection's host is a socket or the loopback.
func onThisHost(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || host == "" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func count(all []serverProcess, is func(serverProcess) bool) (n int) {
	for _, p := range all {
		if is(p) {
			n++
		}
	}
	return n
}

func processFacts(all []serverProcess) []fact.Fact {
	facts := []fact.Fact{
		fact.Flag("postmaster", len(all) > 0), fact.Number("processes", len(all)),
		fact.Number("clients", count(all, serverProcess.client)),
		fact.Number("blocked", count(all, func(p serverProcess) bool { return p.State == "D" })),
		fact.Number("waiting", count(all, func(p serverProcess) bool { return p.client() && strings.HasSuffix(p.Title, " waiting") })),
	}
	var longest time.Duration
	for _, p := range all {
		longest = max(longest, p.Age)
	}
	if longest > 0 {
		facts = append(facts, fact.Dur("up", longest))
	}
	return facts
}

func processTable(all []serverProcess) checks.Table {
	t := checks.Table{Name: "processes", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "state", Type: fact.Text}, {Name: "age", Type: fact.Duration}, {Name: "rss", Type: fact.Bytes}, {Name: "title", Type: fact.Text},
	}}
	for _, p := range all {
		t.Rows = append(t.Rows, []fact.Value{fact.NumberValue(p.PID), word(p.State), fact.DurValue(p.Age), fact.SizeValue(p.RSS), word(p.Title)})
	}
	return t
}

// disks are those of the data directory and of its pg_wal, as far as a process
// names the directory and we may look into it.
func (l lookout) disks(all []serverProcess, f *checks.Findings) []fact.Fact {
	var facts []fact.Fact
	seen := map[string]bool{}
	for _, p := range all {
		if p.Data == "" || seen[p.Data] {
			continue
		}
		seen[p.Data] = true
		for _, dir := range []string{p.Data, filepath.Join(p.Data, "pg_wal")} {
			var st unix.Statfs_t
			if err := unix.Statfs(filepath.Join(l.root, dir), &st); err != nil || st.Blocks == 0 {
				f.Detail = append(f.Detail, fmt.Sprintf("the disk of %s cannot be looked at: %v", dir, err))
				continue
			}
			used := float64(st.Blocks-st.Bfree) * 100 / max(1, float64(st.Blocks-st.Bfree)+float64(st.Bavail))
			facts = append(facts, fact.Pct("used", used).On(dir), fact.Size("free", float64(st.Bavail)*float64(st.Bsize)).On(dir))
		}
	}
	return facts
}
