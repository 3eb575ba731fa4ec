package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxFile bounds an environment file, in bytes.
const maxFile = 1 << 20

// A place is a name in a folder that is held: what is read, written and removed
// there stays in that folder, whatever becomes of its path meanwhile.
type place struct {
	dir  *hostfs.Dir
	name string
	path string // as the site file has it
}

// hold opens the folder of a path of the site file.
func (e entry) hold(path string) (place, error) {
	dir, err := hostfs.OpenDir(filepath.Dir(e.at(path)))
	return place{dir, filepath.Base(path), path}, err
}

// close lets go of the folder; a place that was not held has none.
func (p place) close() {
	if p.dir != nil {
		p.dir.Close() //nolint:errcheck // what was written is durable already
	}
}

func (p place) read() ([]byte, hostfs.Info, error) {
	f, info, err := p.dir.Open(p.name)
	if err != nil {
		return nil, info, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	content, err := hostfs.Content(f, maxFile)
	return content, info, err
}

// readAt reads a file of the site file's by its path.
func (e entry) readAt(path string) ([]byte, hostfs.Info, error) {
	p, err := e.hold(path)
	if err != nil {
		return nil, hostfs.Info{}, err
	}
	defer p.close()
	return p.read()
}

// beside is another name in the same folder.
func (p place) beside(path string) place {
	return place{p.dir, filepath.Base(path), path}
}

// replace writes content over the name in one step, for its owner alone.
func (p place) replace(content []byte, uid, gid int) error {
	return p.dir.Write(p.name, content, hostfs.Attributes{Mode: 0o600, UID: uid, GID: gid, Replace: true})
}

// create writes a file that must not be there yet.
func (p place) create(content []byte, uid, gid int) error {
	return p.dir.Write(p.name, content, hostfs.Attributes{Mode: 0o600, UID: uid, GID: gid})
}

// folderSpec is by what a folder that is written to is known again.
var folderSpec = fact.Spec{
	Name: "folder", Type: fact.Text, Label: "file", Optional: true,
	Doc: "device and inode of the folder in which a file is written, by which it is known again",
}

func (p place) folder() (fact.Fact, error) {
	info, err := p.dir.Info()
	return fact.Word(folderSpec.Name, info.ID.String()).On(p.path), err
}

// isPreviewed refuses a folder that is another than the one that was confirmed.
func (p place) isPreviewed(env checks.Env) error {
	is, err := p.folder()
	if err != nil {
		return err
	}
	if known, ok := env.BeforeFact(folderSpec.Name, p.path); ok && known.Text != is.Text {
		return checks.Failed(checks.Other, "the folder of %s is not the one that the preview saw any more", p.path)
	}
	return nil
}

// writable refuses a folder in which another user could exchange the file, and
// a file whose owner this user cannot give it back.
func (v environment) writable() error {
	info, err := v.place.dir.Info()
	if err != nil {
		return err
	}
	if info.Mode.Perm()&0o022 != 0 && info.Mode&fs.ModeSticky == 0 {
		dir := filepath.Dir(v.place.path)
		const why = "%s can be changed by others: whoever does it decides what the secret is (chmod go-w)"
		return checks.Failed(checks.Denied, why, dir)
	}
	if me := os.Geteuid(); me != 0 && me != v.info.UID {
		return checks.Failed(checks.Denied, "%s belongs to another user, and only root can leave it theirs", v.place.path)
	}
	return nil
}

// rewrite replaces the environment file that was read and seen in the preview.
func (v environment) rewrite(content []byte) error {
	is, err := v.place.dir.Stat(v.place.name)
	if err == nil && identity(is) != v.identity() {
		err = errors.New("it was written to meanwhile")
	}
	if err == nil {
		err = v.place.replace(content, v.info.UID, v.info.GID)
	}
	if err != nil {
		return fmt.Errorf("replacing %s: %w", v.place.path, err)
	}
	return nil
}
