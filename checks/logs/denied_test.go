package logs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// A log that may not be read, itself or a rotated one of the window, is
// unknown: what it hides is not silence.
func TestNoPermissionIsUnknown(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root, to become somebody without permission")
		}
		t.Skip("needs root, to become somebody without permission")
	}
	dir, err := os.MkdirTemp("", "opsdeck-logs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary, path := filepath.Join(dir, "self.test"), filepath.Join(dir, "app.log")
	checktest.WriteExecutable(t, binary, self)
	write(t, path, at(time.Minute, "[info]: fine"))
	write(t, path+".1", at(time.Hour/2, "[info]: fine too"))
	for _, scene := range []struct {
		folder, live, rotated os.FileMode
		denied                int // of log.count, log.match and log.tail
	}{{0o700, 0o644, 0o644, 3}, {0o755, 0o600, 0o644, 3}, {0o755, 0o644, 0o600, 3}} {
		for name, mode := range map[string]os.FileMode{dir: scene.folder, path: scene.live, path + ".1": scene.rotated} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("/proc/self/fd/3", "-test.run", "TestHelperCountsALog", "-test.v")
		f, err := os.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = []*os.File{f}
		cmd.Env, cmd.Dir = []string{"OPSDECK_TEST_LOG=" + path}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if closeErr := f.Close(); closeErr != nil {
			t.Error(closeErr)
		}
		if err != nil || strings.Count(string(out), "unknown denied") != scene.denied {
			t.Errorf("modes %o: %v %s", scene, err, out)
		}
	}
}

func TestHelperCountsALog(t *testing.T) {
	path := os.Getenv("OPSDECK_TEST_LOG")
	if path == "" {
		t.Skip("run by TestNoPermissionIsUnknown")
	}
	for m, raw := range map[*checks.Module]map[string]any{Count: {"source": "app"}, Match: {"source": "app", "set": "db_conn"}, Tail: {"source": "app"}} {
		res := checktest.Run(t, envOf(sourceAt(path)), m, raw)
		fmt.Println(m.Name, res.Level, res.Class, res.Err)
	}
}
