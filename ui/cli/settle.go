package cli

import (
	"errors"

	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// settle finds the site's state directory and, for those who keep state, makes
// it and writes down whose it is. Another site may write its name there at the
// same moment; after that StateDir names another folder, so it is tried twice.
func (p *program) settle(w *world) error {
	err := p.settleOnce(w)
	var taken *journal.TakenError
	if errors.As(err, &taken) {
		err = p.settleOnce(w)
	}
	if errors.As(err, &taken) {
		return &exit{exitState, err, "name another directory with --state"}
	}
	return err
}

// settleOnce is one attempt of settle; a folder of another site is a
// *journal.TakenError.
func (p *program) settleOnce(w *world) (err error) {
	if w.dir, err = journal.StateDir(p.flags.state, w.site.Name, p.Env); err != nil {
		return &exit{exitState, err, "name a directory with --state DIR"}
	}
	if w.role == looks || w.role == audits || w.far() {
		return nil
	}
	if _, err := journal.Open(w.dir, journal.Holder{}); err != nil {
		return &exit{exitState, err, "name another directory with --state"}
	}
	err = journal.Settle(w.dir, w.site.Name)
	var taken *journal.TakenError
	if err != nil && !errors.As(err, &taken) { // a full disk, or a read-only one: what is recorded will say so
		w.log.Warn("state directory", "error", err)
		return nil
	}
	return err
}
