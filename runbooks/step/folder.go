package step

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
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
	buriedFile   = "buried" // it was never started and never will be
	scratchDir   = "scratch"
)

// defaultOutput is how much output is kept unless the intent says otherwise.
const defaultOutput = 64 << 20

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

	Site string `json:"site_hash,omitempty"` // of the site file under which it was previewed

	Timeout   time.Duration `json:"timeout"`
	Deadline  time.Time     `json:"deadline"`             // the deed's context ends then; zero: it has none
	MaxOutput int64         `json:"max_output,omitempty"` // bytes kept; 0 means 64 MiB
}

// intentVersion is the version of the folder's files.
const intentVersion = 1

// A Folder is where a step lives.
type Folder struct {
	Path string

	proc procfs // "" means /proc
}

// New makes a folder under root and writes the intent into it, durably:
// when it returns, a step can be started from it, even after a power cut.
func New(root string, in Intent) (Folder, error) {
	in.Version = intentVersion
	if in.MaxOutput <= 0 {
		in.MaxOutput = defaultOutput
	}
	if err := makeRoot(root); err != nil {
		return Folder{}, fmt.Errorf("making the folder of steps: %w", err)
	}
	f := Folder{Path: filepath.Join(root, strings.ToLower(rand.Text()[:16]))}
	if err := os.Mkdir(f.Path, 0o700); err != nil {
		return Folder{}, fmt.Errorf("making the step's folder: %w", err)
	}
	if err := os.Mkdir(f.Scratch(), 0o700); err != nil {
		return Folder{}, fmt.Errorf("making the step's folder: %w", err)
	}
	if err := f.write(intentFile, in); err != nil {
		return Folder{}, err
	}
	for _, dir := range []string{root, filepath.Dir(root)} { // root itself may be new
		if err := syncDir(dir); err != nil {
			return Folder{}, fmt.Errorf("making the step's folder durable: %w", err)
		}
	}
	return f, nil
}

// makeRoot makes the folder of steps, unless somebody else could exchange it.
func makeRoot(root string) error {
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	made, err := rule.MakeDir(root)
	if err != nil {
		return err
	}
	return made.Close()
}

// Name is the folder's own name, under which it is found again.
func (f Folder) Name() string { return filepath.Base(f.Path) }

// Find is the folder of that name under root. A name that is more than one is
// refused: names come from a record.
func Find(root, name string) (Folder, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return Folder{}, fmt.Errorf("%q is not the name of a step", name)
	}
	return Folder{Path: filepath.Join(root, name)}, nil
}

// Scratch is the action's private directory.
func (f Folder) Scratch() string { return f.path(scratchDir) }

// Intent reads what is to be done.
func (f Folder) Intent() (Intent, error) {
	var in Intent
	if err := f.read(intentFile, &in); err != nil {
		return in, fmt.Errorf("reading the intent: %w", err)
	}
	if in.Version != intentVersion {
		return in, fmt.Errorf("the intent in %s is of version %d, this opsdeck reads %d", f.Path, in.Version, intentVersion)
	}
	return in, nil
}

func (f Folder) path(name string) string { return filepath.Join(f.Path, name) }
