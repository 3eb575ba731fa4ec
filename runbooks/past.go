package runbooks

import (
	"fmt"
	"slices"
	"time"
)

// past is what was recorded of a section before this session, as far as it
// matters to it. It is read once; later looks read only what was added.
type past struct {
	seq       uint64 // of the newest event that was read; 0: nothing was
	period    string // for which joined and over were found
	joined    Run    // the run to go on with; zero if there is none
	events    []Event
	over      []Run // of older periods, to be expired
	estimates map[string]time.Duration
}

// readPast brings the past up. If nothing was recorded in the section since it
// was read, it stands. The caller holds mu.
func (l *Local) readPast(period string) error {
	if l.past.seq > 0 && l.past.period == period {
		same, err := l.unchanged()
		if same || err != nil {
			return err
		}
	}
	record := ReadRecord(l.o.Journal.After(0))
	if record.fault != nil {
		return record.fault
	}
	p := past{seq: record.seq, period: period}
	took := map[string][]time.Duration{}
	for _, id := range record.IDs() {
		opened := record.Opened(id)
		if !l.ofSection(opened) {
			continue
		}
		mine, joins := opened.Rehearsal == l.o.Rehearsal, l.joins(opened, period)
		detail := InBrief
		if mine && joins && record.Ended(id) == "" {
			detail = InFull
		}
		r, err := record.Fold(id, detail)
		addTook(took, r)
		switch {
		case !mine || r.State.Ended():
		case joins && err != nil:
			return err // the events of other runs are reported where those are shown
		case joins:
			p.joined, p.events = r, record.Events(id)
		case !r.Unsettled(): // what runs in one is not lost sight of; it expires when that has ended
			p.over = append(p.over, r)
		}
	}
	p.estimates = medians(took)
	l.past = p
	return nil
}

// unchanged reports whether nothing was recorded in the section since the past
// was read.
func (l *Local) unchanged() (bool, error) {
	known := map[string]bool{}
	for _, r := range append(slices.Clip(l.past.over), l.past.joined) {
		known[r.ID] = true
	}
	seq := l.past.seq
	for e, err := range l.o.Journal.After(seq) {
		if err != nil {
			return false, fmt.Errorf("reading the journal: %w", err)
		}
		seq = e.Seq
		if known[e.Run] || e.Kind == (RunOpened{}).Kind() {
			return false, nil
		}
	}
	l.past.seq = seq
	return true, nil
}

func (l *Local) ofSection(opened RunOpened) bool {
	return opened.Key() == Key(l.o.Name, l.o.Runbook.ID, l.o.Section)
}
