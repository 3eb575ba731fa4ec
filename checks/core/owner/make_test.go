package owner

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAFolderIsMadeWithWhatIsMissingAboveIt(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	must(t, os.Mkdir(real, 0o755))
	must(t, os.Symlink("real", filepath.Join(dir, "link"))) // our own
	f, err := Rule{uid: uint32(os.Geteuid())}.MakeDir(filepath.Join(dir, "link", "a", "b"))
	must(t, err)
	must(t, f.Close())
	for _, made := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(real, made))
		must(t, err)
		if info.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s has mode %v", made, info.Mode())
		}
	}
}

// TestTheModeOfAFolderThatWasMadeIsChangedThroughItsDescriptor: of the folder
// that was checked, whatever stands under its path by then.
func TestTheModeOfAFolderThatWasMadeIsChangedThroughItsDescriptor(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "path"), filepath.Join(dir, "victim")
	must(t, errors.Join(os.Mkdir(path, 0o755), os.Mkdir(victim, 0o755)))
	f, err := Rule{uid: uint32(os.Geteuid())}.MakeDir(path)
	must(t, err)
	defer f.Close()
	must(t, errors.Join(os.Rename(path, path+".was"), os.Symlink(victim, path)))
	must(t, f.Chmod(0o700))
	was, err := os.Stat(path + ".was")
	must(t, err)
	kept, err := os.Stat(victim)
	must(t, err)
	if was.Mode().Perm() != 0o700 || kept.Mode().Perm() != 0o755 {
		t.Errorf("the folder has %v, the victim %v", was.Mode(), kept.Mode())
	}
}

// TestNothingIsMadeWhereSomebodyElseCouldChoose: neither the folder nor what is
// missing above it.
func TestNothingIsMadeWhereSomebodyElseCouldChoose(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name    string
		mode    os.FileMode // of the folder in which the way goes on
		uid     int         // of that folder
		link    int         // uid of a link to a victim in it; -1: there is none
		refused string      // below the folder: what breaks the rule
	}{
		{"a stranger's folder", 0o755, stranger, -1, "."},
		{"a folder that all may write", 0o777, 0, -1, "."},
		{"a stranger's link in a folder like /tmp", 0o777 | os.ModeSticky, 0, stranger, "next"},
		{"a stranger's link in a folder of root", 0o755, 0, stranger, "next"},
		{"root's link in a stranger's folder", 0o755, stranger, 0, "."},
	} {
		for _, rest := range []string{"next", "next/below"} {
			t.Run(c.name+"/"+rest, func(t *testing.T) {
				dir, victim := t.TempDir(), t.TempDir()
				way := filepath.Join(dir, "way")
				must(t, os.Mkdir(way, 0o755))
				if c.link >= 0 {
					must(t, errors.Join(os.Symlink(victim, filepath.Join(way, "next")), os.Lchown(filepath.Join(way, "next"), c.link, -1)))
				}
				must(t, errors.Join(os.Chown(way, c.uid, -1), os.Chmod(way, c.mode)))
				before := mode(t, victim)
				f, err := Rule{}.MakeDir(filepath.Join(way, rest))
				var refused *Refusal
				if !errors.As(err, &refused) || refused.At != filepath.Join(way, c.refused) {
					t.Errorf("got %v, %v, want a refusal of %s", f, err, filepath.Join(way, c.refused))
				}
				entries, err := os.ReadDir(way)
				must(t, err)
				inVictim, err := os.ReadDir(victim)
				must(t, err)
				if len(entries) > 0 && c.link < 0 || len(inVictim) > 0 || mode(t, victim) != before {
					t.Errorf("made %v, in the victim %v, its mode %o", entries, inVictim, mode(t, victim))
				}
			})
		}
	}
}

func mode(t *testing.T, path string) uint32 {
	t.Helper()
	var stat syscall.Stat_t
	must(t, syscall.Stat(path, &stat))
	return stat.Mode & 0o7777
}
