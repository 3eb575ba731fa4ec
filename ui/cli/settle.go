package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
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
		return w.look()
	}
	if _, err := journal.Open(w.dir, journal.Holder{}); err != nil {
		return unfit(err)
	}
	w.kept = true
	err = journal.Settle(w.dir, w.site.Name)
	var taken *journal.TakenError
	if err != nil && !errors.As(err, &taken) { // a full disk, or a read-only one: what is recorded will say so
		w.log.Warn("state directory", "error", err)
		return nil
	}
	return err
}

// look finds out whether there is state of our own to read. A command that would
// read it from a directory that somebody else could have chosen ends; verify may
// read any record, and a supervisor's clients read none.
func (w *world) look() error {
	err := journal.Look(w.dir)
	if w.kept = err == nil; w.kept || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var refused *owner.Refusal
	if w.role == audits || w.far() || !errors.As(err, &refused) {
		w.log.Warn("state directory", "error", err)
		return nil
	}
	if _, missing := os.Lstat(w.dir); missing != nil { // there is nothing to read, and nothing is made
		return nil
	}
	return unfit(err)
}

// unfit ends a command whose state directory cannot be used; the remedy of a
// refusal stands in the hint.
func unfit(err error) error {
	const other = "name another directory with --state"
	var refused *owner.Refusal
	if errors.As(err, &refused) {
		return &exit{exitState, errors.New("the state directory: " + refused.Cause()), refused.Remedy + ", or " + other}
	}
	return &exit{exitState, err, other}
}
