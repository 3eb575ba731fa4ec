package journal

import (
	"errors"
	"fmt"
)

// Err is the failure that latched the journal, nil while it records.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Reopen leaves the latch: it closes the database, opens it again, verifies
// every event and records again if all that was acknowledged is there. There
// may be more: an event whose recording failed can have reached the disk all
// the same, and it is part of the record then. Those who have read the journal
// before read it again. After an error the journal stays latched, and what was
// acknowledged is asked for again the next time.
func (j *Journal) Reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	acknowledged := j.head
	closing := j.undrive() // of a database that failed; what is on disk counts
	if err := j.drive(); err != nil {
		return errors.Join(err, closing)
	}
	if err := confirm(j, acknowledged); err != nil {
		j.head = acknowledged // not what drive found on the disk
		return errors.Join(err, j.undrive())
	}
	j.failed = nil
	return nil
}

// confirm walks the whole chain of the opened journal. Nothing else writes it
// now, so it is read in place: a full disk has no room for a copy.
func confirm(j *Journal, acknowledged Head) error {
	report := walk(entries(j.db), acknowledged, true)
	if report.Status == Damaged {
		return fmt.Errorf("the journal is %s: %s", report.Status, report.Problem)
	}
	return nil
}
