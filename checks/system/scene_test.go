package system

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// tree is a host made of files: a copy of testdata/calm that a scene changes.
type tree struct {
	t   *testing.T
	dir string
}

func calm(t *testing.T) tree {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/calm")); err != nil {
		t.Fatal(err)
	}
	return tree{t, dir}
}

func (tr tree) write(name, content string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) replace(name, old, with string) {
	tr.t.Helper()
	content, err := os.ReadFile(filepath.Join(tr.dir, name))
	if err != nil || !strings.Contains(string(content), old) {
		tr.t.Fatalf("%q is not in %s (%v)", old, name, err)
	}
	tr.write(name, strings.ReplaceAll(string(content), old, with))
}

func (tr tree) remove(name string) {
	tr.t.Helper()
	if err := os.RemoveAll(filepath.Join(tr.dir, name)); err != nil {
		tr.t.Fatal(err)
	}
}

// watched is a check that a monitor runs again and again.
type watched struct {
	t      *testing.T
	runner *checks.Runner
	check  checks.Check
}

func watch(t *testing.T, env checks.Env, m *checks.Module, raw map[string]any) watched {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return watched{t, checks.NewRunner(env, nil), check}
}

func (w watched) run() checks.Result {
	w.t.Helper()
	return checktest.RunCheck(w.t, w.runner, w.check)
}

// after runs the check on a calm tree, and again a minute after change.
func after(t *testing.T, m *checks.Module, raw map[string]any, change func(tree)) (res checks.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		w := watch(t, checks.Env{Root: tr.dir}, m, raw)
		w.run()
		time.Sleep(50 * time.Second)
		change(tr)
		res = w.run()
	})
	return res
}

// now runs the check once on a changed tree, in time of its own.
func now(t *testing.T, m *checks.Module, raw map[string]any, change func(tree)) (res checks.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		change(tr)
		res = watch(t, checks.Env{Root: tr.dir}, m, raw).run()
	})
	return res
}

func unchanged(tree) {}

// judged fails the test unless the default rules gave the level, because of
// the named fact if one is named.
func judged(t *testing.T, res checks.Result, level checks.Level, because string) {
	t.Helper()
	if res.Level != level {
		t.Errorf("%s is %v, want %v: %s %s %v", res.Module, res.Level, level, res.Note, res.Err, res.Why)
		return
	}
	if because == "" {
		return
	}
	for _, b := range res.Why {
		if b.Fact == because || b.Fact+"|"+b.Label == because {
			return
		}
	}
	t.Errorf("%s is %v because of %v, want %s", res.Module, res.Level, res.Why, because)
}

func unknown(t *testing.T, res checks.Result, class checks.Class) {
	t.Helper()
	if res.Level != checks.Unknown || res.Class != class || res.Err == "" {
		t.Errorf("%s is %v, class %q: %q; want unknown, class %q", res.Module, res.Level, res.Class, res.Err, class)
	}
}

func value(t *testing.T, res checks.Result, name, label string) fact.Value {
	t.Helper()
	f, ok := res.Fact(name, label)
	if !ok {
		t.Fatalf("%s has no %s of %q: %s", res.Module, name, label, res.Err)
	}
	return f.Value
}

// near compares numbers that went through a division.
func near(t *testing.T, res checks.Result, name, label string, want float64) {
	t.Helper()
	if got := value(t, res, name, label).Num; got < want-0.01 || got > want+0.01 {
		t.Errorf("%s of %s %q is %v, want %v", name, res.Module, label, got, want)
	}
}

// asNobody runs a module with the file permissions of an ordinary user: root
// gives up its own for the one thread that reads.
func asNobody(t *testing.T, m *checks.Module) *checks.Module {
	t.Helper()
	if os.Getuid() != 0 {
		return m
	}
	const nobody = 65534
	unprivileged := *m
	unprivileged.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		setfsuid(nobody)
		defer setfsuid(0)
		return m.Run(ctx, env, args)
	}
	return &unprivileged
}

// setfsuid changes the user for file access of the calling thread, and with it
// root's right to read everything. It has no error; the scenes would fail.
func setfsuid(uid uintptr) { syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0) }

// mode takes the permission to read a file away.
func (tr tree) mode(name string, mode os.FileMode) {
	tr.t.Helper()
	if err := os.Chmod(filepath.Join(tr.dir, name), mode); err != nil {
		tr.t.Fatal(err)
	}
}

// open lets an ordinary user reach the tree below a test's private directory.
func (tr tree) open() tree {
	tr.t.Helper()
	for dir := tr.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			tr.t.Fatal(err)
		}
	}
	return tr
}
