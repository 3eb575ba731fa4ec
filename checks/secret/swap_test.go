package secret

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs/hostfstest"
)

// TestAFolderThatChangesPlacesWithALinkKeepsOtherSecrets: while a secret is
// rotated, its folder and a link to another one with a file of the same name
// exchange their names 10,000 times.
func TestAFolderThatChangesPlacesWithALinkKeepsOtherSecrets(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a link has to be given to another user: run as root")
		}
		t.Skip("only root can make a link of another user")
	}
	base := t.TempDir()
	mine, other, link := filepath.Join(base, "mine"), filepath.Join(base, "other"), filepath.Join(base, "link")
	for _, dir := range []string{mine, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	const others = "JWT_SECRET=the-secret-of-another-one-0001\n"
	s := newScene(t, before, func(k *checks.KeptSecret) { k.File, k.New = filepath.Join(mine, ".env"), "" })
	s.write(t, filepath.Join(other, ".env"), others, 0o600)
	held, err := hostfs.OpenDir(mine)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	swapping := hostfstest.Swap(t, mine, link)
	done, refused := 0, 0
	for i := 0; i < 200 || swapping.Count() < 10_000; i++ {
		names, err := held.Names(100)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names { // of the rotation before
			info, err := held.Stat(name)
			if err == nil {
				err = held.Remove(name, info.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := held.WriteAtomic(".env", []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		seen := s.preview(t, Rotate)
		if seen.Level == checks.OK && s.act(t.Context(), t, Rotate, seen).Level == checks.OK {
			done++
		} else {
			refused++
		}
	}
	swapping.Stop()
	left, err := os.ReadDir(other)
	raw, readErr := os.ReadFile(filepath.Join(other, ".env"))
	if err != nil || readErr != nil || len(left) != 1 || string(raw) != others {
		t.Errorf("the other folder holds %v, its file %q (%v, %v)", left, raw, err, readErr)
	}
	if done == 0 || refused == 0 {
		t.Errorf("%d rotations were done and %d refused: the folder did not change places", done, refused)
	}
}
