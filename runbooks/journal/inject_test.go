package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// first is what a test's process does with a state directory: it opens it,
// records one event, and goes on after a failure as the supervisor does. It
// says "recorded" when that was acknowledged.
func first(dir string) {
	for range 4 {
		if err := firstIn(dir); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("recorded")
		return
	}
}

func firstIn(dir string) error {
	j, err := Open(dir, Holder{User: "first"})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer j.Release() //nolint:errcheck // what was acknowledged is on disk
	for range 3 {
		if _, err = j.Append(note("the first")); err == nil {
			return nil
		}
		fmt.Println("append:", err)
		if err := j.Reopen(); err != nil {
			fmt.Println("reopen:", err)
		}
	}
	return err
}

// touched are the files whose system calls fail in a sweep.
func touched(dir string) []string {
	paths := []string{dir}
	for _, name := range []string{
		"journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal", "journal.db.new", "journal.db.new-wal", "journal.db.new-shm",
		"journal.db.new-journal", "head", "head.new", "ballast", "ballast.new", "journal.lock",
	} {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

// A fault is what happens to the n-th call of a system call.
type fault struct{ call, what string }

// faults are what each of some system calls is swept with: the first call of
// it, the second, and so on until the program made no further one. Not every
// machine has every one of them.
var faults = []struct{ calls, what string }{
	{"write,pwrite64", "error=EIO"}, {"write,pwrite64", "error=ENOSPC"},
	{"fsync,fdatasync", "error=EIO"},
	{"open,openat,openat2", "error=EIO"}, {"open,openat,openat2", "error=ENOSPC"},
	{"ftruncate,fallocate", "error=ENOSPC"},
	{"rename,renameat,renameat2,linkat", "error=EIO"}, {"unlink,unlinkat", "error=EIO"},
	{"pread64,read,mmap,fcntl,flock", "error=EIO"}, {"fstat,newfstatat,lstat,stat,statfs,getdents64", "error=EIO"},
	{"write,pwrite64,fsync,fdatasync,open,openat,openat2,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mmap,close", "signal=KILL"},
}

// stracer is the path of strace, without which the test is skipped.
func stracer(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(path, "-f", "-e", "trace=none", "/bin/true").Run()
	}
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("strace is needed: %v", err)
		}
		t.Skipf("strace is needed: %v", err)
	}
	return path
}

// TestEveryFaultOfTheFirstEventIsRecoveredFrom fails each system call of opening
// a journal and recording its first event, one at a time. Whatever came of it,
// the journal is opened and written to afterwards, and what was acknowledged
// is in it. strace counts for each thread by itself, so which call is the n-th
// may differ: what holds is that every outcome recovers.
func TestEveryFaultOfTheFirstEventIsRecoveredFrom(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts hundreds of processes, for a minute")
	}
	strace := stracer(t)
	var places sync.WaitGroup
	next := make(chan fault)
	for range 2 {
		places.Go(func() {
			for f := range next {
				sweep(t, strace, f)
			}
		})
	}
	for _, f := range faults {
		for _, call := range strings.Split(f.calls, ",") {
			next <- fault{call, f.what}
		}
	}
	close(next)
	places.Wait()
}

// sweep injects the fault at the first, second, … call until there is none.
func sweep(t *testing.T, strace string, f fault) {
	const most = 200
	for n := 1; n <= most; n++ {
		dir, err := os.MkdirTemp("", "opsdeck-inject-")
		if err != nil {
			t.Error(err)
			return
		}
		injected, said := underFault(strace, dir, f, n)
		problem := recovered(dir, said)
		if problem == "" && !strings.Contains(said, "recorded\n") && f.what != "signal=KILL" {
			problem = "the process itself did not go on"
		}
		if problem != "" {
			t.Errorf("%s of %s at call %d: %s; the process said %q", f.what, f.call, n, problem, said)
		}
		os.RemoveAll(dir)
		if !injected {
			t.Logf("%s: %d calls of %s", f.what, n-1, f.call)
			return
		}
	}
	t.Errorf("%s of %s: still injected at call %d", f.what, f.call, most)
}

// underFault runs the first event under strace, and reports whether anything
// was injected and what the process said.
func underFault(strace, dir string, f fault, n int) (injected bool, said string) {
	args := []string{"-f", "-qq", "-e", "trace=?" + f.call, "-e", fmt.Sprintf("inject=?%s:%s:when=%d", f.call, f.what, n)}
	for _, path := range touched(dir) {
		args = append(args, "-P", path)
	}
	trace := filepath.Join(os.TempDir(), filepath.Base(dir)+".trace")
	defer os.Remove(trace)
	cmd := exec.Command(strace, append(args, "-o", trace, "/proc/self/exe")...)
	cmd.Args[len(cmd.Args)-1] = os.Args[0]
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_FIRST="+dir)
	out, _ := cmd.CombinedOutput() // that it fails is the point
	raw, err := os.ReadFile(trace)
	if err != nil {
		return false, err.Error()
	}
	return bytes.Contains(raw, []byte("(INJECTED)")) || bytes.Contains(raw, []byte("killed by SIGKILL")), string(out)
}

// recovered opens the journal without faults, says what is wrong with it, and
// nothing if it records and has what was acknowledged.
func recovered(dir, said string) string {
	if r := Verify(dir, nil); r.Status == Damaged || r.Status == Undetermined {
		return fmt.Sprintf("verified as %+v", r)
	}
	j, err := Open(dir, Holder{User: "next"})
	if err != nil {
		return err.Error()
	}
	defer j.Release()
	texts := map[string]int{}
	for e, err := range j.Events() {
		if err != nil {
			return "reading: " + err.Error()
		}
		p, err := e.Payload()
		if err != nil {
			return err.Error()
		}
		texts[p.(runbooks.Noted).Text]++
	}
	if strings.Contains(said, "recorded\n") && texts["the first"] == 0 {
		return "an acknowledged event is gone"
	}
	if _, err := j.Append(note("the next")); err != nil {
		return "recording: " + err.Error()
	}
	if r := Verify(dir, nil); r.Status != Intact {
		return fmt.Sprintf("after the next event verified as %+v", r)
	}
	return ""
}

// TestAKillInTheFirstMomentsIsRecoveredFrom kills the process at 40 times spread
// over its first 20 ms, most of them before anything is recorded.
func TestAKillInTheFirstMomentsIsRecoveredFrom(t *testing.T) {
	const kills = 40
	for i := range kills {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_WRITER="+dir)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		at := time.Duration(i)*500*time.Microsecond + time.Duration(rand.IntN(500))*time.Microsecond
		time.AfterFunc(at, func() { cmd.Process.Kill() })
		cmd.Wait()
		if problem := recovered(dir, ""); problem != "" {
			t.Errorf("killed after %v: %s", at, problem)
		}
	}
}

// TestADiskWithAFewFreePagesIsRecoveredFrom: the first event on a disk that has
// 1 to 12 pages left fails or does not; with room again the same process goes
// on, and so does another one.
func TestADiskWithAFewFreePagesIsRecoveredFrom(t *testing.T) {
	for pages := 1; pages <= 12; pages++ {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			dir := smallDisk(t)
			filler := filepath.Join(dir, "filler")
			fill(t, filler)
			if info, err := os.Stat(filler); err != nil || os.Truncate(filler, info.Size()-int64(pages*os.Getpagesize())) != nil {
				t.Fatalf("leaving %d pages free: %v", pages, err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "JOURNAL_TEST_FIRST="+dir)
			out, _ := cmd.CombinedOutput() // that it fails is the point
			j := open(t, dir)
			if n := count(t, j); n > 1 { // reading comes before writing, and works on a full disk
				t.Errorf("%d events are read", n)
			}
			_, full := j.Append(note("on a full disk"))
			if full != nil && !errors.Is(full, syscall.ENOSPC) && !strings.Contains(full.Error(), "full") && !strings.Contains(full.Error(), "disk I/O") {
				t.Errorf("it failed for another reason: %v", full)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if j.Err() != nil {
				if err := j.Reopen(); err != nil {
					t.Fatalf("with room again: %v", err)
				}
			}
			appendNotes(t, j, 1)
			if err := j.Release(); err != nil {
				t.Fatal(err)
			}
			if problem := recovered(dir, string(out)); problem != "" {
				t.Error(problem)
			}
		})
	}
}
