package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A set is an opened directory of backups with its files, newest first.
type set struct {
	source   checks.BackupSet
	root     *os.Root
	files    []file   // finished, newest first
	growing  []file   // written to while we looked, or without their marker
	ignored  []string // what matches the pattern and is no backup, with the reason
	zone     *time.Location
	openedAt time.Time
}

// A file is one backup.
type file struct {
	name string
	info fs.FileInfo
	at   time.Time // when it was made
	why  string    // how that is known
}

// maxEntries bounds a directory.
const maxEntries = 20000

// sourceOf is the set that the arguments name.
func sourceOf(env checks.Env, args checks.Args) (checks.BackupSet, error) {
	if dir := args.Text("dir"); dir != "" {
		return checks.BackupSet{Name: dir, Dir: dir, Glob: args.Text("glob")}, nil
	}
	names := slices.Sorted(maps.Keys(env.Site.Backups))
	name := args.Text("set")
	switch {
	case len(names) == 0:
		return checks.BackupSet{}, checks.NotHere{What: "no backups in the site file"}
	case name == "" && len(names) > 1:
		return checks.BackupSet{}, checks.Failed(checks.Unconfigured, "several backup sets: name one of %s", strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	src, ok := env.Site.Backups[name]
	if !ok {
		return src, checks.NotHere{What: fmt.Sprintf("no backup set %q in the site file", name)}
	}
	if src.Name == "" {
		src.Name = name
	}
	return src, nil
}

// openSet lists the backups of a set and tells the finished from the growing.
func openSet(ctx context.Context, env checks.Env, args checks.Args) (*set, error) {
	src, err := sourceOf(env, args)
	if err != nil {
		return nil, err
	}
	if src.Glob == "" {
		src.Glob = "*"
	}
	root, err := os.OpenRoot(src.Dir)
	if err != nil {
		return nil, fmt.Errorf("backup set %s: %w", src.Name, err)
	}
	s := &set{source: src, root: root, zone: env.Site.Zone, openedAt: clock(env)}
	if s.zone == nil {
		s.zone = time.Local
	}
	if err := s.list(); err != nil {
		return nil, errors.Join(fmt.Errorf("backup set %s: %w", src.Name, err), root.Close())
	}
	if err := s.separate(ctx, env, args.Text("marker"), args.Duration("settle")); err != nil {
		return nil, errors.Join(fmt.Errorf("backup set %s: %w", src.Name, err), root.Close())
	}
	return s, nil
}

// unfinished are the endings that programs give to files they still write.
var unfinished = []string{".tmp", ".temp", ".part", ".partial", ".incomplete", ".writing", ".filepart", ".swp", ".lock", "~"}

func isTemporary(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, ".") || slices.ContainsFunc(unfinished, func(end string) bool { return strings.HasSuffix(base, end) })
}

// list finds the regular files that match, newest first.
func (s *set) list() error {
	tree := s.root.FS()
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return err
	}
	if len(entries) > maxEntries {
		return checks.Failed(checks.Limit, "%s holds more than %d files", s.source.Dir, maxEntries)
	}
	names, err := fs.Glob(tree, s.source.Glob)
	if err != nil {
		return checks.Failed(checks.Other, "pattern %q: %w", s.source.Glob, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, checksumSuffix) {
			continue // it belongs to a backup and is none
		}
		if isTemporary(name) {
			s.ignored = append(s.ignored, name+": unfinished by its name")
			continue
		}
		info, err := s.root.Stat(name)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return err
		case errors.Is(err, fs.ErrNotExist):
			s.ignored = append(s.ignored, name+": a symbolic link to nothing, or removed meanwhile")
		case err != nil:
			s.ignored = append(s.ignored, fmt.Sprintf("%s: not followed out of %s: %v", name, s.source.Dir, err))
		case !info.Mode().IsRegular():
			s.ignored = append(s.ignored, name+": a "+kindOf(info.Mode())+", not a regular file")
		default:
			at, why := madeAt(name, info.ModTime(), s.openedAt, s.zone)
			s.files = append(s.files, file{name, info, at, why})
		}
	}
	slices.SortStableFunc(s.files, func(a, b file) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// nameDate finds 20261123, 2026-11-23 and a time of day behind it in a name.
var nameDate = regexp.MustCompile(`(20\d{2})-?(\d{2})-?(\d{2})(?:[-_T.]?(\d{2})[-_:.h]?(\d{2})(?:[-_:.m]?(\d{2}))?)?`)

// nameSlack is how much later than its name says a backup may have been
// finished; one that carries only a date was begun some time that day.
const (
	nameSlack = 24 * time.Hour
	daySlack  = 48 * time.Hour
)

// madeAt is when a backup was made: when the file was last written, unless its
// name says that it is much older, as after a copy that did not keep times; or
// unless the file claims to be of the future.
func madeAt(name string, modified, now time.Time, zone *time.Location) (at time.Time, why string) {
	named, slack, ok := dateIn(path.Base(name), zone)
	switch {
	case ok && modified.Sub(named) > slack && named.Before(now):
		return named, "its name; the file was written " + modified.In(zone).Format(time.RFC3339) + ", a copy"
	case ok && modified.After(now.Add(time.Hour)) && !named.After(now):
		return named, "its name; the file's own time lies in the future"
	}
	return modified, "the file's last change"
}

func dateIn(name string, zone *time.Location) (at time.Time, slack time.Duration, ok bool) {
	m := nameDate.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, 0, false
	}
	layout, text, slack := "20060102", m[1]+m[2]+m[3], time.Duration(daySlack)
	if m[4] != "" {
		if m[6] == "" {
			m[6] = "00"
		}
		layout, text, slack = "20060102150405", text+m[4]+m[5]+m[6], nameSlack
	}
	at, err := time.ParseInLocation(layout, text, zone)
	if err != nil && m[4] != "" { // digits behind the date that are no time of day
		at, err = time.ParseInLocation("20060102", m[1]+m[2]+m[3], zone)
		slack = daySlack
	}
	return at, slack, err == nil
}

// recent is how long ago a file may have changed last to be watched; whoever
// writes a dump writes more often.
const recent = 10 * time.Minute

// separate takes the unfinished backups out of the list. With a marker, a
// backup without it is unfinished; without one, recent files are looked at
// twice, and compared with what an earlier run saw.
func (s *set) separate(ctx context.Context, env checks.Env, marker string, settle time.Duration) error {
	if marker != "" {
		s.partition(func(f file) bool {
			_, err := s.root.Stat(f.name + marker)
			return err == nil
		})
		s.files = slices.DeleteFunc(s.files, func(f file) bool { return strings.HasSuffix(f.name, marker) })
		s.growing = slices.DeleteFunc(s.growing, func(f file) bool { return strings.HasSuffix(f.name, marker) })
		return nil
	}
	sizes, _ := checks.Remembered[map[string]int64](env.Memory, "sizes")
	watch := slices.ContainsFunc(s.files, func(f file) bool { return s.openedAt.Sub(f.info.ModTime()) < recent })
	if watch && settle > 0 {
		timer := time.NewTimer(settle)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	now := map[string]int64{}
	s.partition(func(f file) bool {
		if s.openedAt.Sub(f.info.ModTime()) >= recent {
			return true
		}
		again, err := s.root.Stat(f.name)
		if err != nil {
			return false
		}
		now[f.name] = again.Size()
		before, known := sizes[f.name]
		return again.Size() == f.info.Size() && again.ModTime().Equal(f.info.ModTime()) && (!known || before == again.Size() || settle > 0)
	})
	checks.Remember(env.Memory, "sizes", now)
	return nil
}

func (s *set) partition(finished func(file) bool) {
	var rest []file
	for _, f := range s.files {
		if finished(f) {
			rest = append(rest, f)
		} else {
			s.growing = append(s.growing, f)
		}
	}
	s.files = rest
}

// open opens a backup for reading, without leaving the directory and without
// waiting for whoever may have put a named pipe in its place.
func (s *set) open(f file) (*os.File, error) {
	opened, err := s.root.OpenFile(f.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening backup %w", err)
	}
	info, err := opened.Stat()
	if err == nil && !os.SameFile(info, f.info) {
		err = checks.Failed(checks.NoData, "backup %s was replaced while it was looked at", f.name)
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// path is where a backup lies, for people.
func (s *set) path(f file) string { return path.Join(s.source.Dir, f.name) }
