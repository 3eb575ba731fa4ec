package journal

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// neverBegun are the files that a process leaves which ends, or fails, before
// its first event was recorded.
var neverBegun = map[string]func(t *testing.T, path string){
	"a file of 0 bytes":         func(t *testing.T, path string) { put(t, path, "") },
	"a database without tables": emptyDatabase,
	"a file of 0 bytes and empty logs": func(t *testing.T, path string) {
		put(t, path, "")
		put(t, path+"-wal", "")
		put(t, path+"-journal", "")
	},
}

// emptyDatabase is what the pragma for the WAL leaves before the first table.
func emptyDatabase(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("the database was not made: %v %v", info, err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAJournalThatWasNeverBegunIsPutAsideAndBegun(t *testing.T) {
	for name, leave := range neverBegun {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			leave(t, databasePath(dir))
			before, err := os.ReadFile(databasePath(dir))
			if err != nil {
				t.Fatal(err)
			}
			if r := Verify(dir, nil); r.Status != Unwitnessed || r.Events != 0 {
				t.Errorf("before its first event it verifies as %+v", r)
			}
			j := open(t, dir)
			if n := count(t, j); n != 0 {
				t.Errorf("it has %d events", n)
			}
			appendNotes(t, j, 2)
			if r := Verify(dir, nil); r.Status != Intact || r.Events != 2 {
				t.Errorf("afterwards it verifies as %+v", r)
			}
			kept, err := filepath.Glob(databasePath(dir) + ".never-begun-*Z")
			if err != nil || len(kept) != 1 {
				t.Fatalf("put aside are %v, %v", kept, err)
			}
			if after, err := os.ReadFile(kept[0]); err != nil || string(after) != string(before) {
				t.Errorf("what was put aside is not what was there: %v", err)
			}
		})
	}
}

// TestAJournalThatLostItsEventsIsDamagedAndNotReplaced: as soon as anything says
// that something was recorded, an empty database is damage.
func TestAJournalThatLostItsEventsIsDamagedAndNotReplaced(t *testing.T) {
	used := func(t *testing.T, dir string) { // closed in good order: nothing is in the log
		j := open(t, dir)
		appendNotes(t, j, 3)
		if err := j.Release(); err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(t *testing.T, dir string) {
		if err := os.Truncate(databasePath(dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]func(t *testing.T, dir string){
		"a used journal is truncated": func(t *testing.T, dir string) { used(t, dir); truncate(t, dir) },
		"a used journal is removed":   func(t *testing.T, dir string) { used(t, dir); os.Remove(databasePath(dir)) },
		"a used journal is overwritten": func(t *testing.T, dir string) {
			used(t, dir)
			put(t, databasePath(dir), strings.Repeat("not a database ", 1000))
		},
		"a database without tables has a head": func(t *testing.T, dir string) {
			used(t, dir)
			os.Remove(databasePath(dir))
			emptyDatabase(t, databasePath(dir))
		},
		"its events are in the log alone": func(t *testing.T, dir string) {
			living := t.TempDir()
			appendNotes(t, open(t, living), 3)
			if err := copyFile(databasePath(living)+"-wal", databasePath(dir)+"-wal"); err != nil {
				t.Fatal(err)
			}
			put(t, databasePath(dir), "")
		},
		"its rollback journal is there": func(t *testing.T, dir string) {
			put(t, databasePath(dir), "")
			put(t, databasePath(dir)+"-journal", "pages")
		},
	}
	for name, lose := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			lose(t, dir)
			before := contents(t, dir)
			if r := Verify(dir, nil); r.Status != Damaged || r.Bad != 1 {
				t.Errorf("it verifies as %+v", r)
			}
			j := open(t, dir)
			if _, err := j.Append(note("on top")); err == nil {
				t.Error("it was written to")
			}
			for path, content := range before {
				if strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, ".lock") {
					continue // no part of the record
				}
				if now, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(now) != content {
					t.Errorf("%s was changed: %v", path, err)
				}
			}
		})
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(raw)
	}
	return all
}

// TestAFileOfAnotherKindIsNamedAndNeverOpened: a pipe would be waited for, and a
// link leads out of the state directory.
func TestAFileOfAnotherKindIsNamedAndNeverOpened(t *testing.T) {
	kinds := map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	}
	for kind, make := range kinds {
		for _, name := range []string{"journal.db", "journal.db-wal", "head"} {
			t.Run(kind+" as "+name, func(t *testing.T) {
				dir := t.TempDir()
				j := open(t, dir)
				appendNotes(t, j, 1)
				if err := j.Release(); err != nil {
					t.Fatal(err)
				}
				os.Remove(filepath.Join(dir, name))
				if err := make(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				answered := time.AfterFunc(20*time.Second, func() { panic(kind + " as " + name + " is waited for") })
				defer answered.Stop()
				if r := Verify(dir, nil); r.Status != Undetermined || !strings.Contains(r.Problem, name) {
					t.Errorf("it verifies as %+v", r)
				}
				if _, err := j.Append(note("on top")); err == nil {
					t.Error("it was written to")
				}
			})
		}
	}
}

func TestPrivateCopiesLieInTheStateDirectoryAndAreRemovedAfterAKill(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	appendNotes(t, j, 1)
	left := filepath.Join(dir, "tmp", "4194305-1", "copy") // no process has this id: it is above the kernel's limit
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := filepath.Glob(filepath.Join(os.TempDir(), "opsdeck-journal-*"))
	if err != nil {
		t.Fatal(err)
	}
	err = withCopy(dir, func(*sql.DB) error {
		copies, err := filepath.Glob(filepath.Join(dir, "tmp", "*", "*", "journal.db"))
		if err != nil || len(copies) != 1 {
			t.Errorf("the copies are %v, %v", copies, err)
		}
		if after, _ := filepath.Glob(filepath.Join(os.TempDir(), "opsdeck-journal-*")); len(after) > len(before) {
			t.Errorf("a copy lies in the system's folder: %v", after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(entries) != 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy of a killed process is still there: %v", err)
	}
}

// TestAJournalIsReadWhereNothingCanBeWritten: the copy goes to the runtime
// directory.
func TestAJournalIsReadWhereNothingCanBeWritten(t *testing.T) {
	dir, runtime := smallDisk(t), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	j := open(t, dir)
	appendNotes(t, j, 2)
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	used := false
	err := withCopy(dir, func(*sql.DB) error {
		copies, _ := filepath.Glob(filepath.Join(runtime, "opsdeck-tmp", "*", "*", "journal.db"))
		used = len(copies) == 1
		return nil
	})
	if err != nil || !used {
		t.Errorf("the copy was not in the runtime directory: %v", err)
	}
	if r := Verify(dir, nil); r.Status != Intact || r.Events != 2 {
		t.Errorf("verified as %+v", r)
	}
}
