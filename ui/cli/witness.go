package cli

import (
	"fmt"
	"log/syslog"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// A witnessed journal tells the host's log of every outcome, so that central
// logging carries the record's end off this host: a tail that is cut off later
// is missed there.
type witnessed struct {
	*journal.Journal
	tell func(line string)
}

// outcomes are the events after which the record's end is worth keeping
// elsewhere. It is never written to.
var outcomes = map[runbooks.EventKind]bool{
	runbooks.ActionIntended{}.Kind(): true, runbooks.ActionFinished{}.Kind(): true, runbooks.ActionVerified{}.Kind(): true,
	runbooks.ItemResolved{}.Kind(): true, runbooks.ItemOverridden{}.Kind(): true, runbooks.WindowOverridden{}.Kind(): true,
	runbooks.RunClosed{}.Kind(): true, runbooks.RunAborted{}.Kind(): true,
}

// witness adds the host's log to a journal; without one the journal is as it
// was, and its head file is the witness.
func witness(j *journal.Journal) runbooks.Journal {
	log, err := syslog.New(syslog.LOG_NOTICE|syslog.LOG_AUTHPRIV, "opsdeck")
	if err != nil {
		return j
	}
	return witnessed{j, func(line string) { log.Notice(line) }} //nolint:errcheck // the record does not depend on it
}

// Append records, and then tells.
func (w witnessed) Append(e runbooks.Event) (runbooks.Event, error) {
	stored, err := w.Journal.Append(e)
	if err == nil && outcomes[stored.Kind] {
		w.tell(fmt.Sprintf("run=%s item=%s event=%s by=%q seq=%d hash=%s", stored.Run, stored.Item, stored.Kind, stored.Actor.String(), stored.Seq, stored.Hash))
	}
	return stored, err
}
