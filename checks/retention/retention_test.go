package retention_test

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/retention"
)

func TestConformance(t *testing.T) { checktest.Family(t, retention.Family()) }

// shelf is a directory of logs that may be tidied.
type shelf struct {
	t   *testing.T
	dir string
	env checks.Env
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: filepath.Join(t.TempDir(), "log")}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.env = checks.Env{Root: "/", Site: checks.SiteFacts{Allow: checks.Allow{RemoveUnder: []string{filepath.Dir(s.dir)}}}}
	return s
}

func (s *shelf) file(name, text string, days int) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		s.t.Fatal(err)
	}
	at := time.Now().Add(-time.Duration(days) * 24 * time.Hour)
	if err := os.Chtimes(path, at, at); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *shelf) names() []string {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *shelf) check(m *checks.Module, with map[string]any) (*checks.Runner, checks.Check) {
	s.t.Helper()
	raw := map[string]any{"dir": s.dir}
	for k, v := range with {
		raw[k] = v
	}
	c, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	return checks.NewRunner(s.env, nil), c
}

// does previews, lets between happen, acts and looks.
func (s *shelf) does(m *checks.Module, with map[string]any, between func()) (preview, done, seen checks.Result) {
	s.t.Helper()
	r, c := s.check(m, with)
	preview = r.Preview(s.t.Context(), c, checks.Own{})
	if preview.Level != checks.OK {
		return preview, done, seen
	}
	if between != nil {
		between()
	}
	own := checks.Own{Token: "opsdeck/abcdefgh", Before: preview.Facts, Dir: s.t.TempDir()}
	return preview, r.Act(s.t.Context(), c, own), r.Probe(s.t.Context(), c, own, checks.Rule{})
}

func number(t *testing.T, r checks.Result, name string) float64 {
	t.Helper()
	f, ok := r.Fact(name, "")
	if !ok {
		t.Errorf("no %s in %+v", name, r)
	}
	return f.Num
}

func TestOldFilesAreCompressedAndReadBack(t *testing.T) {
	s := newShelf(t)
	text := strings.Repeat("a line of a log\n", 10_000)
	s.file("old.log", text, 9)
	s.file("young.log", "today\n", 7)
	s.file("old.txt", "another thing\n", 90)
	preview, done, seen := s.does(retention.Compress, nil, nil)
	if number(t, preview, "files") != 1 || done.Level != checks.OK || seen.Level != checks.OK {
		t.Fatalf("%+v\n%+v\n%+v", preview, done, seen)
	}
	if got := s.names(); !slices.Equal(got, []string{"old.log.gz", "old.txt", "young.log"}) {
		t.Fatalf("%v", got)
	}
	f, err := os.Open(filepath.Join(s.dir, "old.log.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(zip); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != 0o640 || time.Since(info.ModTime()) < 8*24*time.Hour {
		t.Errorf("%v %v %v", info.Mode(), info.ModTime(), err)
	}
}

// TestAFileThatIsStillWrittenIsLeftAlone: gzip would replace it, and what its
// process writes from then on would be lost.
func TestAFileThatIsStillWrittenIsLeftAlone(t *testing.T) {
	s := newShelf(t)
	path := s.file("held.log", "before\n", 20)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	preview, _, _ := s.does(retention.Compress, nil, nil)
	if number(t, preview, "files") != 0 || len(preview.Detail) != 1 || !strings.Contains(preview.Detail[0], "has it open") {
		t.Errorf("%+v", preview)
	}
	if _, err := f.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "before\nafter\n" {
		t.Errorf("%q %v", raw, err)
	}
}

func TestWhatChangedSinceThePreviewIsLeftAlone(t *testing.T) {
	for _, m := range []*checks.Module{retention.Compress, retention.Prune} {
		s := newShelf(t)
		s.file("a.log", "a\n", 40)
		s.file("b.log", "b\n", 40)
		s.file("c.log", "c\n", 40)
		_, done, seen := s.does(m, map[string]any{"glob": "*.log", "older_than": "30d"}, func() {
			os.Remove(filepath.Join(s.dir, "a.log"))
			s.file("a.log", "another\n", 40)
			os.Remove(filepath.Join(s.dir, "b.log"))
			if err := os.Symlink("/etc/passwd", filepath.Join(s.dir, "b.log")); err != nil {
				t.Fatal(err)
			}
		})
		if number(t, done, "files") != 1 || number(t, done, "changed") != 2 || done.Level != checks.Warn || seen.Level != checks.Crit {
			t.Errorf("%s: %+v\n%+v", m.Name, done, seen)
		}
		if raw, err := os.ReadFile(filepath.Join(s.dir, "a.log")); err != nil || string(raw) != "another\n" {
			t.Errorf("%s touched a file that the preview did not name: %q %v", m.Name, raw, err)
		}
		if _, err := os.Stat("/etc/passwd"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRotatedNamesAreFound: logrotate calls them name.log.2.gz, which the
// pattern *.log.gz never matches.
func TestRotatedNamesAreFound(t *testing.T) {
	s := newShelf(t)
	s.file("app.log.2.gz", "x", 31)
	s.file("app.log-20260901.gz", "x", 80)
	s.file("app.log.1", "x", 80)
	s.file("hold.log.9.gz", "x", 400)
	preview, done, seen := s.does(retention.Prune, map[string]any{"keep": []string{"hold.log.9.gz"}}, nil)
	if number(t, preview, "files") != 2 || number(t, done, "files") != 2 || done.Level != checks.OK || seen.Level != checks.OK {
		t.Errorf("%+v\n%+v\n%+v", preview, done, seen)
	}
	if got := s.names(); !slices.Equal(got, []string{"app.log.1", "hold.log.9.gz"}) {
		t.Errorf("%v", got)
	}
}

func TestNothingOutsideOfWhatTheSiteAllows(t *testing.T) {
	s := newShelf(t)
	s.file("a.log.gz", "x", 90)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(filepath.Dir(s.dir), "link")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir   string
		roots []string
		want  checks.Level
	}{
		"none allowed":       {s.dir, nil, checks.Skipped},
		"another root":       {s.dir, []string{"/var/log"}, checks.Unknown},
		"a neighbour's name": {s.dir + "-more", []string{s.dir}, checks.Unknown},
		"a link out":         {filepath.Join(filepath.Dir(s.dir), "link"), []string{filepath.Dir(s.dir)}, checks.Unknown},
		"not there":          {filepath.Join(s.dir, "none"), []string{s.dir}, checks.Unknown},
		"allowed":            {s.dir, []string{s.dir}, checks.OK},
	} {
		s.env.Site.Allow.RemoveUnder = c.roots
		r, check := s.check(retention.Prune, map[string]any{"dir": c.dir})
		if res := r.Preview(t.Context(), check, checks.Own{}); res.Level != c.want {
			t.Errorf("%s: %v, want %v: %s", name, res.Level, c.want, res.Err)
		}
	}
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.env.Site.Allow.RemoveUnder = []string{s.dir}
	r, check := s.check(retention.Prune, nil)
	if res := r.Preview(t.Context(), check, checks.Own{}); res.Level != checks.Unknown || res.Class != checks.Denied {
		t.Errorf("a directory that everybody can change: %v %s", res.Level, res.Err)
	}
}

func TestHardLinksPipesAndDirectoriesAreLeftAlone(t *testing.T) {
	s := newShelf(t)
	path := s.file("twice.log.gz", "x", 90)
	if err := os.Link(path, filepath.Join(s.dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(s.dir, "pipe.log.gz"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "dir.log.gz"), 0o755); err != nil {
		t.Fatal(err)
	}
	preview, _, _ := s.does(retention.Prune, nil, nil)
	if number(t, preview, "files") != 0 || !strings.Contains(strings.Join(preview.Detail, "\n"), "2 names") {
		t.Errorf("%+v", preview)
	}
}

func TestACopyThatIsThereIsNeverReplaced(t *testing.T) {
	s := newShelf(t)
	s.file("a.log", "new\n", 20)
	s.file("a.log.gz", "precious", 20)
	preview, done, _ := s.does(retention.Compress, nil, nil)
	if !strings.Contains(strings.Join(preview.Detail, "\n"), "compressed copy already") || done.Level != checks.Crit {
		t.Errorf("%+v\n%+v", preview, done)
	}
	if raw, err := os.ReadFile(filepath.Join(s.dir, "a.log.gz")); err != nil || string(raw) != "precious" {
		t.Errorf("%q %v", raw, err)
	}
	if got := s.names(); !slices.Equal(got, []string{"a.log", "a.log.gz"}) {
		t.Errorf("%v", got)
	}
}

func TestACancelledCompressionLeavesTheFile(t *testing.T) {
	s := newShelf(t)
	s.file("a.log", strings.Repeat("x", 1<<20), 20)
	r, c := s.check(retention.Compress, nil)
	preview := r.Preview(t.Context(), c, checks.Own{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	own := checks.Own{Token: "opsdeck/abcdefgh", Before: preview.Facts}
	if res := r.Act(ctx, c, own); res.Level != checks.Unknown {
		t.Errorf("%+v", res)
	}
	if got := s.names(); !slices.Equal(got, []string{"a.log"}) {
		t.Errorf("%v", got)
	}
	if res := r.Probe(t.Context(), c, own, checks.Rule{}); res.Level != checks.Crit {
		t.Errorf("%+v", res)
	}
}

// TestWithoutSeeingWhoHasFilesOpenNothingIsDone: another user's processes hide
// what they hold.
func TestWithoutSeeingWhoHasFilesOpenNothingIsDone(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root sees everybody's files")
	}
	s := newShelf(t)
	s.file("a.log.gz", "x", 90)
	preview, _, _ := s.does(retention.Prune, nil, nil)
	if preview.Level != checks.Unknown || preview.Class != checks.Denied {
		t.Errorf("%+v", preview)
	}
}
