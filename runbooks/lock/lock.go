// Package lock keeps two actions on one host from touching one target at the
// same time, whatever site, user or state directory they belong to.
//
// A lock is an abstract Unix socket whose name is the hash of the target's. The
// kernel gives it to one process and takes it back when that process ends,
// however it ends: there is no file to be left over, and no permission that
// could keep a colleague from seeing it. Who holds it says so to anybody who
// connects. Across hosts the target itself must guard: a database by an
// advisory lock.
package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Holder is who holds a target, for whoever wants it too.
type Holder struct {
	Who  string    `json:"who"`  // the person
	What string    `json:"what"` // run and item
	PID  int       `json:"pid"`
	At   time.Time `json:"at"`
}

// String is the holder for an error message.
func (h Holder) String() string {
	text := h.Who
	if h.What != "" {
		text += " for " + h.What
	}
	return fmt.Sprintf("%s (process %d, since %s)", text, h.PID, h.At.Format("2006-01-02 15:04:05 MST"))
}

// A HeldError says that somebody else works at the target.
type HeldError struct {
	Target string
	By     Holder
}

// Error names the target and who holds it.
func (e *HeldError) Error() string { return e.Target + " is being worked at by " + e.By.String() }

// Held is a set of targets that this process holds. It ends with Release, or
// with the process.
type Held struct {
	listeners []net.Listener
	answers   sync.WaitGroup
}

// Acquire takes all targets or none. It does not wait: a target that somebody
// holds is a *HeldError.
func Acquire(targets []string, me Holder) (*Held, error) {
	targets = slices.Compact(slices.Sorted(slices.Values(targets)))
	card, err := json.Marshal(me)
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	h := &Held{}
	for _, target := range targets {
		l, err := net.Listen("unix", name(target))
		if err != nil {
			h.Release()
			if errors.Is(err, syscall.EADDRINUSE) {
				by, _ := Who(target)
				return nil, &HeldError{target, by}
			}
			return nil, fmt.Errorf("locking %s: %w", target, err)
		}
		h.listeners = append(h.listeners, l)
		h.answers.Go(func() { answer(l, card) })
	}
	return h, nil
}

// Release gives the targets back.
func (h *Held) Release() {
	for _, l := range h.listeners {
		l.Close() //nolint:errcheck // the kernel takes it back either way
	}
	h.answers.Wait()
}

// answer shows the card to everybody who asks.
func answer(l net.Listener, card []byte) {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(50 * time.Millisecond) // out of descriptors: the lock holds all the same
			continue
		}
		conn.SetDeadline(time.Now().Add(time.Second)) //nolint:errcheck // a closed connection fails the write
		conn.Write(card)                              //nolint:errcheck // whoever asked has gone
		conn.Close()                                  //nolint:errcheck // nothing is lost
	}
}

// Who holds the target now. The words are the holder's own and come cleaned:
// any process of the host may have said them.
func Who(target string) (Holder, bool) {
	const patience = time.Second
	conn, err := net.DialTimeout("unix", name(target), patience)
	if err != nil {
		return Holder{}, false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // a closed connection fails the read
	var h Holder
	if err := json.NewDecoder(io.LimitReader(conn, 4096)).Decode(&h); err != nil {
		return Holder{Who: "a process that does not say who it is"}, true
	}
	h.Who, h.What = clean.Line(h.Who, 80), clean.Line(h.What, 80)
	return h, true
}

func name(target string) string {
	sum := sha256.Sum256([]byte(target))
	return "@opsdeck/lock/" + hex.EncodeToString(sum[:16])
}
