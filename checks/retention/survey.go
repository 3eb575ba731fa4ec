package retention

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/holders"
)

// Bounds of one action: what is more is done the next time, and said.
const (
	mostFiles   = 500
	mostEntries = 200_000
)

// params are those that both actions have.
func params(glob, age string) []checks.Param {
	return []checks.Param{
		{Name: "dir", Type: checks.TextParam, Check: absolute, Doc: "directory of the files, below one of allow.remove_under of the site file; without it the only one there is", Example: "/var/log/advanced-lms"},
		{Name: "glob", Type: checks.TextParam, Default: glob, Check: pattern, Doc: "names of the files; / is not matched, and nothing below the directory is looked at"},
		{Name: "older_than", Type: checks.DurationParam, Default: age, Check: atLeastADay, Doc: "time since a file was last written, at least"},
		{Name: "keep", Type: checks.TextsParam, Doc: "names that are left alone whatever their age, as on a legal hold"},
		{Name: "most", Type: checks.NumberParam, Default: float64(mostFiles), Check: atMost, Doc: "how many files at once; the oldest come first"},
	}
}

func absolute(v any) error {
	if p := fmt.Sprint(v); !filepath.IsAbs(p) || filepath.Clean(p) != strings.TrimRight(p, "/") && p != "/" {
		return fmt.Errorf("%q is not a plain absolute path", p)
	}
	return nil
}

func pattern(v any) error {
	p := fmt.Sprint(v)
	if _, err := path.Match(p, ""); err != nil || p == "" || strings.Contains(p, "/") {
		return fmt.Errorf("%q is not a pattern of file names", p)
	}
	return nil
}

func atLeastADay(v any) error {
	if d, ok := v.(time.Duration); ok && d < 24*time.Hour {
		return errors.New("less than a day: what is that young may still be needed tonight")
	}
	return nil
}

func atMost(v any) error {
	if n, ok := v.(float64); ok && (n < 1 || n > mostFiles) {
		return fmt.Errorf("not from 1 to %d", mostFiles)
	}
	return nil
}

// A candidate is a file as it was when it was looked at.
type candidate struct {
	name    string
	size    int64
	written time.Time
	id      hostfs.ID
	mode    fs.FileMode
	uid     int
	gid     int
}

func candidateOf(info hostfs.Info) candidate {
	return candidate{
		name: info.Name, size: info.Size, written: info.Modified, id: info.ID, mode: info.Mode.Perm(), uid: info.UID, gid: info.GID,
	}
}

// identity is what a file is known by again: one that was written, replaced or
// touched since is another.
func (c candidate) identity() string {
	return fmt.Sprintf("%s:%d:%d", c.id, c.size, c.written.UnixNano())
}

// A survey is what was found in a directory.
type survey struct {
	held   *hostfs.Dir
	dir    string
	chosen []candidate
	left   []string // why a file of the pattern was left alone, a line each
	more   int      // old enough, and not chosen because of the bound
}

func (s *survey) close() {
	s.held.Close() //nolint:errcheck // opened for looking
}

func (s *survey) bytes() (total int64) {
	for _, c := range s.chosen {
		total += c.size
	}
	return total
}

// look finds the files that are old enough and in nobody's way. open says
// whether files that a process holds open are left alone.
func look(ctx context.Context, env checks.Env, args checks.Args) (*survey, error) {
	dir, err := directory(env, args)
	if err != nil {
		return nil, err
	}
	held, err := hold(env, dir)
	if err != nil {
		return nil, err
	}
	s := &survey{held: held, dir: dir}
	if err := s.choose(ctx, env, args); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return s, nil
}

// directory is the one that is named, or the only one that the site allows.
func directory(env checks.Env, args checks.Args) (string, error) {
	roots := env.Site.Allow.RemoveUnder
	switch dir := args.Text("dir"); {
	case dir != "":
		return filepath.Clean(dir), nil
	case len(roots) == 0:
		return "", checks.NotHere{What: "the site file allows no removing: allow: {remove_under: [DIR]}"}
	case len(roots) > 1:
		return "", checks.Failed(checks.Unconfigured, "there are %d directories under allow.remove_under: name one with dir", len(roots))
	}
	return filepath.Clean(roots[0]), nil
}

// hold opens the directory by going down from the root that the site file
// allows, through no link and onto no other mount. What is done afterwards is
// done in the directory that is held, whatever becomes of its path.
func hold(env checks.Env, dir string) (*hostfs.Dir, error) {
	allowed := ""
	for _, root := range env.Site.Allow.RemoveUnder {
		if root = filepath.Clean(root); below(dir, root) && len(root) > len(allowed) {
			allowed = root
		}
	}
	switch {
	case len(env.Site.Allow.RemoveUnder) == 0:
		return nil, checks.NotHere{What: "the site file allows no removing: allow: {remove_under: [DIR]}"}
	case allowed == "":
		return nil, checks.Failed(checks.Denied, "%s is not below allow.remove_under of the site file (%s)",
			dir, strings.Join(env.Site.Allow.RemoveUnder, ", "))
	}
	root, err := hostfs.OpenDir(filepath.Join(env.Root, allowed))
	if err != nil {
		return nil, fmt.Errorf("opening the directory that may be tidied: %w", err)
	}
	defer root.Close() //nolint:errcheck // opened for the way only
	rel, err := filepath.Rel(allowed, dir)
	if err != nil {
		return nil, err
	}
	held, err := root.Descend(rel)
	if err != nil {
		return nil, fmt.Errorf("opening the directory: %w", err)
	}
	return held, nil
}

func below(dir, root string) bool {
	return dir == root || strings.HasPrefix(dir, strings.TrimRight(root, "/")+"/")
}

func (s *survey) choose(ctx context.Context, env checks.Env, args checks.Args) error {
	if err := s.others(); err != nil {
		return err
	}
	entries, err := s.held.Names(mostEntries)
	if err != nil {
		return fmt.Errorf("listing the directory: %w", err)
	}
	now := time.Now()
	if env.Now != nil {
		now = env.Now()
	}
	held, err := holders.Of(ctx, env.Root)
	if err != nil {
		return err
	}
	var old []candidate
	for _, name := range entries {
		if match, err := path.Match(args.Text("glob"), name); err != nil || !match || slices.Contains(args.Texts("keep"), name) {
			continue
		}
		if c, ok := s.fit(name, held, now.Add(-args.Duration("older_than"))); ok {
			old = append(old, c)
		}
	}
	slices.SortFunc(old, func(a, b candidate) int { return a.written.Compare(b.written) })
	most := min(args.Int("most"), len(old))
	s.chosen, s.more = old[:most], len(old)-most
	return nil
}

// others refuses a directory that somebody else may change: they could put
// anything in the place of what the preview named.
func (s *survey) others() error {
	info, err := s.held.Info()
	if err != nil {
		return fmt.Errorf("looking at the directory: %w", err)
	}
	if info.Mode.Perm()&0o002 != 0 && info.Mode&fs.ModeSticky == 0 {
		return checks.Failed(checks.Denied, "%s can be changed by everybody: chmod o-w", s.dir)
	}
	return nil
}

// fit is a regular file, old enough, that nobody has open and that has one name
// only.
func (s *survey) fit(name string, held map[holders.File][]holders.Holder, before time.Time) (candidate, bool) {
	info, err := s.held.Stat(name)
	if err != nil || !info.IsRegular() || !info.Modified.Before(before) {
		return candidate{}, false
	}
	c := candidateOf(info)
	if who := held[holders.File{Device: c.id.Dev, Inode: c.id.Ino}]; len(who) > 0 {
		s.left = append(s.left, fmt.Sprintf("careful: %s is left alone: %s has it open", name, who[0]))
		return c, false
	}
	if info.Links > 1 {
		s.left = append(s.left, fmt.Sprintf("careful: %s is left alone: it has %d names", name, info.Links))
		return c, false
	}
	return c, true
}

// preview is what both actions show: every file, and what was left alone.
func (s *survey) preview(verb string) checks.Findings {
	f := checks.Findings{
		Target: s.dir, Fingerprint: s.dir, Locks: []string{"file:" + s.dir}, Detail: s.left,
		Note: fmt.Sprintf("%s %d files, %s", verb, len(s.chosen), fact.SizeValue(s.bytes()).String()),
	}
	f.Facts = append(f.Facts, fact.Number("files", len(s.chosen)), fact.Size("bytes", s.bytes()), fact.Number("more", s.more))
	table := checks.Table{Name: "files", Columns: []checks.Column{{Name: "file", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "written", Type: fact.Time}}}
	for _, c := range s.chosen {
		f.Facts = append(f.Facts, fact.Word("identity", c.identity()).On(c.name))
		table.Rows = append(table.Rows, []fact.Value{fact.WordValue(c.name), fact.SizeValue(c.size), fact.TimeValue(c.written)})
	}
	if s.more > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d more are old enough and come the next time", s.more))
	}
	f.Tables = []checks.Table{table}
	return f
}

// same are the files of the confirmed preview that are still what they were;
// gone are those that are not.
func same(held *hostfs.Dir, before []fact.Fact) (still []candidate, gone []string) {
	for _, f := range before {
		if f.Name != "identity" {
			continue
		}
		info, err := held.Stat(f.Label)
		if err == nil && info.IsRegular() {
			if c := candidateOf(info); c.identity() == f.Text {
				still = append(still, c)
				continue
			}
		}
		gone = append(gone, f.Label)
	}
	return still, gone
}
