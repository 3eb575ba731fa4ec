package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// checksumSuffix ends the name of the file next to a backup that holds its
// checksum, in the form that sha256sum -c reads.
const checksumSuffix = ".sha256"

// ownSuffix ends it if the backup job has written one of its own already.
const ownSuffix = ".opsdeck" + checksumSuffix

// A record is what lies next to a backup: which action made it, and its
// checksum.
type record struct {
	token string
	sum   string // 64 hexadecimal digits
	file  string // the backup's name
	at    time.Time
	by    string // what made it
}

// String is the record as a file: sha256sum -c skips lines that begin with #.
func (r record) String() string {
	return fmt.Sprintf("# %s %s %s\n%s  %s\n", r.token, r.at.Format(time.RFC3339), r.by, r.sum, r.file)
}

// parseRecord reads a record; one of another program has no token.
func parseRecord(text string) (record, bool) {
	var r record
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			r.token, _, _ = strings.Cut(comment, " ")
			continue
		}
		sum, name, ok := strings.Cut(line, "  ")
		if _, err := hex.DecodeString(sum); ok && err == nil && len(sum) == 2*sha256.Size && r.sum == "" {
			r.sum, r.file = sum, name
		}
	}
	return r, r.sum != "" && r.file != ""
}

// write puts the record next to its backup. What has that name already is
// never written to.
func (r record) write(root *os.Root) error {
	name := r.file + checksumSuffix
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		name = r.file + ownSuffix
		file, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the checksum: %w", err)
	}
	_, err = file.WriteString(r.String())
	if err := errors.Join(err, file.Sync(), file.Close(), syncDir(root)); err != nil {
		return fmt.Errorf("writing the checksum %s: %w", name, err)
	}
	return nil
}

// maxRecord bounds what is read of a record.
const maxRecord = 4096

// recordOf finds the record that an action left in a directory.
func recordOf(root *os.Root, token string) (record, bool, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return record{}, false, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), checksumSuffix) || !entry.Type().IsRegular() {
			continue
		}
		text, err := readSmall(root, entry.Name())
		if errors.As(err, new(*hostfs.TooLargeError)) {
			continue // longer than any that opsdeck writes
		}
		if err != nil {
			return record{}, false, fmt.Errorf("reading a checksum: %w", err)
		}
		if r, ok := parseRecord(text); ok && r.token == token && token != "" {
			return r, true, nil
		}
	}
	return record{}, false, nil
}

func readSmall(root *os.Root, name string) (string, error) {
	file, err := openRegular(root, name)
	if err != nil {
		return "", err
	}
	text, err := hostfs.Content(file, maxRecord)
	return string(text), errors.Join(err, file.Close())
}

// openRegular opens a regular file under its own name: no link is followed, no
// named pipe waited for.
func openRegular(root *os.Root, name string) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = checks.Failed(checks.Other, "%s is a %s, not a regular file", name, kindOf(info.Mode()))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checksumOf reads a file to its end.
func checksumOf(ctx context.Context, file io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, bufio.NewReaderSize(readerWithContext{ctx, file}, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
