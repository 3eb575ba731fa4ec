package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxFile bounds what is compared. Beyond it nothing is said about the content,
// because half a file neither contains a text nor lacks it.
const maxFile = 16 << 20

// file is a file as it was read, content and attributes of the same inode.
type file struct {
	content      []byte
	sha256, mode string
	owner, uid   string
	written      time.Time
}

func (f file) facts(now time.Time) []fact.Fact {
	return []fact.Fact{
		fact.Size("size", len(f.content)), fact.Dur("age", now.Sub(f.written)),
		fact.Word("mode", f.mode), fact.Word("owner", f.owner), fact.Word("sha256", f.sha256),
	}
}

// read reads a regular file. It never blocks on a named pipe or a device.
func read(root, path string, follow bool) (file, error) {
	open := hostfs.OpenNoFollow
	if follow {
		open = hostfs.Open
	}
	opened, info, err := open(filepath.Join(root, path))
	if err != nil {
		return file{}, fmt.Errorf("reading: %w", err)
	}
	defer opened.Close() //nolint:errcheck // opened for reading
	content, err := hostfs.Content(opened, maxFile)
	if err != nil {
		return file{}, fmt.Errorf("reading: %w", err)
	}
	sum := sha256.Sum256(content)
	f := file{content: content, sha256: hex.EncodeToString(sum[:]), written: info.Modified}
	f.attributes(info)
	return f, nil
}

func (f *file) attributes(info hostfs.Info) {
	f.mode = fmt.Sprintf("%04o", info.Permissions())
	f.uid = strconv.Itoa(info.UID)
	f.owner = f.uid
	if u, err := user.LookupId(f.uid); err == nil {
		f.owner = u.Username
	}
}
