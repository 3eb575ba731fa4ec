package system

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
)

func zombies(n int) func(tree) {
	return func(tr tree) {
		for pid := 500; pid < 500+n; pid++ {
			tr.write(fmt.Sprintf("proc/%d/stat", pid), fmt.Sprintf("%d (sh) Z 400 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 950 0 0 0\n", pid))
		}
	}
}

func TestProcs(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", unchanged, checks.OK, ""},
		{"zombies", zombies(10), checks.Warn, "zombies"},
		{"ten zombies pass", zombies(9), checks.OK, ""},
		{"open files", func(tr tree) { tr.write("proc/sys/fs/file-nr", "75000\t0\t100000\n") }, checks.Warn, "files"},
		{"out of open files", func(tr tree) { tr.write("proc/sys/fs/file-nr", "99000\t0\t100000\n") }, checks.Crit, "files"},
		{"tasks", func(tr tree) { tr.write("proc/loadavg", "0 0 0 4/27000 1\n") }, checks.Warn, "pids"},
		{"out of tasks", func(tr tree) { tr.write("proc/loadavg", "0 0 0 4/32000 1\n") }, checks.Crit, "pids"},
		{"the lower of two limits", func(tr tree) {
			tr.write("proc/loadavg", "0 0 0 4/1000 1\n")
			tr.write("proc/sys/kernel/threads-max", "1010\n")
		}, checks.Crit, "pids"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, after(t, Procs, nil, tt.change), tt.level, tt.because) })
	}
}

func rows(t *testing.T, res checks.Result, name string) []string {
	t.Helper()
	table, ok := res.Table(name)
	if !ok {
		t.Fatalf("no table %s: %s", name, res.Err)
	}
	var lines []string
	for _, row := range table.Rows {
		var cells []string
		for _, v := range row {
			cells = append(cells, v.String())
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return lines
}

func TestTheGreediestAreNamed(t *testing.T) {
	res := after(t, Procs, map[string]any{"top": 2}, func(tr tree) {
		// 20 s of processor time in 50 s; the name holds what ends a name
		tr.replace("proc/400/stat", "5000 1000", "6500 1500")
		tr.replace("proc/1/stat", "100 50", "100 60")
		tr.replace("proc/400/cmdline", "--port", "--password=hunter2")
	})
	want := []string{
		"400|lms|40 %|6.2 %|977 MiB|R|node /srv/lms/server.js --password=hunter2 3000",
		"1|root|0.2 %|0.1 %|11.7 MiB|S|/sbin/init splash",
	}
	if diff := cmp.Diff(want, rows(t, res, "top_cpu")); diff != "" {
		t.Error(diff)
	}
	if got := rows(t, res, "top_mem"); len(got) != 2 || !strings.HasPrefix(got[0], "400|") {
		t.Errorf("by memory: %q", got)
	}
	if diff := cmp.Diff([]string{"401|node (api) worker (400)|sh"}, rows(t, res, "zombies")); diff != "" {
		t.Error(diff)
	}
}

func TestAPIDUsedAgainDoesNotInheritProcessorTime(t *testing.T) {
	res := after(t, Procs, map[string]any{"top": 1}, func(tr tree) {
		tr.write("proc/400/stat", "400 (new) S 1 1 1 0 -1 0 0 0 0 0 30 0 0 0 20 0 1 0 99999 0 10 0\n")
	})
	if got := rows(t, res, "top_cpu")[0]; !strings.HasPrefix(got, "400|lms|0.6 %") {
		t.Errorf("the new process is %s", got)
	}
}

func TestHiddenProcessesAreNotCountedAsNone(t *testing.T) {
	unknown(t, now(t, Procs, nil, func(tr tree) { tr.remove("proc/1") }), checks.Denied)
}

func TestSecretsOfCommandLinesPassTheRedactor(t *testing.T) {
	tr := calm(t)
	tr.replace("proc/400/cmdline", "--port", "--password=hunter2")
	check, _ := checks.NewCheck(Procs, "procs", map[string]any{"sample": "200ms"}, checks.Rules{})
	res := checks.NewRunner(checks.Env{Root: tr.dir}, hiding("hunter2")).Run(t.Context(), check)
	if got := strings.Join(rows(t, res, "top_mem"), "\n"); strings.Contains(got, "hunter2") || !strings.Contains(got, "[redacted]") {
		t.Errorf("the secret is shown: %s", got)
	}
}

type hiding string

func (h hiding) Redact(text string) string { return strings.ReplaceAll(text, string(h), "[redacted]") }

func TestARealZombieIsFoundWithItsParent(t *testing.T) {
	child := exec.Command("/bin/true")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}()
	w := watch(t, checks.Env{Root: "/"}, Procs, map[string]any{"sample": "200ms"})
	want := fmt.Sprint(child.Process.Pid) + "|"
	for range 50 { // until the child has ended; each run takes its sample's time
		for _, row := range rows(t, w.run(), "zombies") {
			if strings.HasPrefix(row, want) {
				return
			}
		}
	}
	t.Error("the zombie is not found")
}
