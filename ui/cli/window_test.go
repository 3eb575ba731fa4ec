package cli_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// shippedSection is a section of the shipped library.
func shippedSection(t *testing.T, name string) runbooks.Runbook {
	t.Helper()
	registry, err := checks.NewRegistry(families()...)
	if err != nil {
		t.Fatal(err)
	}
	book, _, err := markdown.Load(markdown.Options{Registry: registry}, markdown.Layer{Name: "shipped", FS: library.FS}).Section(name)
	if err != nil {
		t.Fatal(err)
	}
	return book.Runbook
}

// walker walks a run the way a person would, answering what it is told to.
type walker struct {
	t *testing.T
	s *supervisor.Session
}

func (w walker) item(id string) (runbooks.ItemRun, runbooks.Attempt) {
	it, ok := w.s.Run().Item(id)
	if !ok {
		w.t.Fatalf("no item %s", id)
	}
	a, _ := it.Latest()
	return it, a
}

func (w walker) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// decided waits until an item is.
func (w walker) decided(id string) runbooks.State {
	w.t.Helper()
	until(w.t, id+" is decided", func() bool { it, _ := w.item(id); return it.State.Decided() })
	it, _ := w.item(id)
	return it.State
}

// does arms an action, types the target's name and waits for its end.
func (w walker) does(id string) {
	w.t.Helper()
	w.must(w.s.Arm(w.t.Context(), id))
	it, a := w.item(id)
	if it.State != runbooks.Armed {
		w.t.Fatalf("%s is %s: %s", id, it.State, a.Reason)
	}
	w.must(w.s.Approve(id, a.Armed.Preview.Target, a.Armed.Hash))
	if state := w.decided(id); state != runbooks.Passed && state != runbooks.Warned {
		_, a = w.item(id)
		w.t.Fatalf("%s is %s: %+v %+v", id, state, a.Outcome, a.Verified)
	}
}

func statusOf(t *testing.T, url string) int {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestTheMaintenanceWindowIsWalkedToItsEnd on the sandbox: the site is closed,
// backed up, tested and opened again, and what needs a second person or another
// day is said so.
func TestTheMaintenanceWindowIsWalkedToItsEnd(t *testing.T) {
	site, _ := headlessDemo(t)
	w := walker{t, openAt(t, site, shippedSection(t, "window"), "window")}
	page := pageOf(t, site)

	w.must(w.s.StartAll())
	for _, id := range []string{"plan", "room", "locks"} {
		w.decided(id)
	}
	w.does("announce")
	w.must(w.s.Confirm("notice", map[string]string{"sent_at": time.Now().Format(time.RFC3339), "link": "https://tickets.example.com/1"}))
	if it, _ := w.item("notice"); it.State != runbooks.Passed {
		w.must(w.s.Override("notice", "a rehearsal on the sandbox", time.Now().Add(time.Hour)))
	}
	if err := w.s.Arm(t.Context(), "maint-on"); err == nil {
		t.Log("the window is open right now")
	} else if !strings.Contains(err.Error(), "outside the window") {
		t.Fatal(err)
	}
	w.must(w.s.OverrideWindow("a rehearsal on the sandbox", time.Now().Add(time.Hour)))
	w.does("maint-on")
	if got := statusOf(t, page); got != http.StatusServiceUnavailable {
		t.Errorf("the closed site answers %d", got)
	}
	w.does("final-backup")
	for _, id := range []string{"updates", "compact", "reindex", "reboot"} {
		w.must(w.s.Skip(id, "needs a second person", time.Time{}))
	}
	w.must(w.s.StartAll())
	for _, id := range []string{"smoke-api", "smoke-db", "smoke-cache", "smoke-stack", "major-upgrade"} {
		if state := w.decided(id); state == runbooks.Failed || state == runbooks.Errored {
			_, a := w.item(id)
			t.Errorf("%s is %s: %s %s", id, state, a.Result.Note, a.Result.Err)
		}
	}
	w.must(w.s.Confirm("smoke-login", map[string]string{"works": "yes", "by": "the test"}))
	w.must(w.s.Decide("go", "open"))
	w.does("maint-off")
	if got := statusOf(t, page); got != http.StatusOK {
		t.Errorf("the opened site answers %d", got)
	}
	w.must(w.s.Start("watch"))
	until(t, "the watch has looked once", func() bool { _, a := w.item("watch"); return a.Hold != nil && a.Hold.Samples > 0 })
	w.must(w.s.Cancel("watch", "an hour is long for a test"))
	w.decided("watch")
	w.must(w.s.StartAll())
	w.decided("watch-errors")
	w.does("notify-done")
	if err := w.s.Confirm("day-after", map[string]string{"well": "yes", "ticket": "https://tickets.example.com/2"}); err == nil {
		t.Error("the day after was confirmed on the same day")
	}
	if due, ok := w.s.Run().FollowUp(mustItem(w, "day-after")); !ok || time.Until(due) < 23*time.Hour {
		t.Errorf("the follow-up is due %v", due)
	}
	if err := w.s.Finish(""); err == nil || !strings.Contains(err.Error(), "day-after") {
		t.Errorf("finished before the day after: %v", err)
	}
}

func mustItem(w walker, id string) runbooks.ItemRun {
	it, _ := w.item(id)
	return it
}

// TestAWindowThatIsLeftOpensTheSite: the way out is offered first and is what
// ends the run.
func TestAWindowThatIsLeftOpensTheSite(t *testing.T) {
	site, _ := headlessDemo(t)
	w := walker{t, openAt(t, site, shippedSection(t, "window"), "window")}
	page := pageOf(t, site)
	w.must(w.s.StartAll())
	for _, id := range []string{"plan", "room", "locks", "bloat"} {
		w.decided(id)
	}
	w.must(w.s.Skip("announce", "left", time.Time{}))
	w.must(w.s.Confirm("notice", map[string]string{"sent_at": "2020-01-01 10:00", "link": "https://tickets.example.com/1"}))
	w.must(w.s.OverrideWindow("a rehearsal on the sandbox", time.Now().Add(time.Hour)))
	w.does("maint-on")
	if err := w.s.Confirm("put-back", map[string]string{"what": "nothing"}); err == nil {
		t.Error("put back in a run that nobody leaves")
	}
	w.must(w.s.Abort("the backup cannot be made"))
	if run := w.s.Run(); run.State != runbooks.Aborting || run.WaysOut()[0].ID != "maint-off" {
		t.Fatalf("the run is %s, the way out %v", run.State, run.WaysOut())
	}
	w.must(w.s.Confirm("put-back", map[string]string{"what": "nothing was changed yet"}))
	w.does("maint-off")
	if got := statusOf(t, page); got != http.StatusOK {
		t.Errorf("the opened site answers %d", got)
	}
	w.does("notify-abort")
	until(t, "the run has ended", func() bool { return w.s.Run().State == runbooks.Aborted })
}

// pageOf is the page that maintenance closes.
func pageOf(t *testing.T, site string) string {
	t.Helper()
	raw, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "  web: ")
	base, _, _ := strings.Cut(rest, "\n")
	return base + "/health"
}

// openAt opens a section at the site's supervisor, which it starts.
func openAt(t *testing.T, site string, book runbooks.Runbook, section string) *supervisor.Session {
	t.Helper()
	state := t.TempDir()
	dir := filepath.Join(state, "demo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(built(t), "supervise", "--site", site, "--state", state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	client := &supervisor.Client{Socket: supervisor.SocketIn(dir), Version: "test"}
	var s *supervisor.Session
	until(t, "the supervisor serves", func() bool {
		var err error
		s, err = client.Open(context.Background(), book, section)
		return err == nil
	})
	t.Cleanup(func() { s.Close() })
	return s
}
