package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A Head is the newest event's place and hash: all that is needed to tell
// that a chain was cut or rewritten.
type Head struct {
	Seq  uint64
	Hash Hash
}

// String is the head's form in its file, in reports and in tickets.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Seq, h.Hash) }

// ParseHead reads what String wrote.
func ParseHead(text string) (Head, error) {
	number, digest, ok := strings.Cut(strings.TrimSpace(text), " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	raw, hexErr := hex.DecodeString(digest)
	if !ok || err != nil || hexErr != nil || len(raw) != len(Hash{}) {
		return Head{}, fmt.Errorf("%q is not a head: expected a number and a hash", text)
	}
	return Head{seq, Hash(raw)}, nil
}

func headPath(dir string) string { return filepath.Join(dir, "head") }

// maxHead bounds what is read as a head: 20 digits, a blank and 64 more.
const maxHead = 200

// readHead reads the witness; a missing one is not an error but has no head. It
// must be a regular file: a pipe is not waited for, a link is not followed.
func readHead(dir string) (head Head, exists bool, err error) {
	raw, err := hostfs.ReadNoFollow(headPath(dir), maxHead)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, false, nil
	}
	if err != nil {
		return Head{}, false, fmt.Errorf("reading the journal's witness: %w", err)
	}
	head, err = ParseHead(string(raw))
	return head, true, err
}

// writeHead replaces the witness durably: a temporary file, synced, renamed,
// and the directory synced. Only the process that holds the lock writes it, so
// the temporary name is always the same and what a killed one left is replaced.
func writeHead(dir string, h Head) error {
	temp := headPath(dir) + ".new"
	err := os.Remove(temp)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = writeSynced(temp, []byte(h.String()+"\n"))
	}
	if err == nil {
		err = os.Rename(temp, headPath(dir))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("writing the journal's witness: %w", err)
	}
	return nil
}

// writeSynced makes a file that must be new.
func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a directory durable. SQLite ignores the failure
// of its own attempt, so it is done again here.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
