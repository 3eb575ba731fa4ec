package command_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// TestACommandMayLeaveACoreFileThoughOpsdeckMayNot: the limit that opsdeck was
// started with is for its commands, not for what holds the site's secrets.
func TestACommandMayLeaveACoreFileThoughOpsdeckMayNot(t *testing.T) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &was); err != nil {
		t.Fatal(err)
	}
	const some = 64 << 10
	if was.Max < some {
		t.Skip("the hard limit of core files is too low here")
	}
	defer syscall.Setrlimit(syscall.RLIMIT_CORE, &was)
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: some, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	crash.Begin()
	out, err := command.NewExec()(t.Context(), checks.Call{Argv: []string{"cat", "/proc/self/limits"}})
	if err != nil {
		t.Fatal(err)
	}
	_, limit, _ := strings.Cut(string(out.Stdout), "Max core file size")
	if fields := strings.Fields(limit); len(fields) == 0 || fields[0] != "65536" {
		t.Errorf("the command has the limits\n%s", out.Stdout)
	}
	var mine syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &mine); err != nil || mine.Cur != 0 {
		t.Errorf("opsdeck itself has %d, %v", mine.Cur, err)
	}
}
