package cli_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// sharedDemo is a demo whose runs a group may join, with something to rebuild.
func sharedDemo(t *testing.T, group, state string) (site, socket string) {
	t.Helper()
	demo := exec.Command(built(t), "demo", "--headless", "--fetch=false", "--bloat", "120MiB", "--group", group, "--state", state)
	demo.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	demo.Stderr = t.Output()
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		demo.Process.Signal(syscall.SIGTERM)
		demo.Wait()
		endSupervisor(t, state)
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the demo printed no site file")
	}
	site = lines.Text()
	raw, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	required(t, strings.Contains(string(raw), "postgres:"), "the sandbox has no PostgreSQL on this machine")
	return site, filepath.Join(filepath.Dir(site), "run", "s.sock")
}

// TestAWindowOnTheDemoWithEverythingInIt: refused outside the window, the second
// signature from another user's process, the line gone in the middle of a real
// VACUUM FULL, its end seen after coming back, the run left, put back and the
// site opened; and the report has all of it.
func TestAWindowOnTheDemoWithEverythingInIt(t *testing.T) {
	required(t, os.Getuid() == 0, "making a user needs root")
	group := "nogroup"
	bob := newUser(t, "opsdeck-done-"+strconv.Itoa(os.Getpid()%100000))
	dir := t.TempDir()
	for at := dir; at != "/tmp" && at != "/"; at = filepath.Dir(at) {
		os.Chmod(at, 0o755) // another user has to come to the program
	}
	state := filepath.Join(dir, "state")
	site, socket := sharedDemo(t, group, state)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, self, filepath.Join(dir, "client"))
	source, err := library.FS.ReadFile("maintenance-window.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "maintenance-window.md"), source, 0o644); err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(bob.Uid) // it was just made
	gid, _ := strconv.Atoi(bob.Gid)
	asBob := func(item, verb string) (string, error) {
		cmd := exec.Command(filepath.Join(dir, "client"), socket, filepath.Join(dir, "maintenance-window.md"), "window", item, verb)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	open := func() walker {
		client := &supervisor.Client{Socket: socket, Version: "test"}
		s, err := client.Open(context.Background(), shippedSection(t, "window"), "window")
		if err != nil {
			t.Fatal(err)
		}
		return walker{t, s}
	}
	w := open()
	w.untilClosed()
	refusedThere := false
	if err := w.s.Arm(t.Context(), "maint-on"); err != nil {
		refusedThere = strings.Contains(err.Error(), "outside the window")
		if !refusedThere {
			t.Fatal(err)
		}
	}
	w.must(w.s.OverrideWindow("a rehearsal on the demo", time.Now().Add(time.Hour)))
	w.does("maint-on")
	w.does("final-backup")
	w.must(w.s.Skip("updates", "none on a demo", time.Time{}))
	w.must(w.s.Arm(t.Context(), "compact"))
	_, a := w.item("compact")
	if a.Armed == nil {
		t.Fatalf("the rebuild cannot be begun: %s", a.Reason)
	}
	if err := w.s.Approve("compact", a.Armed.Preview.Target, a.Armed.Hash); err == nil || !strings.Contains(err.Error(), "a second person must sign first") {
		t.Fatalf("one person alone: %v", err)
	}
	if out, err := asBob("compact", "sign"); err != nil {
		t.Fatalf("the second signature: %v %s", err, out)
	}
	w.must(w.s.Approve("compact", a.Armed.Preview.Target, a.Armed.Hash))
	if it, _ := w.item("compact"); it.State != runbooks.Running {
		t.Fatalf("the rebuild is %s", it.State)
	}
	w.s.Close() // the line
	if out, err := asBob("compact", "state"); err != nil || !strings.Contains(out, "running") {
		t.Errorf("without its driver the rebuild is %s %v", out, err)
	}
	w = open()
	defer w.s.Close()
	if state := w.decided("compact"); state != runbooks.Passed && state != runbooks.Warned {
		_, a = w.item("compact")
		t.Fatalf("the rebuild is %s: %+v", state, a.Outcome)
	}
	_, a = w.item("compact")
	if f, ok := a.Result.Fact("reclaimed", ""); !ok || f.Num < 20<<20 {
		t.Errorf("it gave back %v", f.Num)
	}
	w.leave()
	report, err := exec.Command(built(t), "--site", site, "report", "last").CombinedOutput()
	if err != nil {
		t.Fatalf("report: %v %s", err, report)
	}
	wanted := []string{
		"Driver away | the line of root", "while compact went on", "Preview signed |", bob.Username, "Window overridden |", "aborted", "the disk smells",
		"Put back what was changed | ", "the page answers 200", "Tell the users that the window was broken off",
	}
	if refusedThere {
		wanted = append(wanted, "Refused |", "outside the window: it opens")
	}
	for _, want := range wanted {
		if !strings.Contains(string(report), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", report)
	}
}

// untilClosed does what comes before the site is closed.
func (w walker) untilClosed() {
	w.t.Helper()
	w.must(w.s.StartAll())
	for _, id := range []string{"plan", "room", "locks", "bloat"} {
		w.decided(id)
	}
	w.does("announce")
	w.must(w.s.Confirm("notice", map[string]string{"sent_at": "2020-01-01 10:00", "link": "https://tickets.example.com/1"}))
}

// leave gives the run up and does what that offers.
func (w walker) leave() {
	w.t.Helper()
	w.must(w.s.Abort("the disk smells"))
	w.must(w.s.Confirm("put-back", map[string]string{"what": "nothing: the rebuild stays"}))
	w.does("maint-off")
	w.does("notify-abort")
	until(w.t, "the run has ended", func() bool { return w.s.Run().State == runbooks.Aborted })
}
