package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
)

// bound is what "never blocks" means where the grace is short: well below the
// minute that the scripts here would last, well above a slow machine's hiccup.
const bound = 20 * time.Second

// script writes a program. No fork may happen while it is open for writing, or
// the child would hold it and the kernel call it busy.
func script(t *testing.T, body string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "job"), "#!/bin/sh\n"+body+"\n", 0o755)
}

func write(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOutputAndExitCodeComeBack(t *testing.T) {
	t.Parallel()
	var live bytes.Buffer
	job := script(t, `printf 'out %s' "$1"; printf err >&2; exit 3`)
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{job, "a b; $(id)"}, Live: &live})
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Stdout) != "out a b; $(id)" || string(out.Stderr) != "err" || out.Code != 3 || out.Signal != "" || out.Truncated || out.Left != nil {
		t.Errorf("got %+v", out)
	}
	if !strings.Contains(live.String(), "err") || !strings.Contains(live.String(), "out a b") {
		t.Errorf("the live output is %q", live.String())
	}
}

func TestTheEnvironmentIsMadeFromNothing(t *testing.T) {
	t.Setenv("SECRET_OF_OURS", "x")
	t.Setenv("LD_PRELOAD", "")
	out, err := NewExec(Zone(time.UTC))(t.Context(), checks.Call{Argv: []string{"env"}, Env: []string{"MORE=1"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out.Stdout)) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"HOME", "LANG", "MORE", markName, "PATH", "TZ"}; !slices.Equal(names, want) {
		t.Errorf("the command sees %v, want %v", names, want)
	}
}

func TestSurroundingsAreNeutral(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFD, 0); err != nil { // as if we had got it from a shell
		t.Fatal(err)
	}
	job := script(t, `pwd; umask; cat; ls /proc/$$/fd | tr '\n' ' '; ps -o sid=,pgid=,pid=,tty= -p $$`)
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{job}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out.Stdout), "\n")
	if lines[0] != "/" || lines[1] != "0077" {
		t.Errorf("folder and umask are %q", lines[:2])
	}
	words := strings.Fields(lines[2])
	if extra := strconv.Itoa(int(file.Fd())); slices.Contains(words[:len(words)-4], extra) {
		t.Errorf("descriptor %s was inherited: %v", extra, words)
	}
	ids := words[len(words)-4:]
	if ids[0] != ids[2] || ids[1] != ids[2] || ids[3] != "?" {
		t.Errorf("session, group, pid and terminal are %v", ids)
	}
}

func TestInputAndOutputCanBeStreams(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	in := strings.Repeat("x", 3<<20)
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &got})
	if err != nil || got.String() != in || len(out.Stdout) != 0 {
		t.Errorf("%d of %d bytes came through, %d were kept: %v", got.Len(), len(in), len(out.Stdout), err)
	}
	out, err = NewExec()(t.Context(), checks.Call{Argv: []string{"head", "-c1"}, Stdin: strings.NewReader(in)})
	if err != nil || string(out.Stdout) != "x" {
		t.Errorf("a command that does not read all its input: %q, %v", out.Stdout, err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestAWriterThatFailsIsAnErrorAndAListenerThatFailsIsNot(t *testing.T) {
	t.Parallel()
	if _, err := NewExec()(t.Context(), checks.Call{Argv: []string{"echo", "x"}, Stdout: failing{}}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{"echo", "x"}, Live: failing{}})
	if err != nil || string(out.Stdout) != "x\n" {
		t.Errorf("a listener that fails gives %q, %v", out.Stdout, err)
	}
}

// endless reads for ever: nothing comes and it is never closed.
func endless(t *testing.T) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return r
}

func TestInputThatNeverComesDoesNotHoldTheCommand(t *testing.T) {
	t.Parallel()
	began := time.Now()
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{"true"}, Stdin: endless(t)})
	if err != nil || out.Code != 0 || time.Since(began) > bound {
		t.Errorf("%+v, %v after %v", out, err, time.Since(began))
	}
}

type hanging chan struct{}

func (h hanging) Write(b []byte) (int, error) { <-h; return len(b), nil }

func TestAListenerThatHangsDoesNotHoldTheCommand(t *testing.T) {
	t.Parallel()
	hang := make(hanging)
	defer close(hang)
	began := time.Now()
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{"echo", "x"}, Live: hang})
	if err != nil || string(out.Stdout) != "x\n" || time.Since(began) > bound {
		t.Errorf("%q, %v after %v", out.Stdout, err, time.Since(began))
	}
}

func TestTheBeginningAndTheEndOfLongOutputAreKept(t *testing.T) {
	t.Parallel()
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{"seq", "1", "1000000"}})
	if err != nil {
		t.Fatal(err)
	}
	if !out.Truncated || len(out.Stdout) > 2*keep+64 || !bytes.HasPrefix(out.Stdout, []byte("1\n2\n3\n")) ||
		!bytes.HasSuffix(out.Stdout, []byte("999999\n1000000\n")) || !bytes.Contains(out.Stdout, []byte(" bytes left out ...]")) {
		t.Errorf("kept %d bytes, truncated %v", len(out.Stdout), out.Truncated)
	}
}

func TestAFloodIsEndedAtItsBudget(t *testing.T) {
	t.Parallel()
	out, err := NewExec(Grace(time.Second))(t.Context(), checks.Call{Argv: []string{"yes"}, Max: 8 << 20})
	if checks.ClassOf(err) != checks.Limit || out.Signal == "" || !out.Truncated || len(out.Stdout) > 2*keep+64 {
		t.Errorf("code %d, signal %q, kept %d: %v", out.Code, out.Signal, len(out.Stdout), err)
	}
}

func TestACommandThatIgnoresTERMIsKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	job := script(t, `trap '' TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := NewExec(Grace(300*time.Millisecond))(ctx, checks.Call{Argv: []string{job}, Live: onFirst(cancel)})
	if !errors.Is(err, context.Canceled) || out.Signal != "killed" || out.Code != -1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestACommandMayEndOrderly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	job := script(t, `trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := NewExec()(ctx, checks.Call{Argv: []string{job}, Live: onFirst(cancel)})
	if !errors.Is(err, context.Canceled) || out.Code != 7 || !strings.Contains(string(out.Stdout), "cleaned") {
		t.Errorf("%+v, %v", out, err)
	}
}

// onFirst calls do when the first output comes.
func onFirst(do func()) io.Writer { return first(do) }

type first func()

func (f first) Write(b []byte) (int, error) { f(); return len(b), nil }

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	r, err := look(pid)
	return err == nil && r.state != 'Z' && r.state != 'X'
}

// shapes are the ways in which something outlives what started it. Each prints
// the pid of the survivor on its standard output before the leader ends.
var shapes = []struct{ name, body string }{
	{"a child in the background that holds the pipes", `sleep 60 & echo $!`},
	{"a child in the background without the pipes", `sleep 60 >/dev/null 2>&1 & echo $!`},
	{"a child that ignores TERM and HUP", `(trap '' TERM HUP; exec sleep 60) & echo $!`},
	{"a double fork", `(sleep 60 & echo $!) & wait`},
	{"a session of its own that holds the pipes", `setsid sh -c 'echo $$; exec sleep 60' & sleep 0.2`},
	{"a double fork into a session of its own", `(setsid sh -c 'echo $$; exec sleep 60' &) ; sleep 0.2`},
	{"a daemon", `(setsid sh -c 'echo $$ >&3; trap "" TERM; exec sleep 60' 3>&1 >/dev/null 2>&1 </dev/null &) ; sleep 0.2`},
	{"a chain of children", `sh -c 'sh -c "sleep 60 & echo \$!; wait" & wait' & sleep 0.2`},
}

func TestWhatOutlivesACommandIsEndedAndNamed(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			out, err := NewExec(Grace(200*time.Millisecond))(t.Context(), checks.Call{Argv: []string{script(t, shape.body)}})
			if err != nil || out.Code != 0 {
				t.Fatalf("%+v, %v", out, err)
			}
			gone(t, out, began)
		})
	}
}

func TestWhatOutlivesACancelledCommandIsEndedAndNamed(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			began := time.Now()
			job := script(t, shape.body+"\ntrap '' TERM; echo >&2; while :; do sleep 0.05; done")
			call := checks.Call{Argv: []string{job}, Stdout: &bytes.Buffer{}, Live: onFirst(cancel)}
			out, err := NewExec(Grace(200*time.Millisecond))(ctx, call)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%+v, %v", out, err)
			}
			out.Stdout = call.Stdout.(*bytes.Buffer).Bytes()
			survivor(t, out.Stdout, began)
		})
	}
}

// gone holds that the survivor named on the output was ended and named.
func gone(t *testing.T, out checks.Output, began time.Time) {
	t.Helper()
	pid := survivor(t, out.Stdout, began)
	named := slices.ContainsFunc(out.Left, func(l string) bool { return strings.HasPrefix(l, strconv.Itoa(pid)+" ") })
	if !named {
		t.Errorf("%d is not among what was left: %q", pid, out.Left)
	}
}

func survivor(t *testing.T, stdout []byte, began time.Time) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(string(stdout)))
	if err != nil {
		t.Fatalf("the script told no pid: %q", stdout)
	}
	if alive(pid) {
		t.Errorf("%d still runs", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if took := time.Since(began); took > bound {
		t.Errorf("it took %v", took)
	}
	return pid
}

func TestWhatEndsByItselfRightAfterwardsIsNoLeftover(t *testing.T) {
	t.Parallel()
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{script(t, `(sleep 0.02; echo late) & echo early`)}})
	if err != nil || out.Left != nil || string(out.Stdout) != "early\nlate\n" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestADaemonMayBeLeft(t *testing.T) {
	t.Parallel()
	job := script(t, `setsid sleep 60 >/dev/null 2>&1 & echo $!`)
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{job}, Leave: true})
	if err != nil || len(out.Left) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out.Stdout)))
	if err != nil || !alive(pid) {
		t.Errorf("the daemon %q was ended", out.Stdout)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestAnotherCommandIsNoLeftover(t *testing.T) {
	t.Parallel()
	run := NewExec()
	started, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		job := script(t, `setsid sleep 60 & echo ready; wait`)
		out, err := run(ctx, checks.Call{Argv: []string{job}, Live: onFirst(func() { close(started) })})
		ended <- fmt.Errorf("%+v, %w", out, err)
	}()
	<-started
	if out, err := run(t.Context(), checks.Call{Argv: []string{script(t, `sleep 60 &`)}}); err != nil || len(out.Left) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	select {
	case err := <-ended:
		t.Errorf("the other command was ended too: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestAReaperFindsWhatHidItself runs itself again as a process that inherits
// orphans, as a step does.
func TestAReaperFindsWhatHidItself(t *testing.T) {
	if os.Getenv("BE_A_REAPER") == "" {
		t.Parallel()
		cmd := exec.Command(os.Args[0], "-test.run=^TestAReaperFindsWhatHidItself$", "-test.v")
		cmd.Env = append(os.Environ(), "BE_A_REAPER=1")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skipf("this kernel has no subreapers: %v", err)
	}
	began := time.Now()
	job := script(t, `(env -i setsid sh -c 'echo $$; exec sleep 60' &) ; sleep 0.2`)
	out, err := NewExec(Grace(200*time.Millisecond), Reaper())(t.Context(), checks.Call{Argv: []string{job}})
	if err != nil {
		t.Fatal(err)
	}
	gone(t, out, began)
	if err := syscall.Kill(survivor(t, out.Stdout, began), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the orphan was not reaped: %v", err)
	}
}

func TestNothingStartsWhenTheContextHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "ran")
	if _, err := NewExec()(ctx, checks.Call{Argv: []string{"touch", mark}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran")
	}
}
