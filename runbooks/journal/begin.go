package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// A stage is how far the journal of a state directory has come, as its files'
// names, types and sizes show it. None of them is opened for that: closing any
// descriptor of a database drops the locks of a process that writes it.
type stage int

const (
	absent stage = iota // there is no journal, and nothing that one would leave
	empty               // a file of 0 bytes that nothing else belongs to
	begun               // there is something in it; what, the database says
)

// damage is the error of a journal whose files cannot be those that were
// recorded: nothing is written to it and nothing of it is replaced.
type damage struct{ problem string }

func (d *damage) Error() string { return d.problem + ": run opsdeck verify" }

// beside are the suffixes of the files that SQLite keeps beside a database.
// Content in the first two is part of it.
var beside = []string{"-wal", "-journal", "-shm"} // never written to

// stageOf looks at the files. A journal was never begun if no event was
// acknowledged, which the head shows, and nothing waits in a log for the
// database to take it up.
func stageOf(dir string) (stage, error) {
	path := databasePath(dir)
	size, there, err := sizeOf(path)
	if err != nil {
		return absent, err
	}
	if size > 0 {
		return begun, nil
	}
	switch what, err := traceOf(dir); {
	case err != nil:
		return absent, err
	case what != "" && there:
		return absent, &damage{path + " is empty, but there is " + what}
	case what != "":
		return absent, &damage{path + " is gone, but there is " + what}
	case there:
		return empty, nil
	}
	return absent, nil
}

// traceOf names a file that says that a journal was begun; "" if there is none.
func traceOf(dir string) (string, error) {
	if _, there, err := sizeOf(headPath(dir)); there || err != nil {
		return headPath(dir), err
	}
	for _, suffix := range beside[:2] {
		path := databasePath(dir) + suffix
		if size, _, err := sizeOf(path); size > 0 || err != nil {
			return path, err
		}
	}
	return "", nil
}

// sizeOf is a file's size. A file that is not there is no error; one that is
// not a regular file is.
func sizeOf(path string) (size int64, there bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("looking at the journal: %w", err)
	case !info.Mode().IsRegular():
		return 0, true, fmt.Errorf("%s is not a regular file but %s", path, info.Mode().Type())
	}
	return info.Size(), true, nil
}

// begin makes sure that there is a journal to open, or says why there cannot
// be. What was never begun is put aside and a new one made. The caller holds
// the lock: nobody else has the files open for writing.
func begin(dir string) error {
	at, err := stageOf(dir)
	if err != nil {
		return err
	}
	if at == begun {
		bare, err := bareDatabase(dir)
		if err != nil || !bare {
			return err
		}
	}
	if at != absent {
		if err := setAside(databasePath(dir), "never-begun"); err != nil {
			return err
		}
	}
	temp := databasePath(dir) + ".new"
	if err := makeDatabase(temp, "FULL", eventSchema); err != nil {
		return fmt.Errorf("making the journal: %w", err)
	}
	if err := publish(temp, databasePath(dir)); err != nil {
		return fmt.Errorf("making the journal: %w", err)
	}
	return nil
}

// bareDatabase reports whether the file is a valid database without tables of
// which nothing was ever acknowledged. One with a head or a log beside it is
// for SQLite to recover; what it then lacks is damage.
func bareDatabase(dir string) (bool, error) {
	what, err := traceOf(dir)
	if err != nil || what != "" {
		return false, err
	}
	tables, err := tablesOf(databasePath(dir))
	if err != nil {
		return false, &damage{fmt.Sprintf("%s cannot be read: %v", databasePath(dir), err)}
	}
	return tables == 0, nil
}

// tablesOf counts the tables of a database that no process writes and that has
// no log beside it: it is read as it is, and nothing is made beside it.
func tablesOf(path string) (int, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		return 0, err
	}
	defer db.Close() //nolint:errcheck // opened for reading
	return countTables(db, "%")
}

// countTables counts the tables of that name.
func countTables(db *sql.DB, name string) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE ?", name).Scan(&n)
	return n, err
}

// setAside renames a database and what lies beside it, and never removes it:
// "journal.db.never-begun-20261123T030712Z".
func setAside(path, why string) error {
	to := path + "." + why + "-" + time.Now().UTC().Format("20060102T150405Z")
	for _, suffix := range append(beside, "") { // the database last: until then the next look finds the same
		if err := renameNew(path+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("putting %s aside: %w", path+suffix, err)
		}
	}
	return nil
}
