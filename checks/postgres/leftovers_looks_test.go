package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// planted are n files of no table in the directory of the database postgres,
// last written an hour ago.
func planted(t *testing.T, server *pgserver.Server, n int) []string {
	t.Helper()
	var path string
	conn := sessionWith(t, server.DSN("postgres"))
	if err := conn.QueryRow(t.Context(), "SELECT pg_relation_filepath('pg_class')").Scan(&path); err != nil {
		t.Fatal(err)
	}
	var files []string
	for i := range n {
		file := filepath.Join(dataDir(server), filepath.Dir(path), fmt.Sprint(900000+i))
		if err := os.WriteFile(file, make([]byte, 8192), 0o644); err != nil { //nolint:gosec // the server's user reads it
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// A transaction that drops many tables has committed before their files go:
// while they become fewer they are nobody's leftovers. All are counted, though
// not all are listed.
func TestFilesThatAreBeingRemovedAreNoLeftovers(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{})
	for _, role := range []string{super, monitor} {
		env := envFor(t, server.DSNAs(role, "postgres"))
		files := planted(t, server, 130)
		res := run(t, env, Leftovers, nil)
		expect(t, res, checks.Warn, "")
		if num(t, res, "files", "") != 130 || num(t, res, "size", "") != 130*8192 || len(columnOf(t, res, "leftovers", "name")) != straysShown {
			t.Errorf("%s: %v", role, res.Facts)
		}
		contains(t, res.Detail[0], "only the 100 largest of 130 files are listed")
		removed := make(chan error, 1)
		go func() {
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					removed <- err
					return
				}
				time.Sleep(20 * time.Millisecond) // as a busy disk removes them
			}
			removed <- nil
		}()
		res = run(t, env, Leftovers, nil)
		if err := <-removed; err != nil {
			t.Fatal(err)
		}
		expect(t, res, checks.OK, "")
		contains(t, res.Note, "nothing is left")
	}
}

func TestFilesThatDoNotComeToRestAreUndecided(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{})
	env := envFor(t, server.DSN("postgres"))
	file := planted(t, server, 1)[0]
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for size := int64(8192); ; size += 8192 {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(20 * time.Millisecond):
			}
			if err := os.Truncate(file, size); err != nil {
				stopped <- err
				return
			}
			if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				stopped <- err
				return
			}
		}
	}()
	res := run(t, env, Leftovers, nil)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	expect(t, res, checks.OK, "")
	if num(t, res, "files", "") != 0 || num(t, res, "undecided", "") != 1 {
		t.Errorf("facts: %v\n%s", res.Facts, cells(t, res, "leftovers"))
	}
}
