package calendar

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

const (
	// maxCrontab bounds one crontab, in bytes; cron itself takes 256 KiB.
	maxCrontab = 256 << 10
	// maxCrontabs bounds the entries of one folder that are looked at.
	maxCrontabs = 1000
)

// host is the tree under which /etc and /var are read.
type host string

func (h host) path(name string) string { return filepath.Join(string(h), name) }

// read returns a whole regular file. It never blocks on a named pipe.
func (h host) read(name string) ([]byte, error) {
	return hostfs.Read(h.path(name), maxCrontab)
}

// list returns the names in a folder, sorted; none if there is no such folder.
func (h host) list(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && len(entries) > maxCrontabs {
		return entries[:maxCrontabs], checks.Failed(checks.Limit, "%s holds more than %d files", h.path(name), maxCrontabs)
	}
	return entries, err
}

func (h host) exists(name string) bool {
	_, err := os.Stat(h.path(name))
	return err == nil
}

// zone is the host's own, by which its cron goes: not the one of whoever runs
// this program.
func (h host) zone() (*time.Location, error) {
	content, err := h.read("etc/localtime")
	if errors.Is(err, fs.ErrNotExist) {
		return time.UTC, nil // as the C library takes it
	}
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData("host", content)
}

// executable reports whether the name is a file that somebody may execute.
func (h host) executable(name string) (bool, error) {
	info, err := os.Stat(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a link to nothing
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0, nil
}
