package certbot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// Bounds of what is read of certbot's log: it rotates with every run where the
// distribution leaves that to certbot.
const (
	mostLogs = 200
	maxLog   = 8 << 20 // of each, from its end
)

// A logged is a run of certbot as its log has it.
type logged struct{ success, ended bool }

var (
	arguments = regexp.MustCompile(`:certbot\._internal\.main:Arguments: \[(.*)\]`)
	certName  = regexp.MustCompile(`'--cert-name', '([^']+)'`)
)

// logged are the runs that carry a mark, by the certificate they were for. The
// log is not whole where a file of it is longer than what is read: then a run
// that was not found may still be in it.
func (p place) logged(mark string) (runs map[string]logged, whole bool, err error) {
	files, err := p.logFiles()
	if err != nil {
		return nil, false, err
	}
	runs, whole = map[string]logged{}, true
	for _, file := range files {
		end, err := hostfs.Tail(file, maxLog)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away just now
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading certbot's log: %w", err)
		}
		whole = whole && end.Whole
		find(string(end.Bytes), mark, runs)
	}
	return runs, whole, nil
}

// find reads one file of the log, in which several runs can follow each other.
func find(text, mark string, runs map[string]logged) {
	name := ""
	for line := range strings.Lines(text) {
		if m := arguments.FindStringSubmatch(line); m != nil {
			name = ""
			if c := certName.FindStringSubmatch(m[1]); c != nil && strings.Contains(m[1], "'"+mark+"'") {
				name = c[1]
				runs[name] = logged{}
			}
		}
		if name == "" {
			continue
		}
		switch {
		case strings.HasSuffix(strings.TrimSpace(line), "/"+name+"/fullchain.pem (success)"):
			runs[name] = logged{success: true, ended: true}
		case strings.Contains(line, " renew failure(s), ") || strings.HasSuffix(strings.TrimSpace(line), "Exiting abnormally:"):
			runs[name] = logged{ended: true}
		}
	}
}

// logFiles are those of certbot's log, the newest first.
func (p place) logFiles() ([]string, error) {
	entries, err := os.ReadDir(p.at(p.logs()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // certbot has never run here
	}
	if err != nil {
		return nil, fmt.Errorf("looking for certbot's log: %w", err)
	}
	type file struct {
		path string
		at   time.Time
	}
	var all []file
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && strings.HasPrefix(e.Name(), "letsencrypt.log") {
			all = append(all, file{filepath.Join(p.at(p.logs()), e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return b.at.Compare(a.at) })
	var paths []string
	for _, f := range all[:min(len(all), mostLogs)] {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// writable is an error if certbot could not write its files, which it does for
// a dry run too. What is not there yet certbot makes.
func (p place) writable() error {
	for _, dir := range []string{p.config(), p.work(), p.logs()} {
		err := unix.Access(p.at(dir), unix.W_OK|unix.X_OK)
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) {
			return checks.Failed(checks.Denied, "certbot has to write to %s: opsdeck has to run as the user that certbot runs as, which is root on most hosts (%w)", dir, err)
		}
	}
	return nil
}
