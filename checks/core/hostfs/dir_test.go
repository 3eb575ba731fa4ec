package hostfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs/hostfstest"
)

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func hold(t *testing.T, path string) *hostfs.Dir {
	t.Helper()
	d, err := hostfs.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestADescentFollowsNoLinkAndCrossesNoMount(t *testing.T) { descends(t) }

func TestADescentFollowsNoLinkAndCrossesNoMountWithoutOpenat2(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES} {
		t.Run(errno.Error(), func(t *testing.T) {
			if hostfstest.WithoutOpenat2(t, errno) {
				descends(t)
			}
		})
	}
}

func descends(t *testing.T) {
	root := t.TempDir()
	mkdir(t, filepath.Join(root, "a/b"))
	put(t, filepath.Join(root, "file"), "")
	for link, to := range map[string]string{"inside": "a", "outside": "/etc", "a/up": ".."} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	d := hold(t, root)
	var link *hostfs.LinkError
	var kind *hostfs.KindError
	for rel, want := range map[string]any{
		"a": nil, "a/b": nil, ".": nil, "a/./b/": nil,
		"inside": &link, "inside/b": &link, "outside": &link, "a/up": &link, "a/up/a": &link,
		"file": &kind, "file/x": &kind,
	} {
		below, err := d.Descend(rel)
		if err == nil {
			below.Close()
		}
		if want == nil && err != nil || want != nil && !errors.As(err, want) {
			t.Errorf("%s: %v", rel, err)
		}
	}
	for _, rel := range []string{"..", "a/../..", "/etc", ""} {
		if _, err := d.Descend(rel); err == nil {
			t.Errorf("%q was opened", rel)
		}
	}
	if _, err := d.Descend("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := hold(t, "/").Descend("proc/self"); err == nil {
		t.Error("a link of /proc was followed")
	}
	if _, err := hold(t, "/").Descend("proc"); !errors.As(err, new(*hostfs.MountError)) {
		t.Errorf("another mount: %v", err)
	}
}

func TestOnlyLinksOfRootAndTheUserLeadToAFolder(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "real/deep"))
	for link, to := range map[string]string{"rel": "real", "abs": filepath.Join(dir, "real"), "loop": "loop", "back": "real/deep/.."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"rel/deep", "abs/deep", "back/deep", "real/../real/deep"} {
		d := hold(t, filepath.Join(dir, path))
		if err := d.Is(id(t, hold(t, filepath.Join(dir, "real/deep")))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := hostfs.OpenDir(filepath.Join(dir, "loop")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("%v", err)
	}
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("only root can make a link of another user")
		}
		t.Skip("only root can make a link of another user")
	}
	if err := os.Lchown(filepath.Join(dir, "rel"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	var refused *hostfs.LinkError
	if _, err := hostfs.OpenDir(filepath.Join(dir, "rel/deep")); !errors.As(err, &refused) || refused.Owner != 65534 {
		t.Errorf("a link of another user: %v", err)
	}
}

func id(t *testing.T, d *hostfs.Dir) hostfs.ID {
	t.Helper()
	info, err := d.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

func TestOnlyTheEntryThatWasSeenIsRemovedOrRenamed(t *testing.T) {
	dir := t.TempDir()
	d := hold(t, dir)
	put(t, filepath.Join(dir, "f"), "old")
	seen, err := d.Stat("f")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "other"), "new")
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"remove": d.Remove("f", seen.ID), "rename": d.Rename("f", seen.ID, d, "g"), "replace": d.Replace("f", seen.ID, d, "g"),
	} {
		if !errors.As(err, new(*hostfs.ChangedError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	is, err := d.Stat("f")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "taken"), "taken")
	if err := d.Rename("f", is.ID, d, "taken"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over what is there: %v", err)
	}
	if err := d.Rename("f", is.ID, d, "g"); err != nil {
		t.Error(err)
	}
	if err := d.Remove("g", is.ID); err != nil {
		t.Error(err)
	}
	if got, err := d.Names(10); err != nil || len(got) != 1 || got[0] != "taken" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := d.Names(0); !errors.As(err, new(*hostfs.TooManyError)) {
		t.Errorf("%v", err)
	}
}

func TestANameDoesNotLeadOutOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	outside := put(t, filepath.Join(dir, "outside"), "x")
	d := hold(t, mkdir(t, filepath.Join(dir, "in")))
	info, err := hold(t, dir).Stat("outside")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../outside", "..", ".", "", "a/b", outside} {
		_, statErr := d.Stat(name)
		_, readErr := d.Read(name, 10)
		for what, err := range map[string]error{
			"stat": statErr, "read": readErr, "remove": d.Remove(name, info.ID), "write": d.WriteAtomic(name, nil, 0o600),
			"rename": d.Rename(name, info.ID, d, "z"),
		} {
			if err == nil {
				t.Errorf("%s %q went through", what, name)
			}
		}
	}
	if raw, err := os.ReadFile(outside); err != nil || string(raw) != "x" {
		t.Errorf("%q, %v", raw, err)
	}
}
