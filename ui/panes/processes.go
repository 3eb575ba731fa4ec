package panes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func procLines(s source) []line {
	names := []string{"total", "running", "zombies", "blocked", "files", "pids"}
	lines := []line{{
		id: "procs", name: "procs", value: s.say("total", ""), level: s.level("", names...), trend: s.trend("total", ""),
		note: join(s.limits("", "total", names...), s.part("zombies", "zombies", "", ""), s.part("fd", "files", "", ""), s.part("pids", "pids", "", ""),
			s.part("run", "running", "", ""), s.part("D", "blocked", "", "")),
	}}
	for _, top := range [][3]string{{"top_cpu", "top cpu", "cpu"}, {"top_mem", "top mem", "mem"}} {
		t, _ := s.facts.Table(top[0])
		for i, row := range t.Rows[:min(mostProcesses, len(t.Rows))] {
			cell := cells(t, row)
			lines = append(lines, line{
				id: top[0] + strconv.Itoa(i), name: top[1], value: percent(cell(top[2]).Num), level: checks.OK, rank: 20 + i,
				note: join(program(cell("command").String()), "pid "+cell("pid").String(), cell("user").String(), cell("rss").String(), sleeping(cell("state").String())),
			})
		}
	}
	return lines
}

// program is a command line without the directory of the program.
func program(command string) string {
	path, args, _ := strings.Cut(command, " ")
	return strings.TrimSpace(path[strings.LastIndexByte(path, '/')+1:] + " " + args)
}

// sleeping leaves out the state that says nothing.
func sleeping(state string) string {
	if state == "S" || state == "sleep" || state == "sleeping" {
		return ""
	}
	return state
}

// cells reads a row of a table by the names of its columns; an absent one is
// an empty text.
func cells(t checks.Table, row []fact.Value) func(name string) fact.Value {
	return func(name string) fact.Value {
		i := slices.IndexFunc(t.Columns, func(c checks.Column) bool { return c.Name == name })
		if i < 0 || i >= len(row) {
			return fact.WordValue("")
		}
		return row[i]
	}
}
