package maintenance

import (
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile is how much of a flag or a snippet is read.
const maxFile = 64 << 10

// A file is the flag or the snippet as it is now; zero if it is not there.
type file struct {
	there   bool
	closes  bool // it keeps users out
	id      hostfs.ID
	mode    fs.FileMode
	content []byte // of a regular file
	by      string // the mark of the action that wrote it; "" if it was not opsdeck
	owner   string
	at      time.Time
}

// look reads the file without following a link and without waiting for a pipe.
func (p *page) look() (file, error) {
	info, err := p.dir.Stat(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil
	}
	if err != nil {
		return file{}, fmt.Errorf("looking at %s: %w", p.path, err)
	}
	f := file{there: true, id: info.ID, mode: info.Mode, at: info.Modified, owner: ownerOf(info)}
	if !info.IsRegular() {
		f.closes = !info.IsDir() // a link to a file, and what else a web server may take for one
		return f, nil
	}
	if f.content, err = p.read(info.ID); err != nil {
		return file{}, fmt.Errorf("reading %s: %w", p.path, err)
	}
	f.by = author(f.content)
	f.closes = p.Flag != "" || directives(f.content)
	return f, nil
}

func (p *page) read(seen hostfs.ID) ([]byte, error) {
	f, info, err := p.dir.Open(p.name)
	if p.Flag != "" && errors.Is(err, fs.ErrPermission) {
		return nil, nil // that it is there is enough for a flag
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if info.ID != seen {
		return nil, errors.New("it was replaced while we looked")
	}
	return hostfs.Content(f, maxFile)
}

func ownerOf(info hostfs.Info) string {
	id := strconv.Itoa(info.UID)
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
	if err := p.dir.WriteNew(p.name, []byte(content), 0o644); err != nil {
		return fmt.Errorf("creating %s: %w", p.path, err)
	}
	return nil
}

// replace puts a whole snippet where another or none was: the web server reads
// the old or the new one, never a part.
func (p *page) replace(content []byte, mode fs.FileMode) error {
	if err := p.removeUnfinished(); err != nil {
		return fmt.Errorf("removing what an earlier attempt left: %w", err)
	}
	if err := p.dir.WriteAtomic(p.name, content, mode.Perm()); err != nil {
		return fmt.Errorf("writing %s: %w", p.path, err)
	}
	return nil
}

// maxEntries bounds the directory of a snippet.
const maxEntries = 100_000

// removeUnfinished removes what an attempt that was killed left. It is ours,
// since the lock on the path keeps others out.
func (p *page) removeUnfinished() error {
	if err := p.dir.RemoveUnfinished(p.name, maxEntries); err != nil {
		return err
	}
	old, err := p.dir.Stat("." + p.name + ".opsdeck.tmp") // as earlier versions called it
	if err == nil {
		err = p.dir.Remove(old.Name, old.ID)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remove removes what was looked at; nothing if it is gone by then.
func (p *page) remove(id hostfs.ID) error {
	if err := p.dir.Remove(p.name, id); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", p.path, err)
	}
	if err := p.dir.Sync(); err != nil {
		return fmt.Errorf("making the removal of %s durable: %w", p.path, err)
	}
	return nil
}

// removeOwn removes what this action wrote.
func (p *page) removeOwn() error {
	is, err := p.dir.Stat(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing %s: %w", p.path, err)
	}
	return p.remove(is.ID)
}
