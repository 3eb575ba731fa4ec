package lock

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The users of these tests: nobody is in the group nogroup, which stands for the
// group opsdeck; the stranger is not.
const (
	group    = "nogroup"
	stranger = 54321
)

// shared makes a shared folder as the line of tmpfiles.d does, below a folder
// that all users can enter.
func shared(t *testing.T) (path string, member uint32) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("folders have to be given to a group: run as root")
		}
		t.Skip("needs root to give folders to a group")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "opsdeck-lock-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "lock")
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(path, 0o700), os.Chown(path, 0, gidOf(t)), os.Chmod(path, 0o770|os.ModeSetgid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path, uint32(uid)
}

func gidOf(t *testing.T) int {
	t.Helper()
	g, err := user.LookupGroup(group)
	if err != nil {
		t.Skip("there is no group " + group)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return gid
}

func TestUsersOfTheGroupExcludeEachOther(t *testing.T) {
	path, member := shared(t)
	f, err := sharedFolder(path, group)
	if err != nil || f.Alone() != "" {
		t.Fatalf("%v, alone %q", err, f.Alone())
	}
	held := acquire(t, f, "a") // the file is root's
	if _, said := another(t, member, path, group, "a"); !strings.Contains(said, "a is being worked at by process "+strconv.Itoa(os.Getpid())+" of root, which says: ada") {
		t.Errorf("the member is told %q", said)
	}
	held.Release()
	theirs, said := another(t, member, path, group, "a")
	if said != "held" {
		t.Fatalf("the member cannot take a target that root has given back: %s", said)
	}
	if by, held := f.Who("a"); !held || by.PID != theirs.Process.Pid || by.User != "nobody" || by.Claim.Who != "bob" {
		t.Errorf("held %v by %v", held, by)
	}
	if _, err := f.Acquire([]string{"a"}, me()); err == nil || !strings.Contains(err.Error(), "of nobody") {
		t.Errorf("root was not refused: %v", err)
	}
	end(theirs)
	acquire(t, f, "a")
}

// TestAProcessFromBeforeTheSharedFolderIsExcluded: it locks in the user's own
// folder, and the user's next process locks in the shared one.
func TestAProcessFromBeforeTheSharedFolderIsExcluded(t *testing.T) {
	path, member := shared(t)
	own := filepath.Join(t.TempDir(), "locks")
	f, err := find(path, group, []string{own})
	if err != nil || f.Path() != path || f.Alone() != "" {
		t.Fatalf("%s, %v, alone %q", f.Path(), err, f.Alone())
	}
	earlier, said := another(t, 0, own, "", "a")
	if said != "held" {
		t.Fatal(said)
	}
	if by, held := f.Who("a"); !held || by.PID != earlier.Process.Pid {
		t.Errorf("held %v by %v, want process %d", held, by, earlier.Process.Pid)
	}
	if _, err := f.Acquire([]string{"a"}, me()); err == nil || !strings.Contains(err.Error(), strconv.Itoa(earlier.Process.Pid)) {
		t.Errorf("two processes of one user hold one target: %v", err)
	}
	end(earlier)
	acquire(t, f, "a")
	refused := "a is being worked at by process " + strconv.Itoa(os.Getpid())
	if _, said := another(t, 0, own, "", "a"); !strings.Contains(said, refused) {
		t.Errorf("a process that knows only the user's own folder is told %q", said)
	}
	if _, said := another(t, member, path, group, "a"); !strings.Contains(said, refused) {
		t.Errorf("another user is told %q", said)
	}
}

// TestATargetHeldInTheSharedFolderLeavesNothingHeld: the user's own lock, which
// is taken first, is given back.
func TestATargetHeldInTheSharedFolderLeavesNothingHeld(t *testing.T) {
	path, member := shared(t)
	own := filepath.Join(t.TempDir(), "locks")
	f, err := find(path, group, []string{own})
	if err != nil {
		t.Fatal(err)
	}
	theirs, said := another(t, member, path, group, "a")
	if said != "held" {
		t.Fatal(said)
	}
	if _, err := f.Acquire([]string{"a"}, me()); err == nil || !strings.Contains(err.Error(), "of nobody") {
		t.Errorf("held twice: %v", err)
	}
	end(theirs)
	if by, held := f.Who("a"); held {
		t.Errorf("it is still held by %v", by)
	}
}

// TestWithoutAFolderOfTheUsersOwnTheSharedOneIsEnough: as for a service's user
// without a home.
func TestWithoutAFolderOfTheUsersOwnTheSharedOneIsEnough(t *testing.T) {
	path, _ := shared(t)
	f, err := find(path, group, []string{filepath.Join("/proc/none", "locks")})
	if err != nil {
		t.Fatal(err)
	}
	acquire(t, f, "a")
}

// TestAStrangerCanNeitherTakeNorFakeALock: abstract sockets, which any process
// of the host may bind, did not keep one from it.
func TestAStrangerCanNeitherTakeNorFakeALock(t *testing.T) {
	path, _ := shared(t)
	f, err := sharedFolder(path, group)
	if err != nil {
		t.Fatal(err)
	}
	acquire(t, f, "a")
	for _, target := range []string{"a", "b"} {
		if _, said := another(t, stranger, path, group, target); !strings.Contains(said, "permission denied") {
			t.Errorf("%s: the stranger is told %q", target, said)
		}
	}
	if _, held := f.Who("b"); held {
		t.Error("the stranger holds a target")
	}
	info, err := os.Stat(filepath.Join(path, name("a")))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); info.Mode() != 0o660 || int(stat.Gid) != gidOf(t) {
		t.Errorf("the file has mode %v and group %d", info.Mode(), stat.Gid)
	}
}

func TestOnlyTheFolderThatRootHasMadeIsShared(t *testing.T) {
	chown := func(path string, uid, gid int, mode os.FileMode) error {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
	for name, spoil := range map[string]func(path string, gid int) error{
		"missing":               func(path string, _ int) error { return os.Remove(path) },
		"of another user":       func(path string, gid int) error { return chown(path, stranger, gid, 0o770|os.ModeSetgid) },
		"of another group":      func(path string, _ int) error { return chown(path, 0, stranger, 0o770|os.ModeSetgid) },
		"open to all":           func(path string, gid int) error { return chown(path, 0, gid, 0o777|os.ModeSetgid) },
		"readable for all":      func(path string, gid int) error { return chown(path, 0, gid, 0o775|os.ModeSetgid) },
		"without setgid":        func(path string, gid int) error { return chown(path, 0, gid, 0o770) },
		"in a stranger's":       func(path string, _ int) error { return chown(filepath.Dir(path), stranger, 0, 0o755) },
		"in one open to all":    func(path string, _ int) error { return chown(filepath.Dir(path), 0, 0, 0o777) },
		"in one of the group's": func(path string, gid int) error { return chown(filepath.Dir(path), 0, gid, 0o775) },
		"a link": func(path string, _ int) error {
			if err := os.Rename(path, path+"-real"); err != nil {
				return err
			}
			return os.Symlink(path+"-real", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := shared(t)
			before, err := sharedFolder(path, group)
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(path, gidOf(t)); err != nil {
				t.Fatal(err)
			}
			if f, err := sharedFolder(path, group); err == nil {
				t.Errorf("%s is used", f.Path())
			}
			if _, err := before.Acquire([]string{"a"}, me()); err == nil && !strings.HasPrefix(name, "in ") {
				t.Error("it is used by a process that found it before")
			}
		})
	}
}
