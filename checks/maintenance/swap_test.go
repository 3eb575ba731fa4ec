package maintenance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs/hostfstest"
)

// TestAFlagIsWrittenAndRemovedInTheFolderThatWasLookedAt: its folder and a link
// to another one exchange their names 10,000 times meanwhile.
func TestAFlagIsWrittenAndRemovedInTheFolderThatWasLookedAt(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a link has to be given to another user: run as root")
		}
		t.Skip("only root can make a link of another user")
	}
	base := t.TempDir()
	mine, other, link := filepath.Join(base, "mine"), filepath.Join(base, "other"), filepath.Join(base, "link")
	for _, dir := range []string{mine, other} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	const others = "not of opsdeck\n"
	if err := os.WriteFile(filepath.Join(other, "taken"), []byte(others), 0o644); err != nil {
		t.Fatal(err)
	}
	swapping := hostfstest.Swap(t, mine, link)
	done, refused := 0, 0
	for i := 0; i < 500 || swapping.Count() < 10_000; i++ {
		for _, name := range []string{"flag", "taken"} {
			p := &page{MaintenancePage: checks.MaintenancePage{Name: "web", Flag: filepath.Join(mine, name)}}
			if err := p.openDirectory(p.Flag); err != nil {
				refused++
				continue
			}
			if err := p.create("x"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := p.removeOwn(); err != nil {
				t.Error(err)
			}
			p.close()
			done++
		}
	}
	swapping.Stop()
	left, err := os.ReadDir(other)
	raw, readErr := os.ReadFile(filepath.Join(other, "taken"))
	if err != nil || readErr != nil || len(left) != 1 || string(raw) != others {
		t.Errorf("the other folder holds %v, its file %q (%v, %v)", left, raw, err, readErr)
	}
	if done == 0 || refused == 0 {
		t.Errorf("%d flags were written and %d refused: the folder did not change places", done, refused)
	}
}
