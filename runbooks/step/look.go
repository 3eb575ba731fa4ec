package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// A Card names a process: its id means nothing without its start time and the
// boot it belongs to.
type Card struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// proc is where processes are looked at; a test has its own.
var proc = "/proc"

// Self is the card of this process.
func Self() (Card, error) {
	start, _, err := statOf(os.Getpid())
	if err != nil {
		return Card{}, fmt.Errorf("looking at our own process: %w", err)
	}
	return Card{os.Getpid(), start, bootID()}, nil
}

// Alive reports whether the very process is there. A zombie is not.
func (c Card) Alive() bool {
	start, state, err := statOf(c.PID)
	return err == nil && start == c.Start && c.Boot == bootID() && state != 'Z' && state != 'X'
}

func bootID() string {
	raw, err := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(raw))
}

// statOf reads a process's start time and state. The name in it may hold
// anything, so fields are counted from the last parenthesis.
func statOf(pid int) (start uint64, state byte, err error) {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := cutLast(string(raw), ") ")
	fields := strings.Fields(rest)
	const startField = 19 // counted from the state
	if !ok || len(fields) <= startField {
		return 0, 0, fmt.Errorf("process %d: its stat cannot be read", pid)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return start, fields[0][0], err
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// State is how a step stands.
type State int

// The states.
const (
	NotStarted State = iota // nobody began it
	Running
	Finished // there is a result
	Gone     // it began, there is no result, and its process is no more
)

// A Status is how a step stands, with what is known of it.
type Status struct {
	State   State
	Card    Card
	Outcome Outcome
	Why     string // of one that is gone
}

// An Outcome is what a step leaves behind.
type Outcome struct {
	Result     checks.Result `json:"result"`
	Started    time.Time     `json:"started"`
	Ended      time.Time     `json:"ended"`
	Cancelled  bool          `json:"cancelled,omitempty"`
	Output     int64         `json:"output"`                // bytes written, kept or not
	OutputHash string        `json:"output_hash,omitempty"` // SHA-256 of what was kept, in hexadecimal
	Truncated  bool          `json:"truncated,omitempty"`
	Tail       string        `json:"tail,omitempty"`
	Left       []string      `json:"left,omitempty"` // processes that outlived it and were ended
	CPU        time.Duration `json:"cpu,omitempty"`
	MaxRSS     int64         `json:"max_rss,omitempty"`
}

// Look says how the step stands. The result counts, whatever became of the
// process; without one, the process does.
func (f Folder) Look() Status {
	s, ok := f.finished()
	if ok {
		return s
	}
	if err := f.read(cardFile, &s.Card); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !f.locked() {
			return Status{State: NotStarted}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return Status{State: Running} // it has begun to begin
		}
		return Status{State: Gone, Why: err.Error()}
	}
	if s.Card.Alive() {
		s.State = Running
		return s
	}
	if done, ok := f.finished(); ok { // it ended while we looked
		return done
	}
	s.State, s.Why = Gone, "its process is no more"
	if s.Card.Boot != bootID() {
		s.Why = "the host was started anew since"
	}
	return s
}

func (f Folder) finished() (Status, bool) {
	var s Status
	err := f.read(resultFile, &s.Outcome)
	switch {
	case err == nil:
		s.State = Finished
		f.read(cardFile, &s.Card) //nolint:errcheck // a result without a card is a result
		return s, true
	case errors.Is(err, fs.ErrNotExist):
		return s, false
	}
	return Status{State: Gone, Why: err.Error()}, true
}

// Live is the output from a position on, clean, and how far the step is.
func (f Folder) Live(from int64, most int) (text string, next int64, err error) {
	in, err := f.open(outputFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", from, nil
	}
	if err != nil {
		return "", from, err
	}
	defer in.Close()
	raw := make([]byte, most)
	n, err := in.ReadAt(raw, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", from, fmt.Errorf("reading the output: %w", err)
	}
	raw = raw[:n]
	if cut := strings.LastIndexByte(string(raw), '\n'); cut >= 0 && n == most {
		raw = raw[:cut+1] // whole lines, so that no character is torn
	}
	return clean.Block(string(raw), 2*most), from + int64(len(raw)), nil
}

// Progress is how far the step is; ok is false if it has not said so.
func (f Folder) Progress() (p checks.Progress, at time.Time, ok bool) {
	var w progressWire
	if err := f.read(progressFile, &w); err != nil {
		return p, at, false
	}
	return checks.Progress{Done: w.Done, Total: w.Total, What: clean.Line(w.What, 80)}, w.At, true
}

type progressWire struct {
	Done, Total float64
	What        string
	At          time.Time
}

// Cancel asks the step to end and waits; after grace it ends it and all that
// it started. It returns when the step is seen to be gone.
func (f Folder) Cancel(ctx context.Context, grace time.Duration) error {
	if err := f.place(cancelFile, []byte("cancel\n"), false); err != nil {
		return fmt.Errorf("asking the step to end: %w", err)
	}
	s := f.Look()
	if s.State == Running && s.Card.PID > 0 && s.Card.Alive() {
		syscall.Kill(s.Card.PID, syscall.SIGTERM) //nolint:errcheck // it may just have ended
	}
	if f.awaitEnd(ctx, grace) {
		return nil
	}
	s = f.Look()
	if s.State == Running && s.Card.Alive() {
		for _, pid := range family(s.Card.PID) {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may just have ended
		}
	}
	if !f.awaitEnd(ctx, grace) {
		return errors.New("the step does not end")
	}
	return nil
}

func (f Folder) awaitEnd(ctx context.Context, patience time.Duration) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if f.Look().State != Running {
			return true
		}
		select {
		case <-ctx.Done():
			return f.Look().State != Running
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
}

// family is a process and all below it, the deepest first. What a step starts
// stays below it, because it is a subreaper.
func family(root int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir(proc) // without /proc there is nothing to find
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	var all []int
	var visit func(int)
	visit = func(pid int) {
		for _, child := range children[pid] {
			visit(child)
		}
		all = append(all, pid)
	}
	visit(root)
	return all
}

func parentOf(pid int) (int, bool) {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	_, rest, _ := cutLast(string(raw), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}
