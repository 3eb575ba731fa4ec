package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/ui/screen"
)

// deck starts the real deck on the ward and opens its one section.
func (w *ward) deck() *screen.Terminal {
	w.t.Helper()
	term := w.terminal()
	term.Send("4z")
	term.WaitFor("when needed")
	for range 60 { // down to the ward's own section, wherever it stands
		if onCursor(term.Screen(), "Count") {
			break
		}
		term.Send("j")
		time.Sleep(150 * time.Millisecond)
	}
	term.Send("\r")
	term.WaitUntil("the run is open", func(s string) bool { return strings.Contains(s, "count 0/1") || strings.Contains(s, "count 1/1") })
	return term
}

// terminal is a deck as it comes up.
func (w *ward) terminal() *screen.Terminal {
	w.t.Helper()
	env := append(os.Environ(), "HOME="+w.dir, "LC_ALL=C.UTF-8")
	term := screen.Start(w.t, 100, 70, env, w.bin, "--site", filepath.Join(w.dir, "opsdeck.yaml"), "--state", filepath.Join(w.dir, "state"), "--runbooks", w.dir)
	term.WaitFor("RUNBOOK")
	return term
}

// onCursor reports whether the line with the cursor has the text.
func onCursor(view, text string) bool {
	for _, line := range strings.Split(view, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), ">") && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// TestTheNextDeckShowsWhatTheLastOneBegan: a deck begins an action and ends in
// every way a deck can; the next one shows it live, with its output.
func TestTheNextDeckShowsWhatTheLastOneBegan(t *testing.T) {
	for name, end := range map[string]func(*screen.Terminal){
		"kill -9": func(term *screen.Terminal) { term.Process().Signal(syscall.SIGKILL) },
		"HUP":     func(term *screen.Terminal) { term.HangUp() },
		"q":       func(term *screen.Terminal) { term.Send("q") },
		"ctrl-c":  func(term *screen.Terminal) { term.Send("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.5; done")
			t.Cleanup(func() { endSupervisor(t, w.dir) })
			term := w.deck()
			term.Send("x")
			term.WaitFor("if it dies")
			term.Send("y")
			term.WaitFor("running")
			end(term)
			term.Wait()
			next := w.deck()
			next.WaitUntil("the action is live", func(s string) bool { return strings.Contains(s, "running") })
			next.Send("\r")
			next.WaitFor("line 4")
			next.Send("\x1b")
			next.WaitUntil("the action has passed", func(s string) bool { return strings.Contains(s, "[x]") || strings.Contains(s, "1/1") })
			if n := w.effects(); n != 1 {
				t.Errorf("it was done %d times", n)
			}
			next.Send("q")
			next.Wait()
		})
	}
}

// TestTheScreenIsRightSoonAfterTheSupervisorDied: the supervisor dies by kill -9
// under an action that ends in the same moment. The deck starts the next one,
// which finds the result, records it, looks from outside, and tells. How long
// that took is logged, and asserted nowhere: the host may be busy.
func TestTheScreenIsRightSoonAfterTheSupervisorDied(t *testing.T) {
	longest := time.Duration(0)
	for range 3 {
		w := newWard(t, "until [ -e $(dirname $0)/release ]; do sleep 0.02; done")
		t.Cleanup(func() { endSupervisor(t, w.dir) })
		term := w.deck()
		term.Send("x")
		term.WaitFor("if it dies")
		term.Send("y")
		term.WaitFor("running")
		until(t, "the action runs", func() bool { return w.effects() == 1 })
		pids := supervisorsOf(t, w.dir)
		if len(pids) != 1 {
			t.Fatalf("%d supervisors", len(pids))
		}
		began := time.Now()
		if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "release"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		term.WaitUntil("the action has passed", func(s string) bool { return strings.Contains(s, "[x]") && strings.Contains(s, "1/1") })
		longest = max(longest, time.Since(began))
		if next := supervisorsOf(t, w.dir); len(next) != 1 || next[0] == pids[0] {
			t.Errorf("supervisors %v after %v", next, pids)
		}
		if n := w.effects(); n != 1 {
			t.Errorf("it was done %d times", n)
		}
		term.Send("q")
		term.Wait()
	}
	t.Logf("from the supervisor's death to the right state on the screen: %v at most", longest.Round(time.Millisecond))
}
