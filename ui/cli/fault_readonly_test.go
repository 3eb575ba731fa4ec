package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// failingDisk is a real ext4 file system under the ward's state directory, of
// the kind that the kernel makes read-only after an error.
type failingDisk struct{ image, mountpoint string }

// onFailingDisk puts the ward's state on such a file system.
func onFailingDisk(t *testing.T, w *ward) failingDisk {
	t.Helper()
	d := failingDisk{filepath.Join(w.dir, "disk.img"), filepath.Join(w.dir, "state")}
	if err := os.MkdirAll(d.mountpoint, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.run("truncate", "-s", "64M", d.image); err != nil {
		t.Fatal(err)
	}
	err := d.run("mkfs.ext4", "-q", "-O", "^has_journal", d.image)
	if err == nil {
		err = d.mount()
	}
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("a file system on a loop device is needed: %v", err)
		}
		t.Skipf("a file system on a loop device is needed: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(d.mountpoint, syscall.MNT_DETACH) })
	return d
}

func (d failingDisk) run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return &commandError{name, strings.TrimSpace(string(out)), err}
	}
	return nil
}

// commandError is what a command of a test's scenery said.
type commandError struct {
	name, said string
	err        error
}

func (e *commandError) Error() string { return e.name + ": " + e.err.Error() + ": " + e.said }

func (d failingDisk) mount() error {
	if err := d.run("mount", "-o", "loop,errors=remount-ro", d.image, d.mountpoint); err != nil {
		return err
	}
	return os.Chmod(d.mountpoint, 0o700)
}

// fail makes the kernel find an error in the file system, after which nothing
// more can be written, also through files that are open.
func (d failingDisk) fail(t *testing.T) {
	t.Helper()
	device, err := exec.Command("findmnt", "-no", "SOURCE", d.mountpoint).Output()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(strings.TrimSpace(string(device)))
	if err := os.WriteFile(filepath.Join("/sys/fs/ext4", name, "trigger_fs_error"), []byte("1"), 0o200); err != nil {
		t.Fatal(err)
	}
}

// repair is what an administrator does: unmount, check, mount.
func (d failingDisk) repair(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount(d.mountpoint, 0); err != nil {
		t.Fatalf("unmounting: %v", err)
	}
	if err := d.run("e2fsck", "-fy", d.image); err != nil && !strings.Contains(err.Error(), "exit status 1") { // 1: errors corrected
		t.Fatal(err)
	}
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
}

// TestAStateThatBecomesReadOnlyUnderARunLosesAndDoublesNothing: the kernel
// remounts the file system read-only while an action runs. The deck says that
// nothing is recorded, shows no tick that no disk holds, and once the disk is
// back the action is known or interrupted, and was done once.
func TestAStateThatBecomesReadOnlyUnderARunLosesAndDoublesNothing(t *testing.T) {
	w := newWard(t, "while [ ! -e "+"$0.go ]; do sleep 0.05; done; echo finished >> $0.done")
	disk := onFailingDisk(t, w)
	supervisor := w.serve("")
	s := w.open()
	w.begin(s)
	until(t, "the command runs", func() bool { return w.effects() == 1 })
	disk.fail(t)
	if err := s.Note("", "after the fault"); err == nil {
		t.Error("a note was acknowledged that no disk can hold")
	}
	until(t, "the deck says that nothing is recorded", func() bool { return s.Err() != nil })
	release(t, w)
	if it, _ := s.Run().Item("count"); it.State.Decided() {
		t.Errorf("the item is shown as %s, which no disk holds", it.State)
	}

	supervisor.Process.Kill()
	supervisor.Wait()
	until(t, "no step is left", func() bool { // it would wait for the disk with its result
		steps := processesOf(t, "step", w.dir)
		for _, pid := range steps {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(steps) == 0
	})
	disk.repair(t)
	w.serve("")
	s = w.open()
	it := w.settled(s)
	a, _ := it.Latest()
	if it.State != runbooks.Interrupted || !strings.HasPrefix(a.Reason, runbooks.OutcomeUnknown) {
		t.Errorf("without a durable result it is %s: %q", it.State, a.Reason)
	}
	if err := s.Arm(t.Context(), "count"); err == nil {
		t.Error("armed again over an unknown outcome")
	}
	if err := s.Resolve("count", true, "the file has the line"); err != nil {
		t.Error(err)
	}
	if it = w.settled(s); it.State != runbooks.Passed || w.effects() != 1 {
		t.Errorf("it is %s, done %d times", it.State, w.effects())
	}
	if report := journal.Verify(w.state(), nil); report.Status != journal.Intact {
		t.Errorf("%+v", report)
	}
}

// release lets the ward's command end, and waits until it has.
func release(t *testing.T, w *ward) {
	t.Helper()
	script := filepath.Join(w.dir, "count.sh")
	if err := os.WriteFile(script+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the command has ended", func() bool {
		_, err := os.Stat(script + ".done")
		return err == nil
	})
}
