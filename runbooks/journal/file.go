package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"time"
)

// entry is one stored event: the bytes that were acknowledged and their hash.
type entry struct {
	seq  uint64
	body []byte
	hash Hash
}

// appendTimeout is the longest one durable append may take before it counts
// as failed: a disk that needs longer will not keep a record either.
const appendTimeout = 10 * time.Second

const eventSchema = `CREATE TABLE events (
	seq INTEGER PRIMARY KEY, body BLOB NOT NULL, hash BLOB NOT NULL)`

func databasePath(dir string) string { return filepath.Join(dir, "journal.db") }

// openFile opens the events' database for writing, with every commit synced,
// and reads back that it is so: a pragma that is not in force is an error. A
// journal that was never begun is made. The caller holds the lock.
func openFile(dir string) (*sql.DB, error) {
	if err := begin(dir); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+databasePath(dir)+
		"?mode=rw&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(2000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	if err := durable(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if tables, err := countTables(db, "events"); err != nil || tables == 0 {
		lost := &damage{databasePath(dir) + " holds no events, though it was begun"}
		return nil, errors.Join(cmp.Or[error](err, lost), db.Close())
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("syncing the state directory: %w", err), db.Close())
	}
	return db, nil
}

// durable reads back how the database is kept.
func durable(ctx context.Context, db *sql.DB) error {
	var mode string
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	const full = 2
	if mode != "wal" || synchronous != full {
		return fmt.Errorf("the journal is not durable here: journal_mode is %q and synchronous %d, want wal and %d", mode, synchronous, full)
	}
	return nil
}

// newest reads the last entry's place and hash; the zero Head if there is none.
func newest(db *sql.DB) (Head, error) {
	var seq int64
	var hash []byte
	err := db.QueryRow("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("reading the journal's head: %w", err)
	}
	if len(hash) != len(Hash{}) {
		return Head{}, fmt.Errorf("event %d has a hash of %d bytes", seq, len(hash))
	}
	return Head{uint64(seq), Hash(hash)}, nil
}

// holds reports whether the database has the witnessed event.
func holds(db *sql.DB, witness Head) bool {
	var hash []byte
	err := db.QueryRow("SELECT hash FROM events WHERE seq = ?", int64(witness.Seq)).Scan(&hash)
	return err == nil && string(hash) == string(witness.Hash[:])
}

// insert commits one entry; when it returns nil the entry is on disk.
func insert(db *sql.DB, e entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	_, err := db.ExecContext(ctx, "INSERT INTO events (seq, body, hash) VALUES (?, ?, ?)", int64(e.seq), e.body, e.hash[:])
	return err
}

// entries reads all entries in order.
func entries(db *sql.DB) iter.Seq2[entry, error] { return entriesAfter(db, 0, -1) }

// entriesAfter reads at most so many entries behind one, in order; all of them
// if most is less than 0.
func entriesAfter(db *sql.DB, seq uint64, most int) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		rows, err := db.Query("SELECT seq, body, hash FROM events WHERE seq > ? ORDER BY seq LIMIT ?", int64(seq), most)
		if err != nil {
			yield(entry{}, fmt.Errorf("reading the journal: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e entry
			var seq int64
			var hash []byte
			if err := rows.Scan(&seq, &e.body, &hash); err != nil {
				yield(entry{}, fmt.Errorf("reading the journal: %w", err))
				return
			}
			e.seq = uint64(seq)
			copy(e.hash[:], hash)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(entry{}, fmt.Errorf("reading the journal: %w", err))
		}
	}
}
