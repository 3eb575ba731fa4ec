package cli_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// TestEightClientsBeginAnActionOnce: all arm and approve as fast as they can;
// one gets through at a time, and every success is one effect.
func TestEightClientsBeginAnActionOnce(t *testing.T) {
	t.Parallel()
	w := newWard(t, "")
	w.serve("")
	var all sync.WaitGroup
	var mu sync.Mutex
	begun, refusals := 0, map[string]int{}
	for range 8 {
		s := w.open()
		all.Go(func() {
			for range 10 {
				s.Arm(t.Context(), "count") // somebody else may have
				it, _ := s.Run().Item("count")
				a, ok := it.Latest()
				if !ok || a.Armed == nil {
					continue
				}
				err := s.Approve("count", "", a.Armed.Hash)
				mu.Lock()
				if err == nil {
					begun++
				} else {
					refusals[err.Error()]++
				}
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			}
		})
	}
	all.Wait()
	s := w.open()
	w.settled(s)
	if n := w.effects(); n != begun || begun == 0 {
		t.Errorf("%d begun, done %d times; refused: %v", begun, n, refusals)
	}
	if len(refusals) == 0 {
		t.Error("nobody was ever refused")
	}
}

// TestTwoRunsDoNotWorkAtOneTarget: two sites in two state directories name one
// program; the second is told who works at it.
func TestTwoRunsDoNotWorkAtOneTarget(t *testing.T) {
	t.Parallel()
	one, two := newWard(t, "sleep 3"), newWard(t, "")
	shared := filepath.Join(one.dir, "count.sh")
	site := "schema: 1\nsite: ward\ncommands:\n  count: {argv: [" + shared + "], timeout: 30s}\n"
	if err := os.WriteFile(filepath.Join(two.dir, "opsdeck.yaml"), []byte(site), 0o700); err != nil {
		t.Fatal(err)
	}
	one.serve("")
	two.serve("")
	first, second := one.open(), two.open()
	one.begin(first)
	until(t, "the first works", func() bool { return one.effects() == 1 })
	if err := second.Arm(t.Context(), "count"); err != nil {
		t.Fatal(err)
	}
	it, _ := second.Run().Item("count")
	a, _ := it.Latest()
	err := second.Approve("count", "", a.Armed.Hash)
	if err == nil || !strings.Contains(err.Error(), "is being worked at by") || !strings.Contains(err.Error(), first.Run().ID) {
		t.Errorf("the second was not told: %v", err)
	}
	one.settled(first)
	if err := second.Approve("count", "", a.Armed.Hash); err != nil {
		t.Errorf("and not let when the first had ended: %v", err)
	}
	two.settled(second)
	if n := one.effects(); n != 2 {
		t.Errorf("done %d times", n)
	}
}

// TestRandomDeathsLoseAndDoubleNothing kills deck, supervisor, step and all of
// them with kill -9 at random times, 1,000 times where OPSDECK_CRASHES says so.
// What a client was told stands; what stands happened; nothing happened twice.
func TestRandomDeathsLoseAndDoubleNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills for a while")
	}
	rounds := 24
	if n, err := strconv.Atoi(os.Getenv("OPSDECK_CRASHES")); err == nil {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills", seed, rounds)
	const wards = 4 // side by side: each waits more than it works
	for lane := range uint64(wards) {
		t.Run(strconv.FormatUint(lane, 10), func(t *testing.T) {
			t.Parallel()
			deaths(t, rand.New(rand.NewPCG(seed, lane)), (rounds+wards-1)/wards)
		})
	}
}

func deaths(t *testing.T, random *rand.Rand, rounds int) {
	w := newWard(t, "sleep 0.02")
	server := w.serve("")
	s := w.open()
	killed := map[string]int{}
	for attempts := 1; attempts <= rounds; attempts++ {
		it, _ := s.Run().Item("count")
		if it.State == runbooks.Interrupted {
			if err := s.Resolve("count", true, "the test does not care"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Note("", "acknowledged"); err != nil {
			t.Fatal(err)
		}
		before := w.effects()
		w.begin(s)
		time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
		who := []string{"step", "step", "step", "supervisor", "supervisor", "supervisor", "all", "all", "deck"}[random.IntN(9)]
		killed[who]++
		if who == "step" || who == "all" {
			w.killStep(s)
		}
		if who == "supervisor" || who == "all" {
			server.Process.Kill()
			server.Wait()
			server = w.serve("")
		}
		if who == "deck" {
			w.killDeck()
		}
		if it = w.settled(s); it.State == runbooks.Passed && w.effects() < passed(it) {
			t.Fatalf("%d attempts passed, done %d times", passed(it), w.effects())
		}
		if n := w.effects() - before; n > 1 {
			t.Fatalf("attempt %d was done %d times", attempts, n)
		}
	}
	it, _ := s.Run().Item("count")
	if n := w.effects(); n > rounds || n < passed(it) {
		t.Errorf("%d attempts, %d passed, done %d times", rounds, passed(it), n)
	}
	if n := s.Run().Notes.Len(); n != rounds {
		t.Errorf("%d notes were acknowledged, %d are there", rounds, n)
	}
	if report := journal.Verify(w.state(), nil); report.Status != journal.Intact {
		t.Errorf("%+v", report)
	}
	t.Logf("killed %v, done %d times, %d recorded as passed", killed, w.effects(), passed(it))
}

func (w *ward) killStep(s *supervisor.Session) {
	it, _ := s.Run().Item("count")
	if a, ok := it.Latest(); ok && a.Process != nil {
		syscall.Kill(a.Process.PID, syscall.SIGKILL) // it may have ended
	}
}

// killDeck opens a deck beside the client and kills it as the line's end would
// not.
func (w *ward) killDeck() {
	term := w.terminal()
	term.Process().Signal(syscall.SIGKILL)
	term.Wait()
}

// passed is how many attempts are recorded as done, those that a person
// resolved for the test left out.
func passed(it runbooks.ItemRun) int {
	n := 0
	for a := range it.Attempts.All() {
		if a.State == runbooks.Passed && (a.Resolved == nil || a.Verified != nil) {
			n++
		}
	}
	return n
}

// TestAFloodThroughTheWholeStack: endless output, a child that holds the pipe
// and ignores TERM. The item ends, the supervisor stays small, and what was
// left behind is named.
func TestAFloodThroughTheWholeStack(t *testing.T) {
	t.Parallel()
	w := newWard(t, "(trap '' TERM; setsid sleep 300) &\nexec yes 0123456789012345678901234567890123456789012345678901234567890123456789")
	server := w.serve("")
	s := w.open()
	w.begin(s)
	until(t, "it writes", func() bool {
		live, err := s.Live("count", 0)
		return err == nil && live.Total > 1<<20
	})
	it := w.settled(s)
	a, _ := it.Latest()
	if it.State == runbooks.Passed || a.Outcome == nil || !a.Outcome.Truncated && a.Outcome.Output < 32<<20 {
		t.Errorf("it is %s: %+v", it.State, a.Outcome)
	}
	var said string
	if a.Outcome != nil {
		said = strings.Join(append(a.Outcome.Left, a.Outcome.Result.Detail...), "\n") + a.Outcome.Result.Err + a.Outcome.Result.Note
	}
	if !strings.Contains(said, "sleep") {
		t.Errorf("what was left behind is not named: %q", said)
	}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(server.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	if kb, _ := strconv.Atoi(strings.Fields(rest)[0]); kb > 120<<10 {
		t.Errorf("the supervisor grew to %d kB", kb)
	}
}
