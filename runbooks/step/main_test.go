package step_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// TestMain is also each process of the scenes.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(step.Folder{Path: os.Args[2]}))
		}
	}
	goleak.VerifyTestMain(reaped{m})
}

// reaped are the tests with an end to every process that they began: each is
// waited for by a goroutine, which ends when it does.
type reaped struct{ *testing.M }

func (r reaped) Run() int {
	code := r.M.Run()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			break // there are none
		}
	}
	return code
}

// roles are the processes of the scenes by their first argument.
var roles = map[string]func(step.Folder) int{
	"step": asStep,
	"parent": func(f step.Folder) int { // a supervisor that dies at once
		if _, err := f.Start("step", f.Path); err != nil {
			return fail(err)
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	},
	"starter": func(f step.Folder) int { // a supervisor with a different environment
		if _, err := f.Start("step", f.Path); err != nil {
			return fail(err)
		}
		return 0
	},
	"starved": func(f step.Folder) int { // one that is out of descriptors
		for {
			if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
				fmt.Println(f.Look().State)
				return 0
			}
		}
	},
	"mute":  func(step.Folder) int { return fail(fmt.Errorf("no site file")) },
	"stuck": func(step.Folder) int { time.Sleep(time.Hour); return 0 }, // select{} alone would be a deadlock, and an end
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func asStep(f step.Folder) int {
	redact := func(w io.Writer) io.Writer { return redacting{w} }
	if in, _ := f.Intent(); in.Module == "deaf flood" { // the scene is not about redaction, which is slower
		redact = func(w io.Writer) io.Writer { return w }
	}
	err := step.Main(context.Background(), f, redact, act, options(f)...)
	if err != nil {
		return fail(err)
	}
	if in, err := f.Intent(); err == nil && in.Module == "ok" {
		if err := goleak.Find(); err != nil {
			os.WriteFile(filepath.Join(f.Path, "leaks"), []byte(err.Error()), 0o600)
		}
	}
	return 0
}

type redacting struct{ io.Writer }

func (r redacting) Write(p []byte) (int, error) {
	_, err := io.WriteString(r.Writer, strings.ReplaceAll(string(p), "hunter2", "[redacted]"))
	return len(p), err
}

// spared is the process that a deed leaves on purpose.
var spared atomic.Int64

func options(f step.Folder) []step.Option {
	switch in, _ := f.Intent(); in.Module {
	case "given up":
		return []step.Option{step.Patience(100 * time.Millisecond)}
	case "daemon":
		return []step.Option{step.Spare(func(pid int) bool { return int64(pid) == spared.Load() })}
	}
	return nil
}

// act does what the module's name says.
func act(ctx context.Context, in step.Intent, own checks.Own) (checks.Result, bool) {
	res := checks.Result{ID: in.Check, Level: checks.OK, At: time.Now(), Note: "done"}
	deed, ok := deeds[in.Module]
	if !ok {
		panic("no deed " + in.Module)
	}
	effect, err := os.OpenFile(filepath.Join(own.Dir, "effects"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(effect, "did")
		effect.Close()
	}
	deed(ctx, own, &res)
	return res, true
}

// shell runs a child whose output is ours.
func shell(ctx context.Context, own checks.Own, script string) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = own.Out, own.Out, time.Second
	cmd.Run() //nolint:errcheck // the scenes are about what it leaves
}

var deeds = map[string]func(context.Context, checks.Own, *checks.Result){
	"ok": func(_ context.Context, own checks.Own, _ *checks.Result) {
		fmt.Fprintf(own.Out, "%s %s %v\n", own.Token, own.Dir, own.Before)
		own.Progress(checks.Progress{Done: 1, Total: 4, What: "a \"part\"\a"})
		own.Progress(checks.Progress{Done: 2, Total: 4, What: "a \"part\"\a"})
	},
	"wait": func(ctx context.Context, own checks.Own, res *checks.Result) {
		fmt.Fprintln(own.Out, "waiting")
		<-ctx.Done()
		res.Level, res.Err = checks.Unknown, context.Cause(ctx).Error()
	},
	"deaf":     func(_ context.Context, own checks.Own, _ *checks.Result) { fmt.Fprintln(own.Out, "waiting"); select {} },
	"given up": func(_ context.Context, own checks.Own, _ *checks.Result) { fmt.Fprintln(own.Out, "waiting"); select {} },
	"deaf child": func(ctx context.Context, own checks.Own, _ *checks.Result) {
		shell(ctx, own, `trap "" TERM; echo waiting; while :; do sleep 0.05; done`)
	},
	"brood": func(_ context.Context, own checks.Own, _ *checks.Result) { // nothing of it ends when asked
		shell(context.Background(), own, `trap "" TERM HUP
			setsid sh -c 'echo pid $$; exec sleep 60' &
			(sh -c 'echo pid $$; exec sleep 60' & )
			sleep 60 & echo pid $!
			sleep 0.3; echo waiting; wait`)
	},
	"flood": func(ctx context.Context, own checks.Own, _ *checks.Result) {
		line := []byte(strings.Repeat("y", 1<<16) + "\n")
		for ctx.Err() == nil {
			own.Out.Write(line) //nolint:errcheck // it never fails
		}
	},
	"deaf flood": func(_ context.Context, own checks.Own, _ *checks.Result) { // 10 GB, whatever anybody says
		chunk := []byte(strings.Repeat("y\n", 1<<19))
		for range 10 << 10 {
			own.Out.Write(chunk) //nolint:errcheck // it never fails
		}
		io.WriteString(own.Out, "the end\n")
	},
	"panic": func(context.Context, checks.Own, *checks.Result) { panic("the module is broken: password hunter2") },
	"runaway": func(ctx context.Context, own checks.Own, _ *checks.Result) {
		shell(ctx, own, `(setsid sleep 60 >/dev/null 2>&1 &) ; sleep 60 & echo left`)
	},
	"daemon": func(_ context.Context, own checks.Own, _ *checks.Result) {
		for range 2 {
			cmd := exec.Command("/bin/sleep", "60")
			if err := cmd.Start(); err != nil {
				panic(err)
			}
			spared.Store(int64(cmd.Process.Pid)) // the second
			fmt.Fprintln(own.Out, cmd.Process.Pid)
		}
	},
	"short": func(_ context.Context, own checks.Own, _ *checks.Result) {
		for i := range 100 {
			fmt.Fprintf(own.Out, "line %d\n", i)
		}
	},
	"slow": func(context.Context, checks.Own, *checks.Result) { time.Sleep(500 * time.Millisecond) },
	"hangup": func(_ context.Context, own checks.Own, _ *checks.Result) { // the terminal's signals do not reach it
		got := make(chan os.Signal, 3)
		signal.Notify(got, syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE} {
			syscall.Kill(os.Getpid(), sig)
			fmt.Fprintln(own.Out, <-got)
		}
	},
	"surroundings": func(ctx context.Context, own checks.Own, _ *checks.Result) {
		sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
		cwd, _ := os.Getwd()
		fmt.Fprintf(own.Out, "leader %v\ncwd %s\nready %q\n", int(sid) == os.Getpid(), cwd, os.Getenv("OPSDECK_STEP_READY"))
		shell(ctx, own, `grep SigIgn /proc/self/status; ls -l /proc/$$/fd; ulimit -c; umask`)
		fds, _ := os.ReadDir("/proc/self/fd")
		for _, fd := range fds {
			if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
				fmt.Fprintln(own.Out, "fd", target)
			}
		}
	},
	"until told": func(_ context.Context, own checks.Own, _ *checks.Result) { // until somebody removes the file
		for err := error(nil); err == nil; time.Sleep(5 * time.Millisecond) {
			_, err = os.Stat(filepath.Join(own.Dir, "wait"))
		}
	},
	"big result": func(_ context.Context, own checks.Own, res *checks.Result) { // more than the room taken for it
		for range 400 {
			res.Detail = append(res.Detail, strings.Repeat("x", 1<<10))
		}
		filler, err := os.Create(filepath.Join(own.Dir, "filler"))
		if err != nil {
			panic(err)
		}
		for chunk := make([]byte, 4<<10); err == nil; {
			_, err = filler.Write(chunk)
		}
		filler.Close()
	},
}
