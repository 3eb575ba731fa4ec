package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var secretParam = checks.Param{Name: "name", Type: checks.TextParam, Required: true, Names: "secrets", Doc: "the secret, by its name under secrets", Example: "jwt"}

// maxFile bounds an environment file, in bytes.
const maxFile = 1 << 20

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
	lines    []line
	content  []byte
	info     fs.FileInfo
	uid, gid int
}

func (v environment) identity() string { return identity(v.info) }

func identity(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d/%d/%d/%d", stat.Dev, stat.Ino, stat.Size, info.ModTime().UnixNano())
}

func (e entry) read() (environment, error) {
	content, info, err := slurp(e.at(e.File))
	if err != nil {
		return environment{}, fmt.Errorf("reading %s: %w", e.File, err)
	}
	v := environment{content: content, info: info}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return v, checks.Failed(checks.Other, "%s: its owner cannot be read", e.File)
	}
	v.uid, v.gid = int(stat.Uid), int(stat.Gid)
	if v.lines, err = parse(content); err != nil {
		return v, fmt.Errorf("%s: %w", e.File, err)
	}
	return v, nil
}

// slurp reads a regular file, through no link, at most maxFile bytes.
func slurp(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, checks.Failed(checks.Other, "it is no regular file")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(content) > maxFile {
		return nil, nil, checks.Failed(checks.Limit, "it has more than %d bytes", maxFile)
	}
	return content, info, err
}

// writable refuses a folder in which somebody else could exchange the file, and
// a file whose owner this user cannot give it back.
func (e entry) writable(v environment) error {
	dir := filepath.Dir(e.File)
	info, err := os.Stat(e.at(dir))
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return checks.Failed(checks.Denied, "%s can be changed by others: whoever does it decides what the secret is (chmod go-w)", dir)
	}
	if me := os.Geteuid(); me != 0 && me != v.uid {
		return checks.Failed(checks.Denied, "%s belongs to another user, and only root can leave it theirs", e.File)
	}
	return nil
}

// replace writes content over path in one step, for its owner alone.
func replace(path string, content []byte, uid, gid int) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".opsdeck-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err = f.Chown(uid, gid); err != nil {
		return err
	}
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// create writes a file that must not be there yet.
func create(path string, content []byte, uid, gid int) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err = f.Chown(uid, gid); err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
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
	content, _, err := slurp(e.at(e.record()))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil || r.Due.IsZero() {
		return r, checks.Failed(checks.Parse, "%s is not the record of a rotation", e.record())
	}
	return r, nil
}

// backup keeps a copy of the file, for its owner alone, and returns its path.
func (e entry) backup(v environment, token string) (string, error) {
	path := filepath.Join(e.backupDir(), "."+filepath.Base(e.File)+".before-"+strings.ReplaceAll(token, "/", "-"))
	if err := create(e.at(path), v.content, v.uid, v.gid); err != nil {
		return "", fmt.Errorf("keeping a copy of %s: %w", e.File, err)
	}
	return path, nil
}

func (e entry) findings(v environment) checks.Findings {
	id := v.identity()
	return checks.Findings{
		Target: e.Name, Fingerprint: e.File + " " + id, Locks: []string{"file:" + e.File},
		Facts: []fact.Fact{fact.Word("identity", id)},
	}
}

var identitySpec = fact.Spec{Name: "identity", Type: fact.Text, Optional: true, Doc: "device, inode, size and time by which the file is known again"}
