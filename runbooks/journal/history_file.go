package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite" // the database/sql driver, too
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/scratch"
)

const historySchema = `CREATE TABLE IF NOT EXISTS samples (
	series TEXT NOT NULL, at INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (series, at)) WITHOUT ROWID`

// historyFile is history.db, which is opened again after a failure. Several
// processes have it open at a time.
type historyFile struct {
	dir  string
	keep time.Duration

	mu     sync.Mutex
	db     *sql.DB // nil while it cannot be opened
	failed error   // why it could not be used the last time
	closed bool
}

func (f *historyFile) path() string { return filepath.Join(f.dir, "history.db") }

// opened is the database if it is open, nil if not.
func (f *historyFile) opened() *sql.DB {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.db
}

func (f *historyFile) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// use is the open database: it is opened if it is not.
func (f *historyFile) use(ctx context.Context) (*sql.DB, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, errors.New("the metric history is closed")
	case f.db != nil:
		return f.db, nil
	}
	f.db, f.failed = f.open(ctx)
	return f.db, f.failed
}

// fail closes the database after it failed: the next use opens it again.
func (f *historyFile) fail(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed = why; f.db != nil {
		f.db.Close() //nolint:errcheck // it failed already
		f.db = nil
	}
}

func (f *historyFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed = true; f.db == nil {
		return nil
	}
	db := f.db
	f.db = nil
	return db.Close()
}

// open opens the file, or makes it. One that is damaged is put aside: the
// samples in it are lost, and the next ones are kept.
func (f *historyFile) open(ctx context.Context) (*sql.DB, error) {
	info, err := f.look()
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.create(); err == nil {
			info, err = f.look()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the metric history: %w", err)
	}
	db, err := f.prepare(ctx)
	if damagedFile(err) {
		if asideErr := f.setAside(info.ID); asideErr != nil {
			return nil, errors.Join(err, asideErr)
		}
		if err = f.create(); err == nil {
			db, err = f.prepare(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the metric history: %w", err)
	}
	return db, nil
}

// look says which file has the name. Anything but a regular file is an error.
func (f *historyFile) look() (info hostfs.Info, err error) {
	found, err := os.Lstat(f.path())
	if err != nil {
		return info, err
	}
	if !found.Mode().IsRegular() {
		return info, fmt.Errorf("%s is not a regular file", f.path())
	}
	return hostfs.InfoOf(found)
}

// create makes the file in a private folder and gives it its name. Another
// process may have made it meanwhile.
func (f *historyFile) create() error {
	private, err := scratch.Make(filepath.Join(f.dir, "tmp"))
	if err != nil {
		return err
	}
	temp := filepath.Join(private.Path, "history.db")
	err = makeDatabase(temp, "NORMAL", historySchema)
	if err == nil {
		if err = renameNew(temp, f.path()); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err == nil {
		err = syncDir(f.dir)
	}
	return errors.Join(err, private.Remove())
}

// prepare opens the file that is there, and drops what is too old.
func (f *historyFile) prepare(ctx context.Context) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+f.path()+
		"?mode=rw&_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, historySchema)
	if err == nil {
		_, err = db.ExecContext(ctx, "DELETE FROM samples WHERE at < ?", time.Now().Add(-f.keep).UnixMilli())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// setAside renames the very file that was found damaged: another process may
// have put it aside and made a new one since.
func (f *historyFile) setAside(id hostfs.ID) error {
	dir, err := hostfs.OpenDir(f.dir)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // opened for reading
	to := "history.db.damaged-" + time.Now().UTC().Format("20060102T150405Z")
	var changed *hostfs.ChangedError
	err = dir.Rename("history.db", id, dir, to)
	switch {
	case errors.As(err, &changed), errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("putting the damaged metric history aside: %w", err)
	}
	for _, suffix := range beside {
		if err := renameNew(f.path()+suffix, filepath.Join(f.dir, to)+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("putting the damaged metric history aside: %w", err)
		}
	}
	return nil
}

// damagedFile reports whether SQLite says that the file is not one of its own,
// or is torn.
func damagedFile(err error) bool {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return false
	}
	primary := failure.Code() & 0xff // the rest is detail
	return primary == sqlite3.SQLITE_CORRUPT || primary == sqlite3.SQLITE_NOTADB
}
