package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/scratch"
)

// withCopy opens a private copy of the database and its logs: a reader must
// neither disturb the writer nor write beside evidence, and opening the live
// file as immutable would hide what is still in its WAL. A journal that was
// never begun has nothing to use: use is not called. One that lost what was
// recorded is a *damage.
func withCopy(dir string, use func(*sql.DB) error) error {
	at, err := stageOf(dir)
	if err != nil || at != begun {
		return err
	}
	private, err := copied(dir)
	if err != nil {
		return err
	}
	return errors.Join(useCopy(dir, private.Path, use), private.Remove())
}

func useCopy(dir, private string, use func(*sql.DB) error) (err error) {
	db, err := sql.Open("sqlite", "file:"+databasePath(private)+"?_pragma=query_only(1)")
	if err != nil {
		return fmt.Errorf("opening a copy of the journal: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tables, err := countTables(db, "events")
	switch {
	case err != nil:
		return &damage{fmt.Sprintf("%s cannot be read: %v", databasePath(dir), err)}
	case tables == 0:
		return withoutEvents(dir)
	}
	return use(db)
}

// withoutEvents judges a database without the table of events: nil if it was
// never begun.
func withoutEvents(dir string) error {
	what, err := traceOf(dir)
	if err == nil && what != "" {
		err = &damage{fmt.Sprintf("%s holds no events, but there is %s", databasePath(dir), what)}
	}
	return err
}

// copied copies the journal to a private folder: in the state directory, or
// where that takes nothing, in the user's runtime directory. A folder that a
// killed process left is removed by the next one.
func copied(dir string) (scratch.Folder, error) {
	var errs []error
	for _, parent := range append([]string{filepath.Join(dir, "tmp")}, scratch.Elsewhere()...) {
		private, err := scratch.Make(parent)
		if err == nil {
			if err = copyFiles(dir, private.Path); err == nil {
				return private, nil
			}
			err = errors.Join(err, private.Remove())
		}
		errs = append(errs, err)
		if errors.Is(err, errSource) {
			break
		}
	}
	return scratch.Folder{}, fmt.Errorf("copying the journal: %w", errors.Join(errs...))
}

func copyFiles(dir, private string) error {
	for _, suffix := range []string{"", "-wal", "-journal"} {
		if err := copyFile(databasePath(dir)+suffix, databasePath(private)+suffix); err != nil {
			return err
		}
	}
	return nil
}

// errSource says that a copy failed for what is to be copied: another place for
// the copy would not help.
var errSource = errors.New("the original cannot be read")

// copyFile copies a regular file; one that does not exist is no error. What it
// is, is known before it is opened: no link is followed and no pipe waited for.
func copyFile(from, to string) error {
	in, _, err := hostfs.OpenNoFollow(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	defer in.Close() //nolint:errcheck // opened for reading
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
