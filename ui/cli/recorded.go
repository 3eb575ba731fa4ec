package cli

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// record is the site's record, sorted by run. Nothing of it is folded: a
// command folds what it shows.
func (p *program) record(w *world) (*runbooks.Record, error) {
	events, err := p.events(w)
	if err != nil {
		return nil, err
	}
	record := runbooks.ReadRecord(events)
	p.warnOf(record.Fault())
	return record, nil
}

// foldOf is one run of a record.
func (p *program) foldOf(record *runbooks.Record, id string, d runbooks.Detail) runbooks.Run {
	run, err := record.Fold(id, d)
	p.warnOf(err)
	return run
}

// runsInBrief are all runs of the site, oldest first, as a list shows them.
func (p *program) runsInBrief(w *world) ([]runbooks.Run, error) {
	events, err := p.events(w)
	if err != nil {
		return nil, err
	}
	all := runbooks.Folder{Brief: true}
	all.AddAll(events)
	runs, err := all.Runs()
	p.warnOf(err)
	return runs, nil
}

// warnOf tells of events that do not fit. They do not hide the rest.
func (p *program) warnOf(faults error) {
	if faults != nil {
		fmt.Fprintf(p.Stderr, "warning: the record has faults, see opsdeck verify: %v\n", faults)
	}
}

// pick finds a run by id, by the beginning of one, or the last.
func pick(ids []string, name string) (string, error) {
	if name == "last" && len(ids) > 0 {
		return ids[len(ids)-1], nil
	}
	var found []string
	for _, id := range ids {
		if id == name {
			return id, nil
		}
		if strings.HasPrefix(id, name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", usage(checks.Nearest(name, ids), "there is no run %q", name)
	}
	return "", usage("write more of it", "%d runs begin with %q", len(found), name)
}
