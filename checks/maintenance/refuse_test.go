package maintenance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// nginxless is a scene at whose address nobody listens.
func nginxless(t *testing.T) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir(), base: fmt.Sprintf("http://127.0.0.1:%d", freePort(t))}
	s.file = filepath.Join(s.dir, "maintenance.flag")
	s.env = checks.Env{Root: "/", Dialer: &net.Dialer{}, Exec: execute, Token: "opsdeck/test0001", Out: t.Output()}
	return s
}

func brokenResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
}

func TestALinkPlantedAtThePathIsRefusedAndItsTargetUntouched(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"precious", "not-there"} {
		s := nginx(t, byFlag)
		s.write(t, "precious", "untouched")
		if err := os.Symlink(filepath.Join(s.dir, target), s.file); err != nil {
			t.Fatal(err)
		}
		level(t, "preview", s.preview(t, Enable), checks.Unknown, "is a symbolic link, put there by")
		level(t, "enable", s.act(t, Enable), checks.Unknown, "it is not touched")
		level(t, "preview of opening", s.preview(t, Disable), checks.OK, "careful: it is a symbolic link; that is removed, not what it leads to")
		level(t, "disable", s.act(t, Disable), checks.OK, "200")
		if content, err := os.ReadFile(filepath.Join(s.dir, "precious")); err != nil || string(content) != "untouched" {
			t.Errorf("the target is %q, %v", content, err)
		}
		if _, err := os.Lstat(filepath.Join(s.dir, "not-there")); err == nil {
			t.Error("something was written through the link")
		}
	}
}

// The link that is planted after everything was looked at.
func TestALinkPlantedInTheLastMomentIsNotWrittenThrough(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	p, err := open(s.env, checks.Args{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	outside := filepath.Join(s.dir, "victim")
	for _, name := range []string{"maintenance.flag", ".maintenance.flag.opsdeck.tmp"} {
		if err := os.Symlink(outside, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.create("x"); !errors.Is(err, os.ErrExist) {
		t.Errorf("creating gave %v", err)
	}
	if err := p.replace([]byte("x"), 0o644); err != nil {
		t.Errorf("replacing gave %v", err)
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("something was written through the link")
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	if err := syscall.Mkfifo(s.file, 0o600); err != nil {
		t.Fatal(err)
	}
	level(t, "a pipe", s.preview(t, Enable), checks.Unknown, "is a named pipe")
	level(t, "opening a pipe", s.preview(t, Disable), checks.OK, "careful: it is a named pipe")
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	s.mkdir(t, "maintenance.flag")
	level(t, "a directory", s.preview(t, Enable), checks.Unknown, "is a directory")
	level(t, "opening a directory", s.preview(t, Disable), checks.Unknown, "it is not removed")
}

func TestADirectoryOthersMayChangeIsRefused(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	tests := []struct {
		mode os.FileMode
		want checks.Level
	}{{0o777, checks.Unknown}, {0o775, checks.Unknown}, {0o777 | os.ModeSticky, checks.OK}, {0o755, checks.OK}}
	for _, tt := range tests {
		if err := os.Chmod(s.dir, tt.mode); err != nil {
			t.Fatal(err)
		}
		res := s.preview(t, Enable)
		if res.Level != tt.want || res.Level == checks.Unknown && res.Class != checks.Denied {
			t.Errorf("%v: %v %s %s", tt.mode, res.Level, res.Class, res.Err)
		}
	}
}

func TestADirectoryThatIsNotThereIsMissing(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	s.page(checks.MaintenancePage{Flag: filepath.Join(s.dir, "nowhere", "flag")})
	if res := s.preview(t, Enable); res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("%v %s %s", res.Level, res.Class, res.Err)
	}
}

func TestAReadOnlyDirectoryIsDeniedBeforeAnythingIsDone(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root, to mount")
		}
		t.Skip("needs root, to mount")
	}
	s := away(t, nil)
	s.mkdir(t, "ro")
	dir := filepath.Join(s.dir, "ro")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=755"); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s.write(t, "ro/closed.flag", "x")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s.page(checks.MaintenancePage{Flag: filepath.Join(dir, "open.flag")})
	res := s.act(t, Enable)
	level(t, "enable", res, checks.Unknown, "cannot be written: read-only file system")
	s.page(checks.MaintenancePage{Flag: filepath.Join(dir, "closed.flag")})
	level(t, "disable", s.preview(t, Disable), checks.Unknown, "cannot be written: read-only file system")
}

// helper makes this test binary somebody else, or somebody to kill.
func helper(t *testing.T, s *scene, what string, uid uint32) *exec.Cmd {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { self.Close() })
	cmd := exec.Command("/proc/self/fd/3", "-test.run", "^TestHelper$", "-test.v")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env, cmd.Dir = []string{"OPSDECK_TEST_HELP=" + what, "OPSDECK_TEST_FLAG=" + s.file, "OPSDECK_TEST_BASE=" + s.base}, "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	return cmd
}

func TestHelper(t *testing.T) {
	what := os.Getenv("OPSDECK_TEST_HELP")
	if what == "" {
		t.Skip("run by other tests")
	}
	s := &scene{base: os.Getenv("OPSDECK_TEST_BASE"), file: os.Getenv("OPSDECK_TEST_FLAG")}
	s.env = checks.Env{Root: "/", Dialer: &net.Dialer{}, Token: "opsdeck/killed"}
	s.page(checks.MaintenancePage{Flag: s.file})
	if what == "denied" {
		res := s.act(t, Enable)
		fmt.Println(res.Level, res.Class, res.Err)
		return
	}
	s.env.Dialer.Control = func(string, string, syscall.RawConn) error {
		fmt.Println("written")
		select {} // to be killed here, between the effect and the look
	}
	s.act(t, Enable)
}

func TestNoPermissionIsDenied(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root, to become somebody without permission")
		}
		t.Skip("needs root, to become somebody without permission")
	}
	dir, err := os.MkdirTemp("", "opsdeck-maintenance")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := nginxless(t)
	s.file = filepath.Join(dir, "maintenance.flag")
	out, err := helper(t, s, "denied", 65534).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "unknown denied "+dir+" cannot be written: permission denied") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAfterAKillTheProbeTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	s := nginxless(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(s.file); err == nil && r.URL.Path != "/health" {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	s.base = srv.URL
	s.page(checks.MaintenancePage{Flag: s.file})
	assert(t, s.probe(t, Enable), "done=false status=200")
	cmd := helper(t, s, "kill", 0)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "written"); {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the step ended by itself")
	}
	res := s.probe(t, Enable)
	level(t, "probe", res, checks.OK, "")
	assert(t, res, "done=true status=503 closed_by=opsdeck/killed")
	assert(t, s.act(t, Disable), "done=true status=200")
}
