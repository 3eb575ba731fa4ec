package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// roundsIn walks the rounds with that folder as home and as the working one, and
// returns its output and exit code.
func (w *ward) roundsIn(home string, more ...string) (string, string) {
	w.t.Helper()
	book := filepath.Join(w.dir, "rounds.md")
	if err := os.WriteFile(book, []byte(rounds), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.command(home, append([]string{"run", "rounds", "--state", filepath.Join(w.dir, "state"), "--file", book}, more...)...)
}

func (w *ward) command(home string, args ...string) (string, string) {
	w.t.Helper()
	cmd := exec.Command(w.bin, args...)
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=", "OPSDECK_SITE=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), exitOf(err)
	}
	return string(out), "0"
}

// endsServing ends the supervisor that a command left in a state directory.
func (w *ward) endsServing(dir string) {
	w.t.Cleanup(func() {
		if pid := w.serving(dir); pid > 0 {
			syscall.Kill(pid, syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
			until(w.t, "the supervisor ended", func() bool { return !supervisor.Serves(dir) })
		}
	})
}

// serving is the process that serves a state directory; 0 if there is none.
func (w *ward) serving(dir string) int {
	w.t.Helper()
	if !supervisor.Serves(dir) {
		return 0
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), "\x00supervise\x00") || !strings.Contains(string(line), filepath.Dir(dir)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			return pid
		}
	}
	return 0
}

// TestASupervisorOfARemovedSiteMakesRoom: a site that comes after one of the same
// name, as a second demo does, is served at once.
func TestASupervisorOfARemovedSiteMakesRoom(t *testing.T) {
	w := newWard(t, "")
	w.endsServing(w.state())
	first, second := filepath.Join(w.dir, "first.yaml"), filepath.Join(w.dir, "second.yaml")
	for path, more := range map[string]string{first: "", second: "limits: {sys.uptime: {fail: up > 1ms}}\n"} {
		if err := os.WriteFile(path, []byte(w.text()+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := w.roundsIn(w.dir, "--site", first); code != "0" {
		t.Fatalf("the first site: exit %s: %s", code, out)
	}
	before := w.serving(w.state())
	if out, code := w.roundsIn(w.dir, "--site", second); code != "65" || !strings.Contains(out, "--site "+first) || !strings.Contains(out, "a minute after its last client") {
		t.Errorf("while the first file is there: exit %s: %s", code, out)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if out, code := w.roundsIn(w.dir, "--site", second); code != "2" || !strings.Contains(out, "up > 1ms") {
		t.Errorf("after it was removed: exit %s: %s", code, out)
	}
	if after := w.serving(w.state()); before == 0 || after == 0 || after == before {
		t.Errorf("process %d served before, %d after", before, after)
	}
}

// TestARemovedSiteIsNotLeftWhileAnActionRuns: what runs goes on, and who comes
// with another file is told in which run.
func TestARemovedSiteIsNotLeftWhileAnActionRuns(t *testing.T) {
	w := newWard(t, "until test -e $(dirname $0)/go; do sleep 0.05; done")
	w.serve("")
	s := w.open()
	w.begin(s)
	until(t, "the action runs", func() bool { it, _ := s.Run().Item("count"); return it.State == runbooks.Running && w.effects() == 1 })
	other := filepath.Join(w.dir, "other.yaml")
	if err := os.WriteFile(other, []byte(w.text()+"limits: {sys.uptime: {fail: up > 1ms}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.siteFile()); err != nil {
		t.Fatal(err)
	}
	if out, code := w.roundsIn(w.dir, "--site", other); code != "65" || !strings.Contains(out, "until nothing runs in count/count any more") {
		t.Errorf("while it runs: exit %s: %s", code, out)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.settled(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.endsServing(w.state())
	if out, code := w.roundsIn(w.dir, "--site", other); code != "2" {
		t.Errorf("after it: exit %s: %s", code, out)
	}
	if w.effects() != 1 {
		t.Errorf("the action was done %d times", w.effects())
	}
}

// TestADetectedSiteMakesRoomForItsFile: init after a run, and the next run.
func TestADetectedSiteMakesRoomForItsFile(t *testing.T) {
	w := newWard(t, "")
	home := t.TempDir()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(host, ".")
	dir := filepath.Join(w.dir, "state", name)
	w.endsServing(dir)
	if out, code := w.roundsIn(home); code != "0" {
		t.Fatalf("without a file: exit %s: %s", code, out)
	}
	if !supervisor.Serves(dir) {
		t.Fatalf("no supervisor serves %s", dir)
	}
	if out, code := w.command(home, "init"); code != "0" {
		t.Fatalf("init: exit %s: %s", code, out)
	}
	if out, code := w.roundsIn(home); code != "0" {
		t.Errorf("with the file: exit %s: %s", code, out)
	}
}
