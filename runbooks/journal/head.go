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

// readHead reads the witness; a missing one is not an error but has no head.
func readHead(dir string) (head Head, exists bool, err error) {
	raw, err := os.ReadFile(headPath(dir))
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
// and the directory synced.
func writeHead(dir string, h Head) (err error) {
	f, err := os.CreateTemp(dir, ".head-*")
	if err != nil {
		return fmt.Errorf("writing the journal's witness: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing the journal's witness: %w", err), os.Remove(f.Name()))
		}
	}()
	if _, err := f.WriteString(h.String() + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), headPath(dir)); err != nil {
		return err
	}
	return syncDir(dir)
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
