package system

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile bounds every file read here. The largest is /proc/stat of a machine
// with thousands of interrupt lines, well below it.
const maxFile = 4 << 20

// host is the tree under which /proc, /sys and /etc are read.
type host string

// root is the host of an Env. An Env without one has nothing to look at.
func root(env checks.Env) (host, error) {
	if env.Root == "" {
		return "", checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	return host(env.Root), nil
}

func (h host) path(name string) string { return filepath.Join(string(h), name) }

// read returns a whole regular file. It never blocks on a named pipe and
// refuses a file beyond maxFile instead of reading half of it.
func (h host) read(name string) ([]byte, error) {
	content, err := hostfs.Read(h.path(name), maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return content, nil
}

// exists reports whether there is such a file. What cannot be looked at is not
// taken for absent.
func (h host) exists(name string) (bool, error) {
	_, err := os.Stat(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// number reads a file that holds one number, or "max", which is reported as
// not limited.
func (h host) number(name string) (n uint64, limited bool, err error) {
	content, err := h.read(name)
	if err != nil {
		return 0, false, err
	}
	word := string(bytes.TrimSpace(content))
	if word == "max" || word == "-1" {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(word, 10, 64)
	if err != nil {
		return 0, false, malformed(name, "%q is not a number", short(word))
	}
	return n, true, nil
}

// malformed is the error of a file that does not read as the kernel writes it.
func malformed(name, format string, a ...any) error {
	return checks.Failed(checks.Parse, "%s: %s", name, fmt.Sprintf(format, a...))
}

// short keeps what is quoted in an error to a length that fits a line.
func short(text string) string {
	if len(text) > 60 {
		return text[:60] + "..."
	}
	return text
}
