package journaltest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// Fill makes a journal of n events of so many runs of a site in dir, intact
// and witnessed. The journal itself records the first event; the others are
// written behind it at once.
func Fill(dir, site string, runs, n int) error {
	j, err := journal.Open(dir, journal.Holder{User: "test"})
	if err != nil {
		return err
	}
	var tail *tail
	for e := range Events(site, runs, n) {
		switch {
		case tail != nil:
			err = tail.append(e)
		default:
			if e, err = j.Append(e); err == nil {
				err = j.Release()
			}
			if err == nil {
				tail, err = after(dir, e)
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("filling the journal in %s: %w", dir, err), tail.close())
		}
	}
	return tail.close()
}

// tail writes events behind the one that the journal recorded, in one
// transaction.
type tail struct {
	dir  string
	db   *sql.DB
	tx   *sql.Tx
	head journal.Head
}

func after(dir string, first runbooks.Event) (*tail, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "journal.db"))
	if err != nil {
		return nil, err
	}
	tx, err := db.Begin()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &tail{dir, db, tx, journal.Head{Seq: first.Seq, Hash: journal.Hash(first.Hash)}}, nil
}

func (t *tail) append(e runbooks.Event) error {
	body, err := e.Canonical()
	if err != nil {
		return err
	}
	hash := journal.Link(t.head.Hash, body)
	if _, err := t.tx.Exec("INSERT INTO events (seq, body, hash) VALUES (?, ?, ?)", int64(e.Seq), body, hash[:]); err != nil {
		return err
	}
	t.head = journal.Head{Seq: e.Seq, Hash: hash}
	return nil
}

// close commits, brings the file up and the witness with it.
func (t *tail) close() error {
	if t == nil {
		return nil
	}
	err := t.tx.Commit()
	if _, checkpointErr := t.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err == nil {
		err = checkpointErr
	}
	if err = errors.Join(err, t.db.Close()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.dir, "head"), []byte(t.head.String()+"\n"), 0o600)
}
