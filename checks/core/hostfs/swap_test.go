package hostfs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs/hostfstest"
)

func TestAFolderThatChangesPlacesWithALinkLeadsNowhereElse(t *testing.T) { swaps(t) }

func TestAFolderThatChangesPlacesWithALinkLeadsNowhereElseWithoutOpenat2(t *testing.T) {
	if hostfstest.WithoutOpenat2(t, unix.ENOSYS) {
		swaps(t)
	}
}

// swaps descends and removes while the folder and a link exchange their names
// 10,000 times.
func swaps(t *testing.T) {
	for _, c := range []struct{ name, target string }{{"a link out of the root", "outside"}, {"a link inside of the root", "root/inside"}} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			mine := mkdir(t, filepath.Join(base, "root/mine"))
			other := mkdir(t, filepath.Join(base, c.target))
			link := filepath.Join(base, "root/link")
			if err := os.Symlink(other, link); err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				put(t, filepath.Join(other, fmt.Sprint(i)), "precious")
			}
			root := hold(t, filepath.Join(base, "root"))
			swapping := hostfstest.Swap(t, mine, link)
			done, refused := removals(t, root, swapping)
			swapping.Stop()
			if left, err := os.ReadDir(other); err != nil || len(left) != 20 {
				t.Errorf("%d of 20 files of %s are left: %v", len(left), c.target, err)
			}
			if done == 0 || refused == 0 {
				t.Errorf("%d files were removed and %d descents refused: the folder did not change places", done, refused)
			}
		})
	}
}

// removals makes a file in the folder "mine" and removes it, until the folder
// has changed places 10,000 times and it was tried 2,000 times.
func removals(t *testing.T, root *hostfs.Dir, swapping *hostfstest.Swapping) (done, refused int) {
	t.Helper()
	for i := 0; i < 2_000 || swapping.Count() < 10_000; i++ {
		d, err := root.Descend("mine")
		if errors.As(err, new(*hostfs.LinkError)) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint(i % 20)
		err = d.WriteNew(name, []byte("x"), 0o600)
		if err == nil {
			var info hostfs.Info
			if info, err = d.Stat(name); err == nil {
				err = d.Remove(name, info.ID)
			}
		}
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		done++
	}
	return done, refused
}
