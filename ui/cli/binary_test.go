package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox"
	"github.com/advanced-lms/opsdeck/ui/screen"
)

// binary is the program as it is shipped, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "opsdeck")
	build := exec.Command("go", "build", "-o", path, "github.com/advanced-lms/opsdeck")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func built(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("building opsdeck: %v", err)
	}
	return path
}

// TestTheLinkerDropsWhatNobodyCalls: one template that is executed is enough,
// in whatever library, and every method of every library stays: ten megabytes
// on disk, four in memory, a slower start.
func TestTheLinkerDropsWhatNobodyCalls(t *testing.T) {
	program, err := os.ReadFile(built(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(program, []byte("net/http.(*Client).Do\x00")) {
		t.Fatal("the names of functions are not where they are looked for")
	}
	if bytes.Contains(program, []byte("text/template.(*state).evalField\x00")) {
		t.Error("text/template's reflection is linked: go build -ldflags=-dumpdep shows by whom")
	}
}

// headlessDemo starts a sandbox by the real program and returns its site file.
func headlessDemo(t *testing.T) (site string, demo *exec.Cmd) {
	t.Helper()
	demo = exec.Command(built(t), "demo", "--headless", "--fetch=false")
	demo.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	demo.Stderr = os.Stderr
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		demo.Process.Signal(syscall.SIGTERM)
		demo.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the demo printed no site file")
	}
	site = lines.Text()
	written, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"postgres:", "redis:"} {
		if !strings.Contains(string(written), kind) {
			if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
				t.Fatalf("the sandbox has no %s", kind)
			}
			t.Skipf("the sandbox has no %s on this machine", kind)
		}
	}
	return site, demo
}

// opsdeckJSON runs a command of the real program and decodes what it prints.
func opsdeckJSON(t *testing.T, into any, args ...string) (code int) {
	t.Helper()
	cmd := exec.Command(built(t), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("opsdeck %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return cmd.ProcessState.ExitCode()
}

type walked struct {
	Section string
	Level   string
	Items   []struct {
		Item, State, Level, Note, Error string
		Guide                           []int
	}
}

// TestTheDailyRoundFindsWhatTheSandboxPlanted is the whole program on real
// input: every planted fault is found, and nothing else is called unwell.
func TestTheDailyRoundFindsWhatTheSandboxPlanted(t *testing.T) {
	site, demo := headlessDemo(t)
	state := t.TempDir()
	var run walked
	code := opsdeckJSON(t, &run, "--site", site, "--state", state, "run", "daily", "--json")
	if code != 2 || run.Section != "daily" || run.Level != "crit" {
		t.Errorf("exit %d, section %s, level %s", code, run.Section, run.Level)
	}
	planted := sandbox.Planted()
	for _, it := range run.Items {
		want, ok := planted[it.Item]
		delete(planted, it.Item)
		if !ok {
			continue
		}
		var level checks.Level
		if err := level.UnmarshalText([]byte(it.Level)); err != nil && it.State != "not_applicable" {
			t.Errorf("%s is %q: %v", it.Item, it.Level, err)
		}
		if it.State == "not_applicable" {
			level = checks.Skipped
		}
		if !slices.Contains(want, level) {
			t.Errorf("%s is %v (%s %s), planted is %v", it.Item, level, it.Note, it.Error, want)
		}
	}
	for id := range planted {
		t.Errorf("the daily round has no item %s", id)
	}
	var seen []int
	for _, it := range run.Items {
		seen = append(seen, it.Guide...)
	}
	for row := 2; row <= 36; row++ {
		if !slices.Contains(seen, row) {
			t.Errorf("no item of the walk covers row %d of the guide", row)
		}
	}
	var report struct{ Code int }
	if code := opsdeckJSON(t, &report, "--site", site, "--state", state, "verify", "--json"); code != 0 || report.Code != 0 {
		t.Errorf("verify exits %d", code)
	}
	var results []checks.Result
	if code := opsdeckJSON(t, &results, "--site", site, "--state", state, "triage", "--json"); code != 2 || len(results) < 25 || results[0].Level != checks.Crit {
		t.Errorf("triage exits %d with %d results, the first is %v", code, len(results), results[0].Level)
	}
	if err := demo.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	demo.Wait()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Dir(site)); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("after kill -9 the sandbox is still there")
		}
	}
}

// TestTheDeckAsksTheTerminalNothing: no query before the first frame, also on
// a terminal that never answers.
func TestTheDeckAsksTheTerminalNothing(t *testing.T) {
	site := filepath.Join(t.TempDir(), "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: silent\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "TERM=xterm-256color", "HOME="+t.TempDir())
	screen.AsksNothing(t, "SYSTEM", env, built(t), "--site", site, "--state", t.TempDir())
}

// TestTheTerminalIsRestoredHoweverTheDeckEnds: by its key, by a signal, by a
// line that drops.
func TestTheTerminalIsRestoredHoweverTheDeckEnds(t *testing.T) {
	site := filepath.Join(t.TempDir(), "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: ending\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ends := map[string]func(*screen.Terminal){
		"q":      func(term *screen.Terminal) { term.Send("q") },
		"ctrl-c": func(term *screen.Terminal) { term.Send("\x03") },
		"TERM":   func(term *screen.Terminal) { term.Process().Signal(syscall.SIGTERM) },
		"HUP":    func(term *screen.Terminal) { term.Process().Signal(syscall.SIGHUP) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append(os.Environ(), "HOME="+t.TempDir())
			term := screen.Start(t, 80, 24, env, built(t), "--site", site, "--state", t.TempDir())
			term.WaitFor("SYSTEM")
			term.Resize(120, 40)
			term.Resize(40, 10)
			term.Resize(100, 30)
			term.WaitFor("RUNBOOK")
			end(term)
			if code := term.Wait(); code != 0 {
				t.Errorf("exit %d", code)
			}
			if left := screen.Modes(term.Raw()); len(left) > 0 {
				t.Errorf("the terminal is left with %v", left)
			}
		})
	}
}

func TestADroppedLineEndsTheDeck(t *testing.T) {
	site := filepath.Join(t.TempDir(), "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: dropped\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := screen.Start(t, 80, 24, append(os.Environ(), "HOME="+t.TempDir()), built(t), "--site", site, "--state", t.TempDir())
	term.WaitFor("SYSTEM")
	term.HangUp()
	term.Wait() // the test's own deadline is the limit: a deck that stays would spin
}

// TestADroppedLineEndsADeckThatNoSignalReaches: in a session of its own, as
// under "su -c", nothing tells a process that its terminal is gone but the
// terminal. A deck that stays would be taken for somebody who is at the run.
func TestADroppedLineEndsADeckThatNoSignalReaches(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: unheard\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := screen.Start(t, 80, 24, append(os.Environ(), "HOME="+t.TempDir()), lookPath(t, "setsid"), "--wait", built(t), "--site", site, "--state", t.TempDir())
	term.WaitFor("SYSTEM")
	decks := func() []int { return processesOf(t, "--site", dir) }
	if len(decks()) == 0 {
		t.Fatal("there is no deck")
	}
	term.HangUp()
	term.Wait()
	t.Cleanup(func() {
		for _, pid := range decks() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	until(t, "the deck has ended", func() bool { return len(decks()) == 0 })
}
