package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// smallDisk puts the ward's state on a file system of that size.
func smallDisk(t *testing.T, w *ward, size string) {
	t.Helper()
	dir := filepath.Join(w.dir, "state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=700"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("a small file system is needed: %v", err)
		}
		t.Skipf("a small file system is needed: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill leaves so many bytes free.
func fill(t *testing.T, w *ward, left int64) string {
	t.Helper()
	path := filepath.Join(w.dir, "state", "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(path, &fs); err != nil {
			t.Fatal(err)
		}
		if int64(fs.Bavail)*fs.Bsize <= left {
			return path
		}
		if _, err := f.Write(block); err != nil {
			return path
		}
	}
}

// TestAFullDiskStopsActionsAndLosesNothing: with little room no action begins;
// with none nothing is recorded and all is still seen; with room again it goes
// on by itself.
func TestAFullDiskStopsActionsAndLosesNothing(t *testing.T) {
	w := newWard(t, "")
	smallDisk(t, w, "24m")
	w.serve("")
	s := w.open()
	if err := s.Note("", "before"); err != nil {
		t.Fatal(err)
	}
	filler := fill(t, w, 4<<20)
	if err := s.Arm(t.Context(), "count"); err == nil || !strings.Contains(err.Error(), "no action may begin") {
		t.Errorf("armed with 4 MiB left: %v", err)
	}
	if err := s.Note("", "still recorded"); err != nil {
		t.Errorf("a note with 4 MiB left: %v", err)
	}
	os.Remove(filler)
	filler = fill(t, w, 0)
	var err error
	acknowledged := 0
	for range 2000 { // the journal has room of its own for a while
		if err = s.Note("", strings.Repeat("x", 4000)); err != nil {
			break
		}
		acknowledged++
	}
	if err == nil {
		t.Fatal("a full disk took 2000 notes")
	}
	until(t, "the deck says that nothing is recorded", func() bool { return s.Err() != nil })
	if s.Run().Notes.Len() != 2+acknowledged {
		t.Errorf("%d notes are seen, %d were acknowledged", s.Run().Notes.Len(), 2+acknowledged)
	}
	if err := s.Arm(t.Context(), "count"); err == nil {
		t.Error("an action was armed that cannot be recorded")
	}
	os.Remove(filler)
	until(t, "it is recorded again", func() bool { return s.Err() == nil && s.Note("", "after") == nil })
	if n := s.Run().Notes.Len(); n < 3+acknowledged { // one whose answer was lost may be there twice
		t.Errorf("%d notes, want %d", n, 3+acknowledged)
	}
	if report := journal.Verify(w.state(), nil); report.Status != journal.Intact {
		t.Errorf("%+v", report)
	}
	w.begin(s)
	if it := w.settled(s); it.State != runbooks.Passed || w.effects() != 1 {
		t.Errorf("afterwards the action is %s, done %d times", it.State, w.effects())
	}
}

// TestADiskThatFillsWhileACommandRunsLosesNothing: how the command ended is
// known, because the room for that was taken before it began, and it is not
// begun again.
func TestADiskThatFillsWhileACommandRunsLosesNothing(t *testing.T) {
	w := newWard(t, "while ! test -e "+filepath.Join("$(dirname $0)", "go")+"; do sleep 0.05; done")
	smallDisk(t, w, "24m")
	w.serve("")
	s := w.open()
	w.begin(s)
	until(t, "the command runs", func() bool { return w.effects() == 1 })
	filler := fill(t, w, 0)
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	it := w.settled(s)
	if it.State != runbooks.Passed || w.effects() != 1 {
		t.Errorf("the action is %s, done %d times: %s", it.State, w.effects(), it.Attempts)
	}
	os.Remove(filler)
	if report := journal.Verify(w.state(), nil); report.Status != journal.Intact {
		t.Errorf("%+v", report)
	}
}

// supervisorsOf are the processes that supervise a state directory in dir.
func supervisorsOf(t *testing.T, dir string) []int {
	t.Helper()
	return processesOf(t, "supervise", dir)
}

// processesOf are the processes of opsdeck whose first argument is that word and
// which name dir.
func processesOf(t *testing.T, word, dir string) (pids []int) {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range commands {
		raw, _ := os.ReadFile(path) // it may have ended; a zombie has no command line
		words := strings.Split(string(raw), "\x00")
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(words) > 1 && words[1] == word && strings.Contains(string(raw), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endSupervisor ends the supervisor that a command left behind for a minute.
func endSupervisor(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range supervisorsOf(t, dir) {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	until(t, "the supervisor is gone", func() bool { return len(supervisorsOf(t, dir)) == 0 })
}

// TestADirectoryThatCannotKeepARecordIsSaid: read-only, somebody else's. Looking
// works without one.
func TestADirectoryThatCannotKeepARecordIsSaid(t *testing.T) {
	w := newWard(t, "")
	smallDisk(t, w, "24m")
	run := func(args ...string) (string, string) {
		out, err := exec.Command(w.bin, append([]string{"--site", filepath.Join(w.dir, "opsdeck.yaml"), "--state", filepath.Join(w.dir, "state")}, args...)...).CombinedOutput()
		if err == nil {
			return "0", string(out)
		}
		return exitOf(err), string(out)
	}
	if code, out := run("run", "daily"); code == "73" || code == "70" {
		t.Fatalf("exit %s: %s", code, out)
	}
	endSupervisor(t, w.dir)
	until(t, "the file system is read-only", func() bool {
		return syscall.Mount("", filepath.Join(w.dir, "state"), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "") == nil
	})
	if code, out := run("check", "sys.uptime", "--warn", "up < 1ms"); code != "0" {
		t.Errorf("looking on a read-only state: exit %s: %s", code, out)
	}
	if code, out := run("history"); code != "0" || !strings.Contains(out, "daily-") {
		t.Errorf("reading a read-only record: exit %s: %s", code, out)
	}
	if code, out := run("run", "daily"); code != "73" || !strings.Contains(out, "read-only") {
		t.Errorf("recording on a read-only state: exit %s: %s", code, out)
	}
	started := time.Now()
	if code, _ := run("doctor"); code == "70" || time.Since(started) > 30*time.Second {
		t.Errorf("doctor: exit %s", code)
	}
}
