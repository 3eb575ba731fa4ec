package supervisor_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// siteFile is a site file that a supervisor uses, and what it would find there
// if it looked again.
type siteFile struct {
	mu          sync.Mutex
	now, edited supervisor.SiteFile
}

func (f *siteFile) use() (supervisor.SiteFile, runbooks.Site) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, nil
}

func (f *siteFile) edit(to supervisor.SiteFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edited = to
}

func (f *siteFile) reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.edited
}

// TestNothingBeginsUnderTheWrongSiteFile: a client that has another file has
// the supervisor look again; if that does not make them one, it hears why.
func TestNothingBeginsUnderTheWrongSiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "opsdeck.yaml")
	must(t, os.WriteFile(path, nil, 0o600)) // a supervisor whose file is gone makes room for the client's
	old, edited := supervisor.SiteFile{Path: path, Hash: "11111111aaaa"}, supervisor.SiteFile{Path: path, Hash: "22222222bbbb"}
	f := &siteFile{now: old, edited: old}
	h := newHouse(t)
	h.change = func(o *supervisor.Options) { o.Site, o.Reload = f.use, f.reload }
	h.serve()
	defer h.end()
	join := func(ours supervisor.SiteFile) *supervisor.Session {
		t.Helper()
		c := h.client()
		c.Site = func() supervisor.SiteFile { return ours }
		s, err := c.Open(t.Context(), book("daily"), "all")
		must(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	before, elsewhere := join(old), join(supervisor.SiteFile{Path: "/tmp/opsdeck.yaml", Hash: "33333333cccc"})
	refused := func(s *supervisor.Session, whose, want string) {
		t.Helper()
		var other *supervisor.SiteError
		for verb, err := range map[string]error{"start": s.Start("disk"), "start all": s.StartAll(), "arm": s.Arm(t.Context(), "disk"), "retry": s.Retry("disk")} {
			if !errors.As(err, &other) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: %v", whose, verb, err)
			}
		}
	}
	refused(elsewhere, "another file", "another site file, "+path+" (11111111), than /tmp/opsdeck.yaml (33333333)")
	must(t, elsewhere.Note("", "who looks may speak"))

	broken := old
	broken.Problem = "line 3: unknown key"
	f.edit(broken)
	f.reload()
	until(t, "who is there hears that the file cannot be used", func() bool { return before.SiteFile().Problem == broken.Problem })
	refused(join(edited), "a file that the supervisor cannot use", "line 3: unknown key. Mend that")

	f.edit(edited)
	s := join(edited)
	if now := s.SiteFile(); now != edited {
		t.Errorf("who comes with the new file finds %+v", now)
	}
	refused(before, "a file that was edited since", path+" was edited since it was read here (11111111, the supervisor has 22222222)")
	until(t, "who was there hears of the new one", func() bool { return before.SiteFile() == edited })
	must(t, s.Start("disk"))
	h.slow.end <- checks.OK
	until(t, "it ran", func() bool { return state(s, "disk") == runbooks.Passed })
}
