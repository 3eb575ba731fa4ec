package ui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	// The test binary is also the program on the terminal, so it needs what
	// main needs.
	_ "github.com/advanced-lms/opsdeck/ui/theme/settled"

	"github.com/advanced-lms/opsdeck/ui/screen"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// asDeck makes the test binary a deck on its own terminal.
const asDeck = "OPSDECK_TEST_DECK"

func TestMain(m *testing.M) {
	if how := os.Getenv(asDeck); how != "" {
		os.Exit(runDeck(how))
	}
	os.Exit(m.Run())
}

func runDeck(how string) int {
	if how == "stalled" {
		go stallTerminal()
	}
	log, err := os.OpenFile(os.Getenv("OPSDECK_TEST_LOG"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println("error:", err)
		return 73
	}
	var monitor Monitor = newFakeMonitor(scene())
	if how == "broken" {
		monitor = brokenMonitor{monitor}
	}
	err = Run(context.Background(), Deps{
		Monitor: monitor, Panes: liveDeck(), Host: "web1", Site: "PROD", Env: os.Getenv,
		Theme: newTheme(theme.Detect(os.Getenv, theme.Flags{})), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		fmt.Println("error:", err)
		return 70
	}
	return 0
}

// brokenMonitor panics where the deck itself, and no pane, is at fault.
type brokenMonitor struct{ Monitor }

func (brokenMonitor) Again(...string) { panic("broken monitor") }

// stallTerminal waits for SIGUSR1, fills the terminal's buffer until it takes
// nothing any more, and then tells the program to stop.
func stallTerminal() {
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, syscall.SIGUSR1)
	<-begin
	fd, err := syscall.Open("/dev/tty", syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		panic(err)
	}
	for full := 0; full < 20; {
		// A large write may be refused where small ones still fit.
		if _, err := syscall.Write(fd, make([]byte, pick(full == 0, 1024, 1))); err != syscall.EAGAIN {
			full = pick(full > 0, 1, 0)
			continue
		}
		full++
		time.Sleep(5 * time.Millisecond) // the reader may be in its last read
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		panic(err)
	}
}

func startDeck(t *testing.T, how string) (term *screen.Terminal, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "deck.log")
	return screen.AsksNothing(t, "WORST FIRST", []string{asDeck + "=" + how, "OPSDECK_TEST_LOG=" + log}, os.Args[0]), log
}

func TestTheDeckLeavesTheTerminalAsItWas(t *testing.T) {
	for _, keys := range []string{"q", "\x03"} {
		term, _ := startDeck(t, "calm")
		term.Send("2")
		term.Send(keys)
		if code := term.Wait(); code != 0 {
			t.Errorf("%q: exit code %d", keys, code)
		}
		if left := screen.Modes(term.Raw()); len(left) > 0 {
			t.Errorf("%q leaves on: %v", keys, left)
		}
	}
}

func TestAPanicOfTheDeckRestoresTheTerminalAndIsLogged(t *testing.T) {
	term, log := startDeck(t, "broken")
	term.Send("r")
	if code := term.Wait(); code != 70 {
		t.Errorf("exit code %d", code)
	}
	if left := screen.Modes(term.Raw()); len(left) > 0 {
		t.Errorf("left on: %v", left)
	}
	if said, err := os.ReadFile(log); err != nil || !strings.Contains(string(said), "brokenMonitor") {
		t.Errorf("the log says %q (%v)", said, err)
	}
}

func TestSignalsAndHangUpAreANormalDetach(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		term, _ := startDeck(t, "calm")
		if err := term.Process().Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := term.Wait(); code != 0 {
			t.Errorf("%v: exit code %d", sig, code)
		}
		if left := screen.Modes(term.Raw()); len(left) > 0 {
			t.Errorf("%v leaves on: %v", sig, left)
		}
	}
	term, _ := startDeck(t, "calm")
	term.HangUp()
	if code := term.Wait(); code != 0 {
		t.Errorf("hang-up: exit code %d", code)
	}
}

func TestTheDeckLeavesATerminalThatTakesNothing(t *testing.T) {
	term, log := startDeck(t, "stalled")
	term.Stall()
	if err := term.Process().Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if code := term.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if said, err := os.ReadFile(log); err != nil || !strings.Contains(string(said), "the terminal takes nothing") {
		t.Errorf("the log says %q (%v)", said, err)
	}
}

func TestTheTerminalMayHaveAnySizeAtAnyTime(t *testing.T) {
	term, _ := startDeck(t, "calm")
	for _, size := range [][2]int{{1, 1}, {300, 100}, {2, 1}, {1, 100}, {120, 40}} {
		term.Resize(size[0], size[1])
	}
	shown := term.WaitUntil("fill 120 columns", func(s string) bool { return strings.Contains(s, "2026-11-23 ") || strings.Contains(s, " UTC ") })
	if n := strings.Count(shown, "\n"); n != 39 {
		t.Errorf("%d lines:\n%s", n+1, shown)
	}
	term.Send("q")
	term.Wait()
}

func TestEndsAreToldFromErrors(t *testing.T) {
	for _, err := range []error{nil, fmt.Errorf("%w: %w", tea.ErrProgramKilled, context.Canceled), tea.ErrInterrupted, fmt.Errorf("read: %w", syscall.EIO)} {
		if got := detached(err); got != nil {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := detached(errors.New("no tty")); err == nil || !strings.Contains(err.Error(), "showing the deck: no tty") {
		t.Errorf("got %v", err)
	}
}
