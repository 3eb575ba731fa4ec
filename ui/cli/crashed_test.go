package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/ui/screen"
)

// faulty is a site and the program with its crash points.
type faulty struct {
	t          *testing.T
	bin, dir   string
	site, logs string
}

func newFaulty(t *testing.T) faulty {
	t.Helper()
	bin, err := crashing()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := faulty{t, bin, dir, smallSite(t), filepath.Join(dir, "lms", "opsdeck.log")}
	if err := os.Mkdir(filepath.Join(dir, "lms"), 0o700); err != nil {
		t.Fatal(err)
	}
	return f
}

// args are the arguments of the program on the site.
func (f faulty) args(args ...string) []string {
	return append([]string{"--site", f.site, "--state", f.dir}, args...)
}

// run runs a command with a fault: OPSDECK_PANIC_AT=point or OPSDECK_FATAL_AT=point.
// It may leave core files, of any size, in the site's folder.
func (f faulty) run(fault string, args ...string) (said string, ended syscall.WaitStatus) {
	f.t.Helper()
	shell := `ulimit -Sc "$(ulimit -Hc)"; exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", shell, "sh", f.bin}, f.args(args...)...)...)
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), fault)
	out, _ := cmd.CombinedOutput() //nolint:errcheck // how it ended is looked at
	return string(out), cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// touch has a process of the site read its file again.
func (f faulty) touch() {
	f.t.Helper()
	if err := os.WriteFile(f.site, []byte("schema: 1\nsite: lms\n# edited\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f faulty) log() string {
	text, err := os.ReadFile(f.logs)
	if err != nil {
		f.t.Error(err)
	}
	return string(text)
}

// TestAPanicExitsWith70: 2, which is Go's own, would say that a check is crit.
func TestAPanicExitsWith70(t *testing.T) {
	for point, logged := range map[string]bool{"main": false, "opened": true, "check": true} {
		t.Run(point, func(t *testing.T) {
			f := newFaulty(t)
			if err := os.WriteFile(f.logs, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			said, ended := f.run("OPSDECK_PANIC_AT="+point, "triage")
			if ended.ExitStatus() != 70 {
				t.Errorf("exit %d: %s", ended.ExitStatus(), said)
			}
			if !strings.Contains(said, "error: internal error: ") || !strings.Contains(said, "at "+point) || strings.Contains(said, "\x1b") {
				t.Errorf("it says %q", said)
			}
			trace := said
			if logged {
				trace = f.log()
				if !strings.Contains(said, "the trace is in "+f.logs) || strings.Contains(said, "goroutine ") {
					t.Errorf("it says %q", said)
				}
			}
			if !strings.Contains(trace, "goroutine ") || !strings.Contains(trace, "crash.Point") {
				t.Errorf("the trace is %.400q", trace)
			}
		})
	}
}

// TestACrashThatCannotBeRecoveredEndsBySIGABRT, and leaves no core file, which
// would hold the secrets of the site.
func TestACrashThatCannotBeRecoveredEndsBySIGABRT(t *testing.T) {
	for point, logged := range map[string]bool{"main": false, "opened": true, "check": true} {
		t.Run(point, func(t *testing.T) {
			f := newFaulty(t)
			if err := os.WriteFile(f.logs, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			said, ended := f.run("OPSDECK_FATAL_AT="+point, "triage")
			if !ended.Signaled() || ended.Signal() != syscall.SIGABRT || ended.CoreDump() {
				t.Errorf("it ended with %v, core file: %v", ended, ended.CoreDump())
			}
			if !strings.Contains(said, "fatal error: sync: unlock of unlocked mutex") {
				t.Errorf("it says %.400q", said)
			}
			trace := said
			if logged {
				trace = f.log()
			}
			if !strings.Contains(trace, "goroutine ") || !strings.Contains(trace, "crash.Point(") {
				t.Errorf("the trace is %.400q", trace)
			}
		})
	}
}

// TestSIGQUITIsNotTakenForCrit: the runtime answers it with every trace, and used
// to exit with 2. It is the product that is sent it.
func TestSIGQUITIsNotTakenForCrit(t *testing.T) {
	f := newFaulty(t)
	cmd := exec.Command(built(t), f.args("supervise")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it serves", func() bool { return exists(filepath.Join(f.dir, "lms", "supervisor.sock")) })
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // how it ended is looked at
	if ended := cmd.ProcessState.Sys().(syscall.WaitStatus); !ended.Signaled() || ended.Signal() != syscall.SIGABRT {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if log := f.log(); !strings.Contains(log, "goroutine ") {
		t.Errorf("the log has %.400q", log)
	}
}

func TestTheSupervisorExitsWith70OnAPanic(t *testing.T) {
	f := newFaulty(t)
	cmd := exec.Command(f.bin, f.args("supervise")...)
	cmd.Env = append(os.Environ(), "OPSDECK_PANIC_AT=supervisor-reload")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it serves", func() bool { return exists(filepath.Join(f.dir, "lms", "supervisor.sock")) })
	f.touch()
	if err := cmd.Wait(); err == nil || exitOf(err) != "70" {
		t.Errorf("it ended with %v", err)
	}
	if log := f.log(); !strings.Contains(log, "panic: \"fault") || !strings.Contains(log, "follow") {
		t.Errorf("the log has %q", log)
	}
}

// TestAPanicBehindTheDeckRestoresTheTerminal: in a goroutine that neither draws
// nor reads keys.
func TestAPanicBehindTheDeckRestoresTheTerminal(t *testing.T) {
	f := newFaulty(t)
	term := screen.Start(t, 100, 30, []string{"OPSDECK_PANIC_AT=deck-reload"}, append([]string{f.bin}, f.args()...)...)
	term.WaitFor("WORST FIRST")
	f.touch()
	if code := term.Wait(); code != 70 {
		t.Errorf("exit code %d", code)
	}
	if left := screen.Modes(term.Raw()); len(left) > 0 {
		t.Errorf("left on: %v", left)
	}
	if shown := term.Screen(); !strings.Contains(shown, "error: internal error") {
		t.Errorf("the terminal shows:\n%s", shown)
	}
	if log := f.log(); !strings.Contains(log, "panic: \"fault") {
		t.Errorf("the log has %q", log)
	}
}

func TestTheProductHasNoCrashPoints(t *testing.T) {
	out, err := exec.Command(built(t), "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, variable := range []string{"OPSDECK_PANIC_AT", "OPSDECK_FATAL_AT", "OPSDECK_CRASH_AT"} {
		cmd := exec.Command(built(t), "--version")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=main", variable))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", variable, err, out)
		}
	}
}
