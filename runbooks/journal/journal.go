package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Journal is the events of one state directory. It implements
// runbooks.Journal. It takes the directory's lock with the first Append and
// keeps it until Release, so that reading and looking never stand in anyone's
// way. It is safe for concurrent use.
type Journal struct {
	dir string
	me  Holder

	mu     sync.Mutex
	lock   *lock
	db     *sql.DB
	head   Head
	failed error // latched: nothing is recorded until Reopen has verified
	began  time.Time
}

// Open makes or checks the state directory: it must be ours, on a local
// file system, and closed to others. It takes no lock and opens no database.
// Where somebody else could have chosen or could exchange the directory, nothing
// is touched, and the error is an *owner.Refusal.
func Open(dir string, me Holder) (*Journal, error) {
	if err := fitForState(dir); err != nil {
		return nil, err
	}
	return &Journal{dir: dir, me: me, began: time.Now()}, nil
}

// Dir is the state directory.
func (j *Journal) Dir() string { return j.dir }

// Append makes the event durable and returns it with its place and hashes.
// The first failure latches: every later Append returns it until Reopen.
func (j *Journal) Append(e runbooks.Event) (runbooks.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return e, fmt.Errorf("nothing is recorded since an earlier failure: %w", j.failed)
	}
	balance(j.dir) // before the lock: taking it writes, too
	if err := j.drive(); err != nil {
		return e, err
	}
	e.Seq, e.Prev = j.head.Seq+1, runbooks.Hash(j.head.Hash)
	body, err := e.Canonical()
	if err != nil {
		return e, err
	}
	next := entry{e.Seq, body, Link(j.head.Hash, body)}
	if err := insert(j.db, next); err != nil {
		j.failed = fmt.Errorf("recording event %d in %s: %w", e.Seq, databasePath(j.dir), err)
		return e, j.failed
	}
	e.Hash = runbooks.Hash(next.hash)
	j.head = Head{e.Seq, next.hash}
	if err := writeHead(j.dir, j.head); err != nil {
		j.failed = err
		return e, fmt.Errorf("event %d is recorded but not witnessed: %w", e.Seq, err)
	}
	return e, nil
}

// drive takes the lock and opens the database, unless that is done. A journal
// whose end does not match its witness is not written to.
func (j *Journal) drive() error {
	if j.db != nil {
		return nil
	}
	me := j.me
	me.PID, me.Since = os.Getpid(), time.Now()
	held, err := acquire(j.dir, me)
	if err != nil {
		return err
	}
	db, head, err := openVerified(j.dir)
	if err != nil {
		return errors.Join(err, held.release())
	}
	j.lock, j.db, j.head = held, db, head
	return nil
}

// openVerified opens the database for writing and compares it with the
// witness. A database that is ahead of its witness and has what it has seen
// is one whose process died between the two writes; the witness is brought
// up. Anything else is damage.
func openVerified(dir string) (*sql.DB, Head, error) {
	db, err := openFile(dir)
	if err != nil {
		return nil, Head{}, err
	}
	head, err := newest(db)
	if err != nil {
		return nil, Head{}, errors.Join(err, db.Close())
	}
	witness, exists, err := readHead(dir)
	switch {
	case err != nil:
	case exists && witness.Seq > head.Seq:
		err = fmt.Errorf("the journal ends at event %d, but its witness has seen %d: run opsdeck verify", head.Seq, witness.Seq)
	case exists && witness.Seq > 0 && !holds(db, witness):
		err = fmt.Errorf("event %d is not the one its witness has seen: run opsdeck verify", witness.Seq)
	case head.Seq > 0 && witness != head:
		err = writeHead(dir, head)
	}
	if err != nil {
		return nil, Head{}, errors.Join(err, db.Close())
	}
	return db, head, nil
}

// Head is the newest event's place and hash as this process knows it: what
// it wrote itself, or else the witness.
func (j *Journal) Head() (Head, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.db != nil {
		return j.head, nil
	}
	head, _, err := readHead(j.dir)
	return head, err
}

// Release checkpoints the WAL, so that damage to it cannot touch what is
// recorded now, closes the database and frees the lock. The next Append takes
// them again.
func (j *Journal) Release() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.undrive()
}

func (j *Journal) undrive() error {
	if j.db == nil {
		return nil
	}
	var err error
	if j.failed == nil {
		if _, checkpointErr := j.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); checkpointErr != nil {
			err = fmt.Errorf("checkpointing the journal: %w", checkpointErr)
		}
	}
	err = errors.Join(err, j.db.Close(), j.lock.release())
	j.db, j.lock = nil, nil
	return err
}

// Mono is the time since this journal was opened, by the monotonic clock.
func (j *Journal) Mono() time.Duration { return time.Since(j.began) }
