package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// maxFiles is how many files one source may have in one window.
const maxFiles = 1000

// A logFile is one opened file of a source.
type logFile struct {
	path   string
	stream int // which of the source's live logs it belongs to
	live   bool
	zipped bool
	file   *os.File
	info   fs.FileInfo
	head   []byte
}

// opened is a source with the files that a window needs, oldest first within
// each stream.
type opened struct {
	source  checks.LogSource
	files   []*logFile
	streams int
	gaps    []string // what belongs to the window and could not be read
}

// Close closes every file.
func (o *opened) Close() error {
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}

// sourceNamed is the site's log source of that name.
func sourceNamed(env checks.Env, name string) (checks.LogSource, error) {
	if len(env.Site.Logs) == 0 {
		return checks.LogSource{}, checks.NotHere{What: "no logs in the site file"}
	}
	src, ok := env.Site.Logs[name]
	if !ok {
		return src, checks.NotHere{What: fmt.Sprintf("no log source %q in the site file", name)}
	}
	if src.Name == "" {
		src.Name = name
	}
	if src.Zone == nil {
		src.Zone = env.Site.Zone
	}
	if src.Zone == nil {
		src.Zone = time.Local
	}
	return src, nil
}

// openSource opens the live files of a source and those rotated siblings that
// were written to since from. A rotation that happens meanwhile is noticed by
// listing again; a file is never opened twice under two names.
func openSource(ctx context.Context, src checks.LogSource, from time.Time) (*opened, error) {
	for attempt := 0; ; attempt++ {
		listed, err := list(src)
		if err != nil {
			return nil, err
		}
		o, err := openListed(ctx, src, listed, from)
		if err != nil {
			return nil, err
		}
		again, err := list(src)
		if attempt == 3 || err == nil && sameListing(listed, again) {
			return o, nil
		}
		if err := o.Close(); err != nil {
			return nil, err
		}
	}
}

// A listing is one name a source may have, as it was when listed.
type listing struct {
	path   string
	stream int
	live   bool
	info   fs.FileInfo
	err    error
}

func sameListing(a, b []listing) bool {
	return slices.EqualFunc(a, b, func(x, y listing) bool {
		return x.path == y.path && (x.info == nil) == (y.info == nil) && (x.info == nil || os.SameFile(x.info, y.info))
	})
}

// list finds the live files that the source's patterns match and the rotated
// siblings of each.
func list(src checks.LogSource) ([]listing, error) {
	var live []string
	for _, pattern := range src.Paths {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return nil, checks.Failed(checks.Other, "log source %s: pattern %q: %w", src.Name, pattern, err)
		}
		if len(matches) == 0 {
			matches, err = onlyRotated(src, pattern)
			if err != nil {
				return nil, err
			}
		}
		live = append(live, matches...)
	}
	slices.Sort(live)
	live = slices.Compact(live)
	if len(live) == 0 {
		return nil, checks.Failed(checks.Missing, "log source %s names no file", src.Name)
	}
	return withSiblings(src, live)
}

// onlyRotated allows for the moment in which a log was renamed and not yet
// created anew; anything else that matches nothing is an error that says why.
func onlyRotated(src checks.LogSource, pattern string) ([]string, error) {
	plain := !strings.ContainsAny(pattern, "*?[")
	if plain {
		if siblings, err := siblingsOf(pattern); err == nil && len(siblings) > 0 {
			return []string{pattern}, nil
		}
	}
	dir := pattern
	for strings.ContainsAny(dir, "*?[") || plain && dir == pattern {
		dir = filepath.Dir(dir)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("log source %s: %w", src.Name, err)
	}
	return nil, checks.Failed(checks.Missing, "log source %s: no file matches %s", src.Name, pattern)
}

func withSiblings(src checks.LogSource, live []string) ([]listing, error) {
	var all []listing
	for stream, path := range withoutSiblings(live) {
		siblings, err := siblingsOf(path)
		if err != nil {
			siblings = nil // the directory may be searched and not read; the file itself says more
		}
		for _, s := range siblings {
			all = append(all, stated(s, stream, false))
		}
		entry := stated(path, stream, true)
		if errors.Is(entry.err, fs.ErrNotExist) && len(siblings) > 0 {
			continue
		}
		all = append(all, entry)
		if len(all) > maxFiles {
			return nil, checks.Failed(checks.Limit, "log source %s has more than %d files", src.Name, maxFiles)
		}
	}
	return all, nil
}

// withoutSiblings leaves out the live files that are another's rotated ones: a
// pattern such as app.log* matches both.
func withoutSiblings(live []string) []string {
	rotated := map[string]bool{}
	for _, path := range live {
		siblings, err := siblingsOf(path)
		if err != nil {
			continue
		}
		for _, s := range siblings {
			rotated[s] = rotated[s] || !rotated[path]
		}
	}
	return slices.DeleteFunc(slices.Clone(live), func(path string) bool { return rotated[path] })
}

func stated(path string, stream int, live bool) listing {
	info, err := os.Stat(path)
	return listing{path: path, stream: stream, live: live, info: info, err: err}
}

// rotated matches what follows a log's name when it was rotated: .1, .2.gz,
// -20261123, -20261123-0307.gz, .2026-11-23, .old.
var rotated = regexp.MustCompile(`^(?:\.\d{1,4}|[-.]\d{8}(?:[-T_]?\d{2,6})?|[-.]\d{4}-\d{2}-\d{2}(?:[-T_]\d{2,6})?|\.old)(?:\.\d{1,3})?(?:\.(?:gz|xz|zst|bz2))?$`)

// dated matches what stands between the stem and the extension of a log that
// is rotated by date: app-2026-11-23.log.
var dated = regexp.MustCompile(`^[-._]\d{4}-?\d{2}-?\d{2}(?:[-T_]?\d{2,6})?$`)

// siblingsOf lists the rotated files of a log.
func siblingsOf(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return nil, err
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	var found []string
	for _, e := range entries {
		name := e.Name()
		if name == base {
			continue
		}
		rest, ok := strings.CutPrefix(name, base)
		if ok && rotated.MatchString(rest) {
			found = append(found, filepath.Join(dir, name))
			continue
		}
		middle, ok := strings.CutPrefix(name, stem)
		middle = strings.TrimSuffix(middle, ".gz")
		middle, hasExt := strings.CutSuffix(middle, ext)
		if ok && hasExt && ext != "" && dated.MatchString(middle) {
			found = append(found, filepath.Join(dir, name))
		}
	}
	return found, nil
}

// openListed opens what the window needs of a listing.
func openListed(ctx context.Context, src checks.LogSource, listed []listing, from time.Time) (*opened, error) {
	o := &opened{source: src}
	for _, entry := range listed {
		o.streams = max(o.streams, entry.stream+1)
		if err := o.add(ctx, entry, from); err != nil {
			return nil, errors.Join(err, o.Close())
		}
	}
	slices.SortStableFunc(o.files, func(a, b *logFile) int {
		if a.stream != b.stream {
			return a.stream - b.stream
		}
		return a.info.ModTime().Compare(b.info.ModTime())
	})
	return o, nil
}

// add opens one file. A live file must be readable; a rotated one that is not
// is a gap in the window, and no permission for it is an error, because what
// it hides would be taken for silence.
func (o *opened) add(ctx context.Context, entry listing, from time.Time) error {
	if entry.err != nil {
		if entry.live || errors.Is(entry.err, fs.ErrPermission) {
			return fmt.Errorf("log source %s: %w", o.source.Name, entry.err)
		}
		return nil // rotated away since it was listed
	}
	if !entry.live && (entry.info.ModTime().Before(from) || !entry.info.Mode().IsRegular()) {
		return nil
	}
	ext := filepath.Ext(entry.path)
	if ext == ".xz" || ext == ".zst" || ext == ".bz2" {
		o.gaps = append(o.gaps, fmt.Sprintf("%s: %s is not understood here", entry.path, ext))
		return nil
	}
	f, info, err := openRegular(entry.path)
	if err != nil && !entry.live && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lf := &logFile{path: entry.path, stream: entry.stream, live: entry.live, zipped: ext == ".gz", file: f, info: info}
	lf.head = readHead(ctx, f, info.Size(), lf.zipped)
	if isUTF16(lf.head) {
		return errors.Join(checks.Failed(checks.Parse, "log %s is UTF-16; convert it to UTF-8", entry.path), f.Close())
	}
	if surplus := o.keep(lf); surplus != nil {
		return surplus.file.Close()
	}
	return nil
}

// keep adds a file unless it is there already, and returns what is to be
// closed instead: the same file under another name, or one of two copies that
// begin with the same dated kilobyte, as there are while a log is being
// compressed, or copied before it is truncated. Of copies the plain and longer
// one is kept.
func (o *opened) keep(f *logFile) (surplus *logFile) {
	for i, other := range o.files {
		if os.SameFile(f.info, other.info) {
			return f
		}
		n := min(len(f.head), len(other.head))
		if f.stream != other.stream || !bytes.Equal(f.head[:n], other.head[:n]) || !o.hasStamp(f.head[:n]) {
			continue
		}
		if other.zipped && !f.zipped || other.zipped == f.zipped && f.info.Size() > other.info.Size() {
			o.files[i] = f
			return other
		}
		return f
	}
	o.files = append(o.files, f)
	return nil
}

// hasStamp reports whether a whole line of the text is dated.
func (o *opened) hasStamp(text []byte) bool {
	s := newStamper(o.source.Format, zones{o.source.Zone, time.Now()}, window{})
	for line := range bytes.Lines(text) {
		if _, ok := s.look(line); ok && bytes.HasSuffix(line, []byte("\n")) {
			return true
		}
	}
	return false
}
