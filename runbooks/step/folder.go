package step

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// The files of a step's folder.
const (
	intentFile   = "intent.json"
	cardFile     = "started.json"
	outputFile   = "output"
	progressFile = "progress.json"
	cancelFile   = "cancel"
	resultFile   = "result.json"
	logFile      = "log"
	lockFile     = "lock"
	ballastFile  = "ballast"
	buriedFile   = "buried" // it was never started and never will be
	scratchDir   = "scratch"
)

// maxFile bounds what is read from a folder besides output.
const maxFile = 16 << 20

// An Intent is all that a step needs to know.
type Intent struct {
	Version    int            `json:"version"`
	Token      string         `json:"token"`
	Run        string         `json:"run"`
	Item       string         `json:"item"`
	Attempt    int            `json:"attempt"`
	Who        string         `json:"who"`
	Module     string         `json:"module"`
	Check      string         `json:"check"`
	With       map[string]any `json:"with,omitempty"`
	Connection string         `json:"connection,omitempty"`
	Target     string         `json:"target,omitempty"`
	Warn       checks.Rule    `json:"warn"`
	Fail       checks.Rule    `json:"fail"`

	Fingerprint string      `json:"fingerprint,omitempty"` // of the confirmed preview
	Locks       []string    `json:"locks,omitempty"`
	Before      []fact.Fact `json:"before,omitempty"` // facts of the confirmed preview

	Timeout   time.Duration `json:"timeout"`
	Deadline  time.Time     `json:"deadline"`
	MaxOutput int64         `json:"max_output,omitempty"` // bytes kept; 0 means 64 MiB
}

// intentVersion is the version of the folder's files.
const intentVersion = 1

// A Folder is where a step lives.
type Folder struct{ Path string }

// New makes a folder under root and writes the intent into it, durably:
// when it returns, a step can be started from it, even after a power cut.
func New(root string, in Intent) (Folder, error) {
	in.Version = intentVersion
	if in.MaxOutput == 0 {
		in.MaxOutput = 64 << 20
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return Folder{}, fmt.Errorf("making the folder of steps: %w", err)
	}
	f := Folder{filepath.Join(root, strings.ToLower(rand.Text()[:16]))}
	if err := os.Mkdir(f.Path, 0o700); err != nil {
		return Folder{}, fmt.Errorf("making the step's folder: %w", err)
	}
	if err := os.Mkdir(f.Scratch(), 0o700); err != nil {
		return Folder{}, fmt.Errorf("making the step's folder: %w", err)
	}
	if err := f.write(intentFile, in); err != nil {
		return Folder{}, err
	}
	if err := syncDir(root); err != nil {
		return Folder{}, fmt.Errorf("making the step's folder durable: %w", err)
	}
	return f, nil
}

// Name is the folder's own name, under which it is found again.
func (f Folder) Name() string { return filepath.Base(f.Path) }

// Find is the folder of that name under root. A name that is more than one is
// refused: names come from a record.
func Find(root, name string) (Folder, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return Folder{}, fmt.Errorf("%q is not the name of a step", name)
	}
	return Folder{filepath.Join(root, name)}, nil
}

// Scratch is the action's private directory.
func (f Folder) Scratch() string { return filepath.Join(f.Path, scratchDir) }

// Intent reads what is to be done.
func (f Folder) Intent() (Intent, error) {
	var in Intent
	if err := f.read(intentFile, &in); err != nil {
		return in, err
	}
	if in.Version != intentVersion {
		return in, fmt.Errorf("the intent in %s is of version %d, this opsdeck reads %d", f.Path, in.Version, intentVersion)
	}
	return in, nil
}

func (f Folder) path(name string) string { return filepath.Join(f.Path, name) }

// write makes a file durable under its name: whole or not at all.
func (f Folder) write(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	if err := f.place(name, raw, true); err != nil {
		return fmt.Errorf("writing %s: %w", f.path(name), err)
	}
	return nil
}

func (f Folder) place(name string, raw []byte, durable bool) (err error) {
	temp := f.path("." + name + ".new")
	out, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(raw)
	if err == nil && durable {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, f.path(name)); err != nil {
		return err
	}
	if durable {
		return syncDir(f.Path)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read reads a file of the folder; os.ErrNotExist if it is not there.
func (f Folder) read(name string, v any) error {
	in, err := f.open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.path(name), err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("reading %s: %w", f.path(name), err)
	}
	return nil
}

// open opens a regular file of ours: no link is followed, no FIFO waited for.
func (f Folder) open(name string) (*os.File, error) {
	in, err := os.OpenFile(f.path(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.path(name))
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); err == nil && ok && int(stat.Uid) != os.Getuid() {
		err = fmt.Errorf("%s belongs to user %d", f.path(name), stat.Uid)
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}
