package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

func noEnv(string) string { return "" }

// settled is the folder that a site has after it was settled in it. A second
// attempt finds what another site wrote in between.
func settled(t *testing.T, root, site string) string {
	t.Helper()
	dir, err := settle(root, site)
	var taken *TakenError
	if errors.As(err, &taken) {
		dir, err = settle(root, site)
	}
	if err != nil {
		t.Errorf("settling %q in %s: %v", site, root, err)
	}
	return dir
}

func settle(root, site string) (string, error) {
	dir, err := StateDir(root, site, noEnv)
	if err != nil {
		return dir, err
	}
	if _, err := Open(dir, Holder{}); err != nil {
		return dir, err
	}
	return dir, Settle(dir, site)
}

func TestSitesOfDifferentNamesNeverShareAFolder(t *testing.T) {
	root := t.TempDir()
	sites := []string{"a.b", "a_b", "a b", "a/b", "ab", "", "site", ".", "_"}
	seen := map[string]string{}
	for _, site := range sites {
		dir := settled(t, root, site)
		if other, taken := seen[dir]; taken {
			t.Errorf("%q and %q share %s", site, other, dir)
		}
		if seen[dir] = site; filepath.Dir(dir) != root {
			t.Errorf("%q lives in %s", site, dir)
		}
	}
	for dir, site := range seen { // it stays so
		if again := settled(t, root, site); again != dir {
			t.Errorf("%q moved from %s to %s", site, dir, again)
		}
	}
}

func TestSitesThatComeAtTheSameMomentGetFoldersOfTheirOwn(t *testing.T) {
	root := t.TempDir()
	var dirs [2]string
	var both sync.WaitGroup
	for i, site := range []string{"a.b", "a_b"} {
		both.Go(func() { dirs[i] = settled(t, root, site) })
	}
	both.Wait()
	if dirs[0] == dirs[1] {
		t.Errorf("they share %s", dirs[0])
	}
}

// TestAFolderOfAnEarlierBuildStaysThatOfTheSiteWhoseRunsItHolds: such a folder
// does not name its site, but its runs do.
func TestAFolderOfAnEarlierBuildStaysThatOfTheSiteWhoseRunsItHolds(t *testing.T) {
	root := t.TempDir()
	old := filepath.Join(root, "a_b")
	openedRun(t, old, "a.b")
	if dir := settled(t, root, "a_b"); dir == old || !strings.HasPrefix(dir, old+"-") {
		t.Errorf("a_b lives in %s", dir)
	}
	if dir := settled(t, root, "a.b"); dir != old {
		t.Errorf("a.b lives in %s, its runs are in %s", dir, old)
	}
	if err := Settle(old, "a_b"); err == nil || !strings.Contains(err.Error(), `the site "a.b"`) {
		t.Errorf("settling in another site's folder: %v", err)
	}
	if raw, err := os.ReadFile(filepath.Join(old, "site")); err != nil || string(raw) != "a.b\n" {
		t.Errorf("%q %v", raw, err)
	}
}

// TestAFolderThatWasRenamedOrCopiedStaysThatOfItsSite: its new name is that of
// another site, which gets a folder of its own beside it.
func TestAFolderThatWasRenamedOrCopiedStaysThatOfItsSite(t *testing.T) {
	root := t.TempDir()
	prod := settled(t, root, "prod")
	web := filepath.Join(root, "web")
	if err := os.Rename(prod, web); err != nil {
		t.Fatal(err)
	}
	dir := settled(t, root, "web")
	if dir == web || !strings.HasPrefix(dir, web+"-") {
		t.Errorf("web lives in %s", dir)
	}
	if again := settled(t, root, "web"); again != dir {
		t.Errorf("web moved from %s to %s", dir, again)
	}
	if again := settled(t, root, "prod"); again != prod {
		t.Errorf("prod lives in %s", again)
	}
}

// TestAFolderWithoutASiteFileIsThatOfItsFirstRun, whatever it is called.
func TestAFolderWithoutASiteFileIsThatOfItsFirstRun(t *testing.T) {
	root := t.TempDir()
	web := filepath.Join(root, "web")
	openedRun(t, web, "prod")
	if dir := settled(t, root, "web"); !strings.HasPrefix(dir, web+"-") {
		t.Errorf("web lives in %s", dir)
	}
}

// openedRun leaves a record of one run of the site in a folder.
func openedRun(t *testing.T, dir, site string) {
	t.Helper()
	j := open(t, dir)
	opened, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "dana"}, "run-1", "", 0, runbooks.RunOpened{Site: site})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(opened); err != nil {
		t.Fatal(err)
	}
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
}
