package lock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// me is the claim of this process.
func me() Claim {
	return Claim{Who: "ada", What: "window-1/compact", PID: os.Getpid(), At: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)}
}

// What makes the test binary a process that holds a target in a folder.
const (
	holdTarget = "OPSDECK_TEST_HOLD"
	holdFolder = "OPSDECK_TEST_HOLD_IN"
	holdGroup  = "OPSDECK_TEST_HOLD_GROUP" // of a shared folder
)

func TestMain(m *testing.M) {
	if target := os.Getenv(holdTarget); target != "" {
		hold(target)
	}
	os.Exit(m.Run())
}

// hold prints "held", or why not, and then waits to be killed, at most for as
// long as the test lives.
func hold(target string) {
	folder, err := Folder{}, error(nil)
	if group := os.Getenv(holdGroup); group != "" {
		folder, err = sharedFolder(os.Getenv(holdFolder), group)
	} else {
		folder, err = Find(os.Getenv(holdFolder))
	}
	var held *Held
	if err == nil {
		held, err = folder.Acquire([]string{target}, Claim{Who: "bob", What: "other/item", PID: os.Getpid(), At: time.Now()})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that matters
	runtime.KeepAlive(held)
	os.Exit(0)
}

// another starts a process that tries to hold a target, as a user. It returns
// what it says.
func another(t *testing.T, uid uint32, folder, group, target string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir, cmd.Env = "/", []string{holdTarget + "=" + target, holdFolder + "=" + folder, holdGroup + "=" + group}
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(said)
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	cmd.Wait()         //nolint:errcheck // it was killed
}

func own(t *testing.T) Folder {
	t.Helper()
	f, err := Find(filepath.Join(t.TempDir(), "locks"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func acquire(t *testing.T, f Folder, targets ...string) *Held {
	t.Helper()
	held, err := f.Acquire(targets, me())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Release)
	return held
}

func TestATargetHasOneHolderWhoIsNamed(t *testing.T) {
	f := own(t)
	held := acquire(t, f, "a", "b", "a")
	_, err := f.Acquire([]string{"0", "a"}, me())
	var taken *HeldError
	if !errors.As(err, &taken) || taken.By.PID != os.Getpid() || !strings.Contains(err.Error(), "which says: ada for window-1/compact") {
		t.Errorf("%v", err)
	}
	if _, held := f.Who("0"); held {
		t.Error("a set that was not had whole was kept in part")
	}
	held.Release()
	if by, still := f.Who("a"); still {
		t.Errorf("it was not given back: %v", by)
	}
	acquire(t, f, "a")
}

func TestKillingTheHolderFreesTheTarget(t *testing.T) {
	f := own(t)
	cmd, said := another(t, 0, f.Path(), "", "a")
	if said != "held" {
		t.Fatal(said)
	}
	by, held := f.Who("a")
	if !held || by.PID != cmd.Process.Pid || by.Claim.Who != "bob" {
		t.Errorf("held %v by %v, want process %d", held, by, cmd.Process.Pid)
	}
	if _, err := f.Acquire([]string{"a"}, me()); err == nil {
		t.Fatal("two processes hold one target")
	}
	end(cmd)
	if by, held := f.Who("a"); held {
		t.Errorf("a dead process still holds it: %v", by)
	}
	acquire(t, f, "a")
}

// TestAClaimOfAnotherProcessIsNotShown: a holder that was killed leaves its words
// in the file, and any process that may write there can put other words in.
func TestAClaimOfAnotherProcessIsNotShown(t *testing.T) {
	f := own(t)
	acquire(t, f, "a")
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(f.Path(), name("a")), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{`{"who":"eve","what":"x/y","pid":1}`, "", "not JSON", strings.Repeat("x", 100_000)} {
		write(text)
		if by, held := f.Who("a"); !held || by.PID != os.Getpid() || by.Claim != (Claim{}) {
			t.Errorf("%.20q: held %v by %v", text, held, by)
		}
	}
	write(fmt.Sprintf(`{"who":"\u001b[2Jeve","what":"x\ny","pid":%d}`, os.Getpid()))
	if by, _ := f.Who("a"); strings.ContainsAny(by.String(), "\x1b\n") {
		t.Errorf("shown as %q", by)
	}
}

func TestOnlyARegularFileWithOneNameIsLocked(t *testing.T) {
	for what, put := range map[string]func(path, elsewhere string) error{
		"a symbolic link": func(path, elsewhere string) error { return os.Symlink(elsewhere, path) },
		"a second name":   func(path, elsewhere string) error { return os.Link(elsewhere, path) },
		"a pipe":          func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"a folder":        func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a file that any user may open": func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o606))
		},
	} {
		t.Run(what, func(t *testing.T) {
			f, elsewhere := own(t), filepath.Join(t.TempDir(), "elsewhere")
			if err := os.WriteFile(elsewhere, []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := put(filepath.Join(f.Path(), name("a")), elsewhere); err != nil {
				t.Fatal(err)
			}
			_, err := f.Acquire([]string{"a"}, me())
			var taken *HeldError
			if err == nil || errors.As(err, &taken) {
				t.Errorf("it was locked, or counts as held: %v", err)
			}
			if text, err := os.ReadFile(elsewhere); string(text) != "kept" {
				t.Errorf("the file elsewhere is %q, %v", text, err)
			}
		})
	}
}

// TestAFileThatWasReplacedMeanwhileIsNotAccepted: a process that waits between
// opening and locking must not hold a file that no other process will find.
func TestAFileThatWasReplacedMeanwhileIsNotAccepted(t *testing.T) {
	f := own(t)
	dir, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	opened, err := f.openFile(dir, name("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if !current(dir, opened) {
		t.Error("the file is not the one of its name")
	}
	path := filepath.Join(f.Path(), name("a"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current(dir, opened) {
		t.Error("a file without a name was accepted")
	}
	acquire(t, f, "a")
	if current(dir, opened) {
		t.Error("a file that was replaced was accepted")
	}
}

func TestTheModeOfAFileDoesNotDependOnTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	f := own(t)
	f.file = 0o660
	acquire(t, f, "a")
	dir, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := f.createAtOnce(dir, "b"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{name("a"), "b"} {
		if info, err := os.Stat(filepath.Join(f.Path(), name)); err != nil || info.Mode() != 0o660 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestACommandOfTheHolderDoesNotGetTheLock(t *testing.T) {
	f := own(t)
	held := acquire(t, f, "a")
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	held.Release()
	acquire(t, f, "a")
}

func TestAFolderOfTheUsersOwnIsClosedToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "there", "locks")
	f, err := Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 || f.Alone() == "" {
		t.Errorf("%v, %v, alone %q", info.Mode(), err, f.Alone())
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(path); err == nil || !strings.Contains(err.Error(), "mode 0755") {
		t.Errorf("a folder that is open to others: %v", err)
	}
	if f, err := Find(path, path+"-2"); err != nil || f.Path() != path+"-2" {
		t.Errorf("the next is %v, %v", f.Path(), err)
	}
	if _, err := f.Acquire([]string{"a"}, me()); err == nil {
		t.Error("a folder that was opened to others meanwhile was used")
	}
}
