package command

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// fullDisk is a folder on a file system without a free block.
func fullDisk(t *testing.T) (dir string, free func()) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=700")
	switch {
	case err != nil && os.Getenv("OPSDECK_REQUIRE_REAL") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip("a full disk needs root:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	return dir, func() { os.Remove(filler) }
}

func TestACommandWithoutRoomForItsEndIsNotBegun(t *testing.T) {
	dir, _ := fullDisk(t)
	_, err := begin(checks.Env{Dir: dir, Token: "opsdeck/1"}, checks.Command{Name: "tidy"})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the command was not begun") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, recordFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it looks as if it had begun: %v", err)
	}
}

// TestTheEndOfACommandHasItsRoom: whoever fills the disk while it runs.
func TestTheEndOfACommandHasItsRoom(t *testing.T) {
	dir, free := fullDisk(t)
	free()
	env := checks.Env{Dir: dir, Token: "opsdeck/1", Exec: NewExec(), Site: checks.SiteFacts{Commands: map[string]checks.Command{"tidy": {Name: "tidy", Argv: []string{"/bin/true"}}}}}
	rec, err := begin(env, env.Site.Commands["tidy"])
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := rec.conclude(checks.Output{Code: 3}, nil); err != nil {
		t.Fatal(err)
	}
	args, problems := checks.NewCheck(Run, "tidy", map[string]any{"command": "tidy"}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	seen, err := probe(t.Context(), env, args.Args)
	if err != nil || seen.Note != "it ended with exit code 3" {
		t.Errorf("%q, %v", seen.Note, err)
	}
}
