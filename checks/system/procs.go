package system

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Procs counts processes and names the greediest. It reads one short file of
// each process, and more only of those it shows; never the environment.
var Procs = module(checks.Module{
	Name: "sys.procs",
	Doc:  "Counts processes, zombies and blocked ones, open files and tasks against the system's limits, and names the greediest",
	Params: []checks.Param{
		{Name: "top", Type: checks.NumberParam, Default: 10, Check: checkTop, Doc: "rows of each table"},
		sampleParam,
	},
	Facts: []fact.Spec{
		{Name: "total", Type: fact.Count, Unit: "processes", Doc: "processes that are seen from here", Worse: fact.Higher},
		{Name: "running", Type: fact.Count, Unit: "processes", Doc: "processes running or ready to run"},
		{Name: "zombies", Type: fact.Count, Unit: "processes", Doc: "processes that ended and whose parent did not ask how", Worse: fact.Higher},
		{Name: "blocked", Type: fact.Count, Unit: "processes", Doc: "processes that wait for a disk or a network file system and cannot be interrupted", Worse: fact.Higher},
		{Name: "files", Type: fact.Percent, Doc: "open files, of the system's limit", Worse: fact.Higher},
		{Name: "pids", Type: fact.Percent, Doc: "processes and threads, of the system's limit", Worse: fact.Higher},
	},
	Warn:    "zombies > 10 or files > 70% or pids > 80%",
	Fail:    "files > 90% or pids > 95%",
	Source:  "files: node_exporter mixin; pids: Netdata; the rest: proposed",
	Least:   leastData,
	Window:  mostSpan,
	Every:   5 * time.Second,
	Example: "use: sys.procs\nwith: {top: 5}\nwarn: zombies > 10",
	Run:     procs,
})

func checkTop(value any) error {
	if n, ok := value.(float64); ok && (n < 0 || n > 100) {
		return checks.Failed(checks.Limit, "a table has 0 to 100 rows")
	}
	return nil
}

func procs(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := twice(ctx, env, args, "procs", func() ([]process, error) { return h.processes(ctx) })
	if err != nil {
		return checks.Findings{}, err
	}
	memory, err := h.meminfo(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	files, err := h.openFiles()
	if err != nil {
		return checks.Findings{}, err
	}
	pids, err := h.taskShare()
	if err != nil {
		return checks.Findings{}, err
	}
	f := countProcesses(s.after.values)
	f.Over = s.over()
	f.Facts = append(f.Facts, fact.Pct("files", tidy(files)), fact.Pct("pids", tidy(pids)))
	t := h.newTables(s, memory.Total)
	top := args.Int("top")
	f.Tables = []checks.Table{
		t.top("top_cpu", top, func(a, b process) int { return cmp.Compare(t.cpu[b.pid], t.cpu[a.pid]) }),
		t.top("top_mem", top, func(a, b process) int { return cmp.Compare(b.rss, a.rss) }),
		t.zombies(),
	}
	return f, nil
}

func countProcesses(all []process) checks.Findings {
	var running, zombies, blocked int
	for _, p := range all {
		switch p.state {
		case 'R':
			running++
		case 'Z':
			zombies++
		case 'D':
			blocked++
		}
	}
	note := []string{fmt.Sprintf("%d processes", len(all))}
	if zombies > 0 {
		note = append(note, fmt.Sprintf("%d zombies", zombies))
	}
	if blocked > 0 {
		note = append(note, fmt.Sprintf("%d blocked", blocked))
	}
	return checks.Findings{
		Note: strings.Join(note, ", "),
		Facts: []fact.Fact{
			fact.Number("total", len(all)), fact.Number("running", running),
			fact.Number("zombies", zombies), fact.Number("blocked", blocked),
		},
	}
}

// openFiles is the share of the system's limit of open files.
func (h host) openFiles() (float64, error) {
	const name = "proc/sys/fs/file-nr"
	content, err := h.read(name)
	if err != nil {
		return 0, err
	}
	return parseFileNr(name, string(content))
}

// parseFileNr reads allocated, free and the limit.
func parseFileNr(name, content string) (float64, error) {
	fields := strings.Fields(content)
	if len(fields) != 3 {
		return 0, malformed(name, "%q is not three numbers", short(content))
	}
	var n [3]uint64
	for i := range n {
		v, ok := wholeNumber[uint64](fields[i])
		if !ok {
			return 0, malformed(name, "%q is not a number", short(fields[i]))
		}
		n[i] = v
	}
	if n[2] == 0 {
		return 0, malformed(name, "a limit of 0")
	}
	return share(float64(n[0]-min(n[1], n[0])), float64(n[2])), nil
}

// taskShare is the share of the tasks that can exist: each takes a number
// below pid_max, and there are at most threads-max.
func (h host) taskShare() (float64, error) {
	now, err := h.loadavg()
	if err != nil {
		return 0, err
	}
	var limits [2]uint64
	for i, name := range []string{"proc/sys/kernel/pid_max", "proc/sys/kernel/threads-max"} {
		n, limited, err := h.number(name)
		if err != nil {
			return 0, err
		}
		if !limited || n == 0 {
			return 0, malformed(name, "no limit in it")
		}
		limits[i] = n
	}
	return share(float64(now.tasks), float64(min(limits[0], limits[1]))), nil
}

// byPID finds a process in a list sorted by pid.
func byPID(all []process, pid int) (process, bool) {
	i, found := slices.BinarySearchFunc(all, pid, func(p process, pid int) int { return cmp.Compare(p.pid, pid) })
	if !found {
		return process{}, false
	}
	return all[i], true
}
