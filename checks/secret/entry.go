package secret

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var secretParam = checks.Param{Name: "name", Type: checks.TextParam, Required: true, Names: "secrets", Doc: "the secret, by its name under secrets", Example: "jwt"}

// entry is a secret of the site file with paths as they are opened.
type entry struct {
	checks.KeptSecret
	root string
}

func open(env checks.Env, args checks.Args) (entry, error) { return entryOf(env, args.Text("name")) }

func entryOf(env checks.Env, name string) (entry, error) {
	k, ok := env.Site.Secrets[name]
	if !ok {
		return entry{}, checks.NotHere{What: fmt.Sprintf("no secret %q under secrets in the site file", name)}
	}
	return entry{k, env.Root}, nil
}

func clock(env checks.Env) time.Time {
	if env.Now != nil {
		return env.Now()
	}
	return time.Now()
}

func (e entry) at(path string) string { return filepath.Join(e.root, path) }

// record is the path of what is written down of the last rotation.
func (e entry) record() string {
	return filepath.Join(filepath.Dir(e.File), "."+filepath.Base(e.File)+"."+e.Key+".rotation")
}

func (e entry) backupDir() string {
	if e.Backup != "" {
		return e.Backup
	}
	return filepath.Dir(e.File)
}

// environment is an environment file as it was read.
type environment struct {
	place   place // held until close if it is to be written
	lines   []line
	content []byte
	info    hostfs.Info
}

func (v environment) close() { v.place.close() }

func (v environment) identity() string { return identity(v.info) }

func identity(info hostfs.Info) string {
	return fmt.Sprintf("%d/%d/%d/%d", info.ID.Dev, info.ID.Ino, info.Size, info.Modified.UnixNano())
}

// read reads the environment file.
func (e entry) read() (environment, error) {
	v, err := e.readHeld()
	v.close()
	return v, err
}

// readHeld reads the environment file and goes on holding its folder.
func (e entry) readHeld() (v environment, err error) {
	if v.place, err = e.hold(e.File); err != nil {
		return v, fmt.Errorf("reading %s: %w", e.File, err)
	}
	if v.content, v.info, err = v.place.read(); err != nil {
		return v, fmt.Errorf("reading %s: %w", e.File, err)
	}
	if v.lines, err = parse(v.content); err != nil {
		return v, fmt.Errorf("%s: %w", e.File, err)
	}
	return v, nil
}

// rotation is what is written down beside the file: never a value, nor
// anything from which one could be guessed.
type rotation struct {
	Secret  string    `json:"secret"`
	Token   string    `json:"token"`
	Rotated time.Time `json:"rotated"`
	Due     time.Time `json:"due"`
	Backup  string    `json:"backup"`
}

func (e entry) readRecord() (rotation, error) {
	var r rotation
	content, _, err := e.readAt(e.record())
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil || r.Due.IsZero() {
		return r, checks.Failed(checks.Parse, "%s is not the record of a rotation", e.record())
	}
	return r, nil
}

// backup keeps a copy of the file, for its owner alone, and returns its path.
func (e entry) backup(env checks.Env, v environment) (string, error) {
	path := filepath.Join(e.backupDir(), "."+filepath.Base(e.File)+".before-"+strings.ReplaceAll(env.Token, "/", "-"))
	at, err := e.hold(path)
	if err != nil {
		return "", fmt.Errorf("keeping a copy of %s: %w", e.File, err)
	}
	defer at.close()
	// The preview could not know the name of the copy, only its folder.
	if err := (place{at.dir, at.name, e.backupDir()}).isPreviewed(env); err != nil {
		return "", err
	}
	if err := at.create(v.content, v.info.UID, v.info.GID); err != nil {
		return "", fmt.Errorf("keeping a copy of %s: %w", e.File, err)
	}
	return path, nil
}

func (e entry) findings(v environment) (checks.Findings, error) {
	id := v.identity()
	folder, err := v.place.folder()
	return checks.Findings{
		Target: e.Name, Fingerprint: e.File + " " + id, Locks: []string{"file:" + e.File},
		Facts: []fact.Fact{fact.Word("identity", id), folder},
	}, err
}

var identitySpec = fact.Spec{Name: "identity", Type: fact.Text, Optional: true, Doc: "device, inode, size and time by which the file is known again"}
