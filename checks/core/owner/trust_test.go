package owner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrustedOwnersAreNamedInRootsFile(t *testing.T) {
	needRoot(t)
	known, dir := etc(t), t.TempDir()
	list, file := filepath.Join(dir, "trusted-owners"), filepath.Join(dir, "f")
	put(t, file, "x", deploy, crowd, 0o644)

	none, err := current(0, list, known)
	must(t, err)
	if err := none.Check(file); err == nil || !strings.Contains(err.Error(), `the line "deploy" in `+list) {
		t.Errorf("without the list: %v", err)
	}
	put(t, list, "# who deploys\n\n  deploy  # since spring\ngone\n", 0, 0, 0o644)
	r, err := current(0, list, known)
	must(t, err)
	must(t, r.Check(file))
	if got := r.Trusted(); len(got) != 1 || !strings.Contains(got[0], "deploy (41003)") || !strings.HasSuffix(got[0], ":3") {
		t.Errorf("trusted: %q", got)
	}
	if got := r.Notes(); len(got) != 1 || !strings.Contains(got[0], list+`:4: there is no user "gone"`) {
		t.Errorf("notes: %q", got)
	}
	must(t, os.WriteFile(list, []byte("41003\n"), 0o644))
	byNumber, err := current(0, list, known)
	must(t, err)
	must(t, byNumber.Check(file))
}

func TestTheListOfTrustedOwnersIsHeldToTheRule(t *testing.T) {
	needRoot(t)
	known, dir := etc(t), t.TempDir()
	list := filepath.Join(dir, "trusted-owners")
	for _, c := range []struct {
		name string
		uid  int
		mode os.FileMode
	}{{"a stranger's", stranger, 0o644}, {"the user's own in root's place", me, 0o644}, {"one that others may write", 0, 0o666}} {
		t.Run(c.name, func(t *testing.T) {
			put(t, list, "deploy\n", c.uid, 0, c.mode)
			var refused *Refusal
			if _, err := current(me, list, known); !errors.As(err, &refused) || refused.At != list {
				t.Errorf("got %v, want a refusal of the list", err)
			}
		})
	}
	must(t, os.Remove(list))
	put(t, list, "deploy stranger\n", 0, 0, 0o644)
	if _, err := current(0, list, known); err == nil || !strings.Contains(err.Error(), list+`:1:1: found "deploy stranger"`) {
		t.Errorf("two names on a line: %v", err)
	}
}

func TestAUsersOwnListCountsForThatUserAlone(t *testing.T) {
	needRoot(t)
	known, home := etc(t), t.TempDir()
	must(t, os.WriteFile(filepath.Join(known.etc, "passwd"), []byte(strings.ReplaceAll(passwd, "/home/me", home)), 0o644))
	config := filepath.Join(home, ".config", "opsdeck")
	must(t, os.MkdirAll(config, 0o755))
	file, own := filepath.Join(t.TempDir(), "f"), filepath.Join(config, "trusted-owners")
	put(t, file, "x", deploy, crowd, 0o644)
	put(t, own, "deploy\n", me, me, 0o644)
	system := filepath.Join(t.TempDir(), "trusted-owners")

	r, err := current(me, system, known)
	must(t, err)
	must(t, r.Check(file))
	root, err := current(0, system, known)
	must(t, err)
	if root.Check(file) == nil {
		t.Error("root trusts whom another user trusts")
	}
	must(t, os.Chown(own, stranger, stranger))
	var refused *Refusal
	if _, err := current(me, system, known); !errors.As(err, &refused) {
		t.Errorf("a stranger's list in the user's home: %v", err)
	}
}
