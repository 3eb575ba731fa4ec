package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// makeDatabase makes a database with a schema at a temporary path, whole and on
// disk: WAL mode is set, the tables made, everything brought out of the log,
// the file closed, looked at and synced. publish gives it its name. What an
// attempt before left at the path is removed; nothing else uses it.
func makeDatabase(temp, synchronous, schema string) error {
	if err := removeDatabase(temp); err != nil {
		return err
	}
	err := fillDatabase(temp, synchronous, schema)
	if err == nil {
		err = checkMade(temp)
	}
	if err == nil {
		err = syncFile(temp)
	}
	if err != nil {
		return errors.Join(err, removeDatabase(temp))
	}
	return nil
}

func fillDatabase(temp, synchronous, schema string) (err error) {
	db, err := sql.Open("sqlite", "file:"+temp+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	var busy, inLog, moved int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &inLog, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return fmt.Errorf("the log of %s could not be written back", temp)
	}
	return nil
}

// checkMade finds what SQLite does not complain of: closing a database whose
// log could not be written back succeeds and leaves the log.
func checkMade(temp string) error {
	for _, suffix := range beside[:2] {
		size, _, err := sizeOf(temp + suffix)
		if err != nil {
			return err
		}
		if size > 0 {
			return fmt.Errorf("%s was not written back", temp+suffix)
		}
	}
	tables, err := tablesOf(temp)
	if err == nil && tables == 0 {
		err = fmt.Errorf("%s has no tables after they were made", temp)
	}
	return err
}

// removeDatabase removes a database that is being made.
func removeDatabase(temp string) error {
	for _, suffix := range append(beside, "") {
		if err := os.Remove(temp + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// publish gives a whole and synced file its name, durably. A file that has the
// name already stays: fs.ErrExist.
func publish(temp, path string) error {
	if err := renameNew(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

// renameNew renames a file unless the new name is taken: fs.ErrExist. One that
// is not there is fs.ErrNotExist.
func renameNew(from, to string) error {
	source, err := hostfs.OpenDir(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // opened for reading
	target, err := hostfs.OpenDir(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer target.Close() //nolint:errcheck // opened for reading
	info, err := source.Stat(filepath.Base(from))
	if err != nil {
		return err
	}
	return source.Rename(filepath.Base(from), info.ID, target, filepath.Base(to))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
