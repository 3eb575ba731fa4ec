package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// rounds is a section that can be walked beside a run that keeps the supervisor.
const rounds = "---\nrunbook: rounds\nschema: 1\n---\n# Rounds\n```yaml section\nid: rounds\ncadence: none\n```\n" +
	"- [ ] Up\n```yaml check\nid: up\nuse: sys.uptime\n```\n"

func (w *ward) siteFile() string { return filepath.Join(w.dir, "opsdeck.yaml") }

// edits replaces the site file, as an editor does.
func (w *ward) edits(text string) {
	w.t.Helper()
	if err := errors.Join(os.WriteFile(w.siteFile()+".new", []byte(text), 0o600), os.Rename(w.siteFile()+".new", w.siteFile())); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) text() string {
	w.t.Helper()
	raw, err := os.ReadFile(w.siteFile())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// comes joins the run as a process that has read that text.
func (w *ward) comes(text string) *supervisor.Session {
	w.t.Helper()
	sum := sha256.Sum256([]byte(text))
	c := &supervisor.Client{Socket: supervisor.SocketIn(w.state()), Version: "test", Site: func() supervisor.SiteFile {
		return supervisor.SiteFile{Path: w.siteFile(), Hash: hex.EncodeToString(sum[:])}
	}}
	s, err := c.Open(context.Background(), w.book, "count")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

// walks runs the rounds by the program, and returns its output and exit code.
func (w *ward) walks() (string, string) {
	w.t.Helper()
	cmd := exec.Command(w.bin, "run", "rounds", "--site", w.siteFile(), "--state", filepath.Join(w.dir, "state"), "--file", filepath.Join(w.dir, "rounds.md"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), exitOf(err)
	}
	return string(out), "0"
}

func armedOf(t *testing.T, s *supervisor.Session) runbooks.Hash {
	t.Helper()
	if err := s.Arm(t.Context(), "count"); err != nil {
		t.Fatal(err)
	}
	it, _ := s.Run().Item("count")
	a, _ := it.Latest()
	return a.Armed.Hash
}

// TestARunGoesByTheSiteFileAsItIs: a supervisor that an armed action keeps
// alive takes over the edited file before anything else begins.
func TestARunGoesByTheSiteFileAsItIs(t *testing.T) {
	w := newWard(t, "")
	if err := os.WriteFile(filepath.Join(w.dir, "rounds.md"), []byte(rounds), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve("")
	w.open() // waits until it serves
	first := w.text()
	s := w.comes(first)
	seen := armedOf(t, s)
	if out, code := w.walks(); code != "0" {
		t.Fatalf("before the edit: exit %s: %s", code, out)
	}

	second := first + "limits: {sys.uptime: {fail: up > 1ms}}\n"
	w.edits(second)
	if out, code := w.walks(); code != "2" || !strings.Contains(out, "up > 1ms") {
		t.Errorf("after the edit: exit %s: %s", code, out)
	}
	it := func() runbooks.Attempt { it, _ := s.Run().Item("count"); a, _ := it.Latest(); return a }
	until(t, "what was armed is taken back", func() bool { return strings.HasPrefix(it().Reason, "taken back: the site file was edited") })
	var other *supervisor.SiteError
	if err := s.Approve("count", "", seen); !errors.As(err, &other) {
		t.Errorf("a client with the old file: %v", err)
	}
	if err := w.comes(second).Approve("count", "", seen); err == nil || errors.As(err, &other) {
		t.Errorf("what was taken back was begun: %v", err)
	}
	if w.effects() != 0 {
		t.Error("it was done")
	}

	broken := second + "vras: {}\n"
	w.edits(broken)
	until(t, "who is there hears that the file cannot be used", func() bool { return strings.Contains(s.SiteFile().Problem, "vras") })
	if out, code := w.walks(); code != "65" {
		t.Errorf("with a broken file: exit %s: %s", code, out)
	}
	if err := w.comes(broken).Arm(t.Context(), "count"); !errors.As(err, &other) || !strings.Contains(err.Error(), "vras") {
		t.Errorf("a client with a file that the supervisor cannot use: %v", err)
	}
	keeps := w.comes(second)
	if err := keeps.Approve("count", "", armedOf(t, keeps)); err == nil || errors.As(err, &other) || !strings.Contains(err.Error(), "cannot be used") {
		t.Errorf("with the file that the supervisor keeps, and that its action cannot read: %v", err)
	}
	if it := w.settled(keeps); it.State != runbooks.Errored || w.effects() != 0 {
		t.Errorf("an action began although its site file cannot be read any more: %s, %d times", it.State, w.effects())
	}
}

// TestRunSaysThatTheSupervisorIsStopped with the exit code of state that cannot
// be written, and does not wait for it.
func TestRunSaysThatTheSupervisorIsStopped(t *testing.T) {
	w := newWard(t, "")
	if err := os.WriteFile(filepath.Join(w.dir, "rounds.md"), []byte(rounds), 0o600); err != nil {
		t.Fatal(err)
	}
	served := w.serve("")
	w.open()
	if err := served.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, code := w.walks()
	if code != "73" || !strings.Contains(out, "kill -CONT") {
		t.Errorf("exit %s after %v: %s", code, time.Since(began), out)
	}
	t.Logf("it said so after %v", time.Since(began))
}

// TestAStateDirectoryWithoutEffectIsAnError: the record is the supervisor's,
// which the site file names.
func TestAStateDirectoryWithoutEffectIsAnError(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: shared\nsupervisor: {socket: "+filepath.Join(dir, "s")+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"run", "daily"}, {"history"}, {"due"}, {"check", "sys.uptime"}, {"triage"}, {"doctor"}, {"report", "last"}} {
		out, err := exec.Command(built(t), append(command, "--site", site, "--state", dir)...).CombinedOutput()
		if err == nil || exitOf(err) != "64" || !strings.Contains(string(out), "--state has no effect here") {
			t.Errorf("%v: %v %s", command, err, out)
		}
	}
	if out, err := exec.Command(built(t), "verify", "--site", site, "--state", dir).CombinedOutput(); strings.Contains(string(out), "no effect") {
		t.Errorf("verify reads the files that it is given: %v %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "shared")); err == nil {
		t.Error("a state directory was made")
	}
}
