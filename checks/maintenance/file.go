package maintenance

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// maxFile is how much of a flag or a snippet is read.
const maxFile = 64 << 10

// A file is the flag or the snippet as it is now; zero if it is not there.
type file struct {
	there   bool
	closes  bool // it keeps users out
	mode    fs.FileMode
	content []byte // of a regular file
	by      string // the mark of the action that wrote it; "" if it was not opsdeck
	owner   string
	at      time.Time
}

// look reads the file without following a link and without waiting for a pipe.
func (p *page) look() (file, error) {
	info, err := p.root.Lstat(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil
	}
	if err != nil {
		return file{}, fmt.Errorf("looking at %s: %w", p.path, err)
	}
	f := file{there: true, mode: info.Mode(), at: info.ModTime(), owner: ownerOf(info)}
	if !info.Mode().IsRegular() {
		f.closes = !info.IsDir() // a link to a file, and what else a web server may take for one
		return f, nil
	}
	if f.content, err = p.read(info); err != nil {
		return file{}, fmt.Errorf("reading %s: %w", p.path, err)
	}
	f.by = author(f.content)
	f.closes = p.Flag != "" || directives(f.content)
	return f, nil
}

func (p *page) read(seen fs.FileInfo) ([]byte, error) {
	f, err := p.root.OpenFile(p.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if p.Flag != "" && errors.Is(err, fs.ErrPermission) {
		return nil, nil // that it is there is enough for a flag
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(seen, info) {
		return nil, errors.New("it was replaced while we looked")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = checks.Failed(checks.Limit, "more than %d KiB", maxFile>>10)
	}
	return content, err
}

func ownerOf(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "somebody"
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// mark is the token of an action at the head of what it wrote.
var mark = regexp.MustCompile(`^(?:# )?(opsdeck/[A-Za-z0-9_-]{1,22})\n`)

// author is the mark of the action that wrote the content, "" if none did.
func author(content []byte) string {
	m := mark.FindSubmatch(content)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// directives reports whether a snippet says anything to the web server.
func directives(content []byte) bool {
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

// who put the file there.
func (f file) who() string {
	if f.by != "" {
		return f.by
	}
	return f.owner
}

// kind names what is there instead of a plain file.
func (f file) kind() string {
	switch {
	case f.mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case f.mode.IsDir():
		return "a directory"
	case f.mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	}
	return "a special file"
}

// create makes the flag. It never follows or replaces what is there.
func (p *page) create(content string) error {
	f, err := p.root.OpenFile(p.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("creating %s: %w", p.path, err)
	}
	err = filled(f, []byte(content), 0o644)
	if err == nil {
		err = p.syncDirectory()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", p.path, err), p.root.Remove(p.name))
	}
	return nil
}

// replace puts a whole snippet where another or none was: the web server reads
// the old or the new one, never a part. Whatever an earlier attempt left under
// the temporary name is ours, since the lock on the path keeps others out.
func (p *page) replace(content []byte, mode fs.FileMode) error {
	temporary := "." + p.name + ".opsdeck.tmp"
	if err := p.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an earlier attempt left: %w", err)
	}
	f, err := p.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", p.path, err)
	}
	err = filled(f, content, mode)
	if err == nil {
		err = p.root.Rename(temporary, p.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", p.path, err), p.root.Remove(temporary))
	}
	return p.syncDirectory()
}

// filled writes, makes durable and closes.
func filled(f *os.File, content []byte, mode fs.FileMode) error {
	_, err := f.Write(content)
	return errors.Join(err, f.Chmod(mode.Perm()), f.Sync(), f.Close())
}

func (p *page) remove() error {
	if err := p.root.Remove(p.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", p.path, err)
	}
	return p.syncDirectory()
}

func (p *page) syncDirectory() error {
	dir, err := p.root.Open(".")
	if err != nil {
		return fmt.Errorf("making the change of %s durable: %w", p.path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("making the change of %s durable: %w", p.path, err)
	}
	return nil
}
