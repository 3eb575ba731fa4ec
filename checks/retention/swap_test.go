package retention_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs/hostfstest"
	"github.com/advanced-lms/opsdeck/checks/retention"
)

// TestAFolderThatChangesPlacesWithALinkLeadsNowhereElse: while files are
// removed or compressed, their folder, or the allowed one itself, and a link
// exchange their names 10,000 times.
func TestAFolderThatChangesPlacesWithALinkLeadsNowhereElse(t *testing.T) { exchanges(t) }

func TestAFolderThatChangesPlacesWithALinkLeadsNowhereElseWithoutOpenat2(t *testing.T) {
	if hostfstest.WithoutOpenat2(t, unix.ENOSYS) {
		exchanges(t)
	}
}

func exchanges(t *testing.T) {
	for name, c := range map[string]struct{ swapped, target, victims string }{
		"a link out of the root":         {"allowed/log", "outside/log", "outside/log"},
		"a link inside of the root":      {"allowed/log", "allowed/other", "allowed/other"},
		"a link in place of the root":    {"allowed", "outside", "outside/log"},
		"a link to the root's own root":  {"allowed/log", ".", "."},
		"a relative link up and outside": {"allowed/log", "allowed/../outside/log", "outside/log"},
	} {
		for _, m := range []*checks.Module{retention.Prune, retention.Compress} {
			t.Run(name+"/"+m.Name, func(t *testing.T) { exchange(t, m, c.swapped, c.target, c.victims) })
		}
	}
}

func exchange(t *testing.T, m *checks.Module, swapped, target, victims string) {
	base := t.TempDir()
	s := &shelf{t: t, dir: filepath.Join(base, "allowed/log")}
	s.env = checks.Env{Root: "/", Site: checks.SiteFacts{Allow: checks.Allow{RemoveUnder: []string{filepath.Join(base, "allowed")}}}}
	for _, dir := range []string{"allowed/log", "allowed/other", "outside/log"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(filepath.Join(base, target), link); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(link, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := &shelf{t: t, dir: filepath.Join(base, victims)}
	for _, name := range []string{"victim.log", "a.log"} {
		elsewhere.file(name, "precious\n", 90)
	}
	want := elsewhere.names()
	mine, err := hostfs.OpenDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	swapping := hostfstest.Swap(t, filepath.Join(base, swapped), link)
	done, refused := 0, 0
	for i := 0; i < 20 || swapping.Count() < 10_000 || done == 0; i++ {
		old := time.Now().Add(-90 * 24 * time.Hour)
		if err := mine.Write("a.log", []byte("mine\n"), hostfs.Attributes{Mode: 0o600, UID: -1, GID: -1, Replace: true, Modified: old}); err != nil {
			t.Fatal(err)
		}
		r, c := s.check(m, map[string]any{"glob": "*.log", "older_than": "30d"})
		preview := r.Preview(t.Context(), c, checks.Own{})
		if preview.Level != checks.OK {
			refused++
			continue
		}
		if r.Act(t.Context(), c, checks.Own{Token: "opsdeck/abcdefgh", Before: preview.Facts}).Level != checks.Unknown {
			done++
		}
	}
	swapping.Stop()
	got := elsewhere.names()
	if len(got) != len(want) {
		t.Errorf("elsewhere there is %v, there was %v", got, want)
	}
	for _, name := range []string{"victim.log", "a.log"} {
		if raw, err := os.ReadFile(filepath.Join(elsewhere.dir, name)); err != nil || string(raw) != "precious\n" {
			t.Errorf("%s elsewhere: %q, %v", name, raw, err)
		}
	}
	t.Logf("%d exchanges, %d actions, %d previews refused", swapping.Count(), done, refused)
}
