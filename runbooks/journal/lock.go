package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A Holder says who writes a journal: shown to whoever is turned away.
type Holder struct {
	PID     int       `json:"pid"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	TTY     string    `json:"tty,omitempty"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// String is one line: "dana, pid 4711 on web1 (pts/3), since 03:07:12 UTC".
func (h Holder) String() string {
	where := h.Host
	if h.TTY != "" {
		where += " (" + h.TTY + ")"
	}
	return fmt.Sprintf("%s, pid %d on %s, since %s", h.User, h.PID, where, h.Since.Format("15:04:05 MST"))
}

// Held is the error of a journal that another process writes.
type Held struct{ Holder Holder }

// Error names the holder.
func (e *Held) Error() string { return "the journal is being written by " + e.Holder.String() }

// A lock is an exclusive flock on a file beside the database. The kernel
// frees it when its process ends, however it ends, so there is no stale lock
// and no pid to misjudge; the content only says who holds it.
type lock struct{ file *os.File }

// acquire takes the lock at once or says who has it.
func acquire(dir string, me Holder) (*lock, error) {
	f, err := openLock(dir, os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("opening the journal's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &Held{readHolder(f)}
		}
		return nil, fmt.Errorf("locking the journal: %w", err)
	}
	if err := writeHolder(f, me); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing who holds the journal: %w", err)
	}
	return &lock{f}, nil
}

// openLock opens the lock's file, which must be a regular one: of a pipe it
// could not be read who holds it.
func openLock(dir string, flags int) (*os.File, error) {
	path := filepath.Join(dir, "journal.lock")
	f, err := os.OpenFile(path, flags|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err, f.Close())
	}
	return f, nil
}

func (l *lock) release() error {
	if err := l.file.Truncate(0); err != nil {
		l.file.Close()
		return fmt.Errorf("clearing the journal's lock: %w", err)
	}
	return l.file.Close()
}

func writeHolder(f *os.File, me Holder) error {
	raw, err := json.Marshal(me)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(raw, 0)
	return err
}

// readHolder tells as much as the lock file says; a holder that has not
// written itself down yet is "somebody".
func readHolder(f *os.File) Holder {
	raw, err := io.ReadAll(io.LimitReader(f, 4096))
	var h Holder
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return Holder{User: "somebody"}
	}
	return h
}

// WhoHolds names the process that writes the journal in dir, if any does.
func WhoHolds(dir string) (Holder, bool) {
	f, err := openLock(dir, 0)
	if err != nil {
		return Holder{}, false
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return Holder{}, false
	}
	return readHolder(f), true
}
