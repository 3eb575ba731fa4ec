package owner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// The users of the tests. Files are made by root and given to them, so that the
// kernel's own owners and modes decide.
const (
	me       = 41001 // the user that opsdeck runs as; 41001 is its private group
	stranger = 41002
	deploy   = 41003 // trusted where a test says so
	crowd    = 41009 // a group with members
)

const passwd = `root:x:0:0:root:/root:/bin/sh
me:x:41001:41001::/home/me:/bin/sh
stranger:x:41002:41002::/home/stranger:/bin/sh
deploy:x:41003:41009::/home/deploy:/bin/sh
`

const group = `root:x:0:
me:x:41001:
stranger:x:41002:deploy
crowd:x:41009:me,deploy
`

// needRoot skips where files cannot be given to other users.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("OPSDECK_REQUIRE_REAL") != "" {
		t.Fatal("files have to be given to other users: run as root")
	}
	t.Skip("needs root to give files to other users")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// etc is a folder with the accounts of the tests.
func etc(t *testing.T) accounts {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "passwd"), []byte(passwd), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "group"), []byte(group), 0o644))
	return accounts{dir}
}

// put makes one file, folder (a path that ends in /) or link ("-> target").
func put(t *testing.T, path, content string, uid, gid int, mode os.FileMode) {
	t.Helper()
	target, link := strings.CutPrefix(content, "-> ")
	switch {
	case link:
		must(t, os.Symlink(target, path))
	case strings.HasSuffix(path, "/"):
		must(t, os.MkdirAll(path, 0o755))
	default:
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	must(t, os.Lchown(strings.TrimSuffix(path, "/"), uid, gid))
	if !link {
		must(t, os.Chmod(path, mode))
	}
}

func TestWhoseFilesAreTaken(t *testing.T) {
	needRoot(t)
	const sticky = os.ModeSticky
	type file struct {
		path, content string
		uid, gid      int
		mode          os.FileMode
	}
	for _, c := range []struct {
		name    string
		files   []file
		path    string // the last file, if empty
		refused string // the component, below the folder of the test; "" means accepted
		says    string
	}{
		{"the user's file in root's folder", []file{{"a/", "", 0, 0, 0o755}, {"a/f", "x", me, me, 0o600}}, "", "", ""},
		{"root's file in the user's folder", []file{{"a/", "", me, me, 0o755}, {"a/f", "x", 0, 0, 0o644}}, "", "", ""},
		{"a trusted owner's folder and file", []file{{"a/", "", deploy, crowd, 0o755}, {"a/f", "x", deploy, crowd, 0o644}}, "", "", ""},
		{"a stranger's file", []file{{"f", "x", stranger, stranger, 0o644}}, "", "f", `belongs to user stranger (41002), not to root or me (41001) (mode 0644)`},
		{"a stranger's folder", []file{{"a/", "", stranger, stranger, 0o755}, {"a/f", "x", me, me, 0o644}}, "", "a", `the line "stranger" in `},
		{"a stranger's folder far above", []file{{"a/", "", stranger, 0, 0o755}, {"a/b/", "", me, me, 0o755}, {"a/b/f", "x", me, me, 0o644}}, "", "a", "chown me "},
		{"an owner without a name", []file{{"f", "x", 54321, 0, 0o644}}, "", "f", `the line "54321"`},
		{"a file that any user may write", []file{{"f", "x", me, me, 0o646}}, "", "f", "chmod o-w "},
		{"a folder that any user may write", []file{{"a/", "", me, me, 0o777}, {"a/f", "x", me, me, 0o644}}, "", "a", "chmod go-w "},
		{"the private group may write", []file{{"a/", "", me, me, 0o775}, {"a/f", "x", me, me, 0o664}}, "", "", ""},
		{"root's group may write", []file{{"f", "x", 0, 0, 0o664}}, "", "", ""},
		{"a group with members may write", []file{{"f", "x", me, crowd, 0o664}}, "", "f", "group crowd (41009)"},
		{"the private group of somebody else", []file{{"f", "x", me, stranger, 0o664}}, "", "f", "chmod g-w "},
		{"a primary group of two users", []file{{"f", "x", deploy, crowd, 0o664}}, "", "f", "group crowd"},
		{"the user's file in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"a/f", "x", me, me, 0o600}}, "", "", ""},
		{"root's file in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"a/f", "x", 0, 0, 0o600}}, "", "", ""},
		{"a stranger's file in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"a/f", "x", stranger, 0, 0o644}}, "", "a/f", "which others can write"},
		{"a trusted owner's file in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"a/f", "x", deploy, 0, 0o644}}, "", "a/f", "which others can write"},
		{"the user's file in the user's sticky folder", []file{{"a/", "", me, me, 0o777 | sticky}, {"a/f", "x", me, me, 0o600}}, "", "a", "(owner me (41001), mode 1777)"},
		{"root's sticky folder itself", []file{{"a/", "", 0, 0, 0o777 | sticky}}, "", "a", "is writable by others"},
		{"the user's link", []file{{"f", "x", me, me, 0o600}, {"l", "-> f", me, me, 0}}, "", "", ""},
		{"a stranger's link to the user's file", []file{{"f", "x", me, me, 0o600}, {"l", "-> f", stranger, stranger, 0}}, "", "l", "is a symbolic link that belongs to user stranger (41002), not to root or me (41001)"},
		{"the user's link to a stranger's file", []file{{"f", "x", stranger, 0, 0o644}, {"l", "-> f", me, me, 0}}, "", "f", "belongs to user stranger (41002)"},
		{"the user's link to a folder with a stranger's file", []file{{"a/", "", me, me, 0o755}, {"a/f", "x", stranger, 0, 0o644}, {"l", "-> a", me, me, 0}}, "l/f", "a/f", ""},
		{"a stranger's link as a folder", []file{{"a/", "", me, me, 0o755}, {"a/f", "x", me, me, 0o644}, {"l", "-> a", stranger, 0, 0}}, "l/f", "l", "chown -h me "},
		{"a link through a folder of a stranger and back", []file{{"a/", "", stranger, 0, 0o755}, {"f", "x", me, me, 0o644}, {"l", "-> a/../f", me, me, 0}}, "", "a", ""},
		{"a stranger's link in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"f", "x", me, me, 0o600}, {"a/l", "-> ../f", stranger, 0, 0}}, "", "a/l", "which others can write"},
		{"the user's link in root's sticky folder", []file{{"a/", "", 0, 0, 0o777 | sticky}, {"f", "x", me, me, 0o600}, {"a/l", "-> ../f", me, 0, 0}}, "", "", ""},
		{"what is missing from a stranger's folder", []file{{"a/", "", stranger, 0, 0o755}}, "a/f", "a", ""},
		{"what is missing from a folder that any user may write", []file{{"a/", "", me, me, 0o757}}, "a/f", "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := c.path
			for _, f := range c.files {
				put(t, dir+"/"+f.path, f.content, f.uid, f.gid, f.mode)
			}
			if path == "" {
				path = strings.TrimSuffix(c.files[len(c.files)-1].path, "/")
			}
			rule := Rule{uid: me, trusted: map[uint32]string{deploy: "here"}, named: []string{TrustFile}, accounts: etc(t)}
			err := rule.Check(filepath.Join(dir, path))
			file, opened := rule.Open(filepath.Join(dir, path))
			if (err == nil) != (opened == nil) {
				t.Errorf("Check says %v, Open %v", err, opened)
			}
			if opened == nil {
				must(t, file.Close())
			}
			if c.refused == "" {
				must(t, err)
				return
			}
			var refused *Refusal
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if want := filepath.Join(dir, c.refused); refused.At != want || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("refused at %s: %v\nwant %s, %q", refused.At, err, want, c.says)
			}
		})
	}
}

func TestAnAccessListTakesThePrivateGroupsExemption(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "x", me, me, 0o600)
	// user::rw-, user:41002:rw-, group::---, mask::rw-, other::---
	var list bytes.Buffer
	must(t, binary.Write(&list, binary.LittleEndian, uint32(2)))
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, ^uint32(0)}, {0x02, 6, stranger}, {0x04, 0, ^uint32(0)}, {0x10, 6, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
		must(t, binary.Write(&list, binary.LittleEndian, e))
	}
	if err := unix.Setxattr(path, "system.posix_acl_access", list.Bytes(), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("the file system keeps no access lists")
	} else {
		must(t, err)
	}
	err := Rule{uid: me, accounts: etc(t)}.Check(path)
	if err == nil || !strings.Contains(err.Error(), "access list") {
		t.Errorf("got %v, want a refusal for the access list", err)
	}
}

func TestAGroupThatCannotBeKnownCountsAsOthers(t *testing.T) {
	needRoot(t)
	for name, spoil := range map[string]func(t *testing.T, a accounts){
		"no passwd":    func(t *testing.T, a accounts) { must(t, os.Remove(filepath.Join(a.etc, "passwd"))) },
		"no group":     func(t *testing.T, a accounts) { must(t, os.Remove(filepath.Join(a.etc, "group"))) },
		"endless file": func(t *testing.T, a accounts) { must(t, os.Truncate(filepath.Join(a.etc, "group"), maxAccounts+1)) },
		"a directory service": func(t *testing.T, a accounts) {
			put(t, filepath.Join(a.etc, "nsswitch.conf"), "passwd: files sss\ngroup: files\n", 0, 0, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			put(t, path, "x", me, me, 0o664)
			known := etc(t)
			must(t, Rule{uid: me, accounts: known}.Check(path))
			spoil(t, known)
			var refused *Refusal
			if err := (Rule{uid: me, accounts: known}).Check(path); !errors.As(err, &refused) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestALoopOfLinksEnds(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("b", filepath.Join(dir, "a")))
	must(t, os.Symlink("a", filepath.Join(dir, "b")))
	if err := mine(t).Check(filepath.Join(dir, "a")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v, want ELOOP", err)
	}
}

// mine is the rule for the user of the test, without trusted owners.
func mine(t *testing.T) Rule {
	t.Helper()
	return Rule{uid: uint32(os.Geteuid()), accounts: accounts{}}
}

func TestOnlyARegularFileOrAFolderIsOpened(t *testing.T) {
	dir := t.TempDir()
	pipe, file := filepath.Join(dir, "pipe"), filepath.Join(dir, "file")
	must(t, unix.Mkfifo(pipe, 0o600))
	must(t, os.WriteFile(file, []byte("12345"), 0o600))
	if _, err := mine(t).Open(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := mine(t).Read(dir, 10); err == nil {
		t.Error("a folder was read as a file")
	}
	var tooLarge *hostfs.TooLargeError
	if _, err := mine(t).Read(file, 4); !errors.As(err, &tooLarge) {
		t.Errorf("a file beyond the limit: %v", err)
	}
	if got, err := mine(t).Read(file, 5); err != nil || string(got) != "12345" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := mine(t).Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	f, err := mine(t).Open(dir)
	must(t, err)
	names, err := f.Readdirnames(-1)
	if err != nil && !errors.Is(err, io.EOF) || len(names) != 2 {
		t.Errorf("the folder lists %v, %v", names, err)
	}
	must(t, f.Close())
}

func TestRealIsTheWayWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "d", "f"), nil, 0o600))
	must(t, os.Symlink("d", filepath.Join(dir, "one")))
	must(t, os.Symlink(filepath.Join(dir, "one"), filepath.Join(dir, "two")))
	for _, path := range []string{"d/f", "one/f", "two/f", "two/../d/./f"} {
		if got, err := mine(t).Real(filepath.Join(dir, path)); err != nil || got != filepath.Join(dir, "d", "f") {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
}

func TestNoDescriptorIsLeftOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, nil, 0o600))
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	before := count()
	for range 10 {
		must(t, mine(t).Check(path))
		_ = mine(t).Check(path + "/not-a-folder")
		_ = mine(t).Check(path + "-absent")
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAFolderIsCheckedWithAllInIt(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	rule := Rule{uid: me, accounts: etc(t)}
	put(t, dir+"/hooks/deploy/", "", me, me, 0o755)
	put(t, dir+"/hooks/deploy/one", "x", me, me, 0o755)
	must(t, rule.CheckTree(dir+"/hooks"))
	must(t, rule.CheckTree(dir+"/absent"))
	put(t, dir+"/hooks/deploy/two", "x", stranger, 0, 0o755)
	var refused *Refusal
	if err := rule.CheckTree(dir + "/hooks"); !errors.As(err, &refused) || refused.At != dir+"/hooks/deploy/two" {
		t.Errorf("got %v, want a refusal of the stranger's hook", err)
	}
}

func TestAFileSystemOfTheRuleOpensOnlyWhatPasses(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	books := Rule{uid: me, accounts: etc(t)}.FS(dir)
	put(t, dir+"/mine.md", "x", me, me, 0o644)
	put(t, dir+"/theirs.md", "x", stranger, 0, 0o644)
	if entries, err := fs.ReadDir(books, "."); err != nil || len(entries) != 2 {
		t.Errorf("the folder lists %v, %v", entries, err)
	}
	if text, err := fs.ReadFile(books, "mine.md"); err != nil || string(text) != "x" {
		t.Errorf("got %q, %v", text, err)
	}
	var refused *Refusal
	if _, err := fs.ReadFile(books, "theirs.md"); !errors.As(err, &refused) {
		t.Errorf("a stranger's file: %v", err)
	}
	if _, err := fs.Stat(books, "absent.md"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
