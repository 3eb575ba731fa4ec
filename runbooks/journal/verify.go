package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
)

// Status is what can be said of a journal. Its number is the exit code of
// "opsdeck verify".
type Status int

// The answers of Verify.
const (
	Intact       Status = iota // every event fits, and the witness has seen the newest
	Unwitnessed                // every event fits; nothing outside the file confirms its end
	Damaged                    // an event does not fit, or events that were witnessed are gone
	Undetermined               // the journal could not be read
)

// String is the answer in words.
func (s Status) String() string {
	return [...]string{"intact and witnessed", "intact, not witnessed", "damaged", "cannot tell"}[s]
}

// A Report is the answer of Verify with its reason.
type Report struct {
	Status  Status
	Events  uint64 // that fit, from the first on
	Head    Head   // of what fits
	Witness Head   // zero if there is none
	Bad     uint64 // the first event that does not fit; 0 if none
	Problem string // one line; empty when intact and witnessed
}

// Verify reads the whole journal in dir from a private copy and checks every
// event against its hash, its number and the one before it, and the end
// against a witness: the given one, or else the head file. It never says
// intact of a journal it could not read to its end.
func Verify(dir string, given *Head) Report {
	var report Report
	// The copy of a journal that is being written can be torn. A journal that
	// is damaged stays damaged, so what looks bad is looked at again.
	for range 3 {
		report = verifyCopy(dir, given)
		if report.Status != Damaged && report.Status != Undetermined {
			break
		}
	}
	return report
}

func verifyCopy(dir string, given *Head) Report {
	witness, witnessed, err := witnessOf(dir, given)
	if err != nil {
		return Report{Status: Undetermined, Problem: err.Error()}
	}
	report, used := Report{}, false
	err = withCopy(dir, func(db *sql.DB) error {
		report, used = walk(entries(db), witness, witnessed), true
		return nil
	})
	var lost *damage
	switch {
	case errors.As(err, &lost):
		return Report{Status: Damaged, Bad: 1, Witness: witness, Problem: lost.problem}
	case err != nil:
		return Report{Status: Undetermined, Problem: err.Error()}
	case !used:
		return verifyNothing(witness, witnessed)
	}
	return report
}

func witnessOf(dir string, given *Head) (head Head, exists bool, err error) {
	if given != nil {
		return *given, true, nil
	}
	return readHead(dir)
}

// verifyNothing judges a directory in which no journal was begun: fine if no
// event of one was ever witnessed.
func verifyNothing(witness Head, witnessed bool) Report {
	if witnessed && witness.Seq > 0 {
		return Report{Status: Damaged, Bad: 1, Witness: witness, Problem: fmt.Sprintf("there is no journal, but the witness has seen event %d", witness.Seq)}
	}
	return Report{Status: Unwitnessed, Problem: "nothing has been recorded yet"}
}

// walk follows the chain from the first event on.
func walk(all iter.Seq2[entry, error], witness Head, witnessed bool) Report {
	report := Report{Witness: witness}
	met := witness.Seq == 0
	for e, err := range all {
		next := report.Events + 1
		switch {
		case err != nil:
			report.Status, report.Bad, report.Problem = Damaged, next, fmt.Sprintf("event %d cannot be read: %v", next, err)
			return report
		case e.seq != next:
			report.Status, report.Bad, report.Problem = Damaged, next, fmt.Sprintf("event %d is missing: event %d follows event %d", next, e.seq, report.Events)
			return report
		case Link(report.Head.Hash, e.body) != e.hash:
			report.Status, report.Bad, report.Problem = Damaged, next, fmt.Sprintf("event %d does not match its hash: it or the one before it was changed", next)
			return report
		}
		report.Events, report.Head = next, Head{next, e.hash}
		if witnessed && next == witness.Seq {
			if e.hash != witness.Hash {
				report.Status, report.Bad, report.Problem = Damaged, next, fmt.Sprintf("event %d is not the one that was witnessed: the journal was rewritten up to here", next)
				return report
			}
			met = true
		}
	}
	return conclude(report, met, witnessed)
}

func conclude(report Report, met, witnessed bool) Report {
	switch {
	case witnessed && !met:
		report.Status, report.Bad = Damaged, report.Events+1
		report.Problem = fmt.Sprintf("%d events are gone: the journal ends at %d, and the witness has seen %d", report.Witness.Seq-report.Events, report.Events, report.Witness.Seq)
	case !witnessed:
		report.Status, report.Problem = Unwitnessed, "no witness outside the journal: a missing end would not be noticed"
	case report.Witness.Seq < report.Events:
		report.Status = Unwitnessed
		report.Problem = fmt.Sprintf("the newest %d events are not witnessed yet", report.Events-report.Witness.Seq)
	}
	return report
}
