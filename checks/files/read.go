package files

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
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
	flags := os.O_RDONLY | syscall.O_NONBLOCK
	if !follow {
		flags |= syscall.O_NOFOLLOW
	}
	opened, err := os.OpenFile(filepath.Join(root, path), flags, 0)
	if errors.Is(err, syscall.ELOOP) {
		return file{}, checks.Failed(checks.Other, "%s is a symbolic link", path)
	}
	if errors.Is(err, syscall.ENXIO) {
		return file{}, checks.Failed(checks.Other, "%s is not a regular file", path) // a socket
	}
	if err != nil {
		return file{}, fmt.Errorf("reading %w", err)
	}
	defer opened.Close() //nolint:errcheck // opened for reading
	info, err := opened.Stat()
	if err != nil {
		return file{}, fmt.Errorf("reading %w", err)
	}
	if !info.Mode().IsRegular() {
		return file{}, checks.Failed(checks.Other, "%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return file{}, fmt.Errorf("reading %w", err)
	}
	if len(content) > maxFile {
		return file{}, checks.Failed(checks.Limit, "%s is larger than %s", path, fact.FormatBytes(maxFile))
	}
	sum := sha256.Sum256(content)
	f := file{content: content, sha256: hex.EncodeToString(sum[:]), written: info.ModTime()}
	f.attributes(info)
	return f, nil
}

func (f *file) attributes(info fs.FileInfo) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	f.mode = fmt.Sprintf("%04o", stat.Mode&0o7777)
	f.uid = strconv.FormatUint(uint64(stat.Uid), 10)
	f.owner = f.uid
	if u, err := user.LookupId(f.uid); err == nil {
		f.owner = u.Username
	}
}
