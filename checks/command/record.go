package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// recordFile lies in the action's own directory: what Probe goes by, because
// what a command of the site's own does cannot be seen from outside.
const recordFile = "exit.json"

// recordRoom is what is taken on the disk for the end of a command before it
// begins, in bytes.
const recordRoom = 16 << 10

// maxRecord bounds what is read of it, in bytes.
const maxRecord = 1 << 20

// record is what is known of a run of a command.
type record struct {
	Command string    `json:"command"`
	Token   string    `json:"token"`
	Started time.Time `json:"started"`
	Ended   bool      `json:"ended"`
	Stopped string    `json:"stopped,omitempty"` // why it was not let run to its end, or not started
	Exit    int       `json:"exit"`

	end *hostfs.Reserved // the room for its end; nil before it was taken
}

// begin records that the command is about to start, so that a run that was
// killed is told from one that never began. The room for how it ends is taken
// first: a command for which there is none does not begin.
func begin(env checks.Env, c checks.Command) (record, error) {
	r := record{Command: c.Name, Token: env.Token, Started: now(env)}
	if env.Dir == "" {
		return r, checks.Failed(checks.Unconfigured, "no directory to record in how the command ends")
	}
	end, err := hostfs.Reserve(filepath.Join(env.Dir, recordFile), recordRoom)
	if err != nil {
		return r, fmt.Errorf("the command was not begun: recording a command: %w", err)
	}
	r.end = end
	if err := save(env, r); err != nil {
		return r, errors.Join(fmt.Errorf("the command was not begun: %w", err), end.Discard())
	}
	return r, nil
}

// conclude records how it ended. A command that does not die has not.
func (r record) conclude(out checks.Output, err error) error {
	if checks.ClassOf(err) == checks.Timeout {
		return r.end.Discard()
	}
	r.Ended, r.Exit = true, out.Code
	if err != nil {
		r.Stopped = clean.Line(err.Error(), maxStopped)
	}
	raw, err := json.Marshal(r)
	if err == nil {
		err = r.end.Commit(raw, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("recording how the command ended: %w", err), r.end.Discard())
	}
	return nil
}

// maxStopped bounds why a command was stopped, so that its end fits its room.
const maxStopped = 400

func now(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}

// save makes the record durable: whole or not at all, in the file and in its
// directory.
func save(env checks.Env, r record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("recording a command: %w", err)
	}
	if err := hostfs.WriteAtomic(filepath.Join(env.Dir, recordFile), raw, 0o600); err != nil {
		return fmt.Errorf("recording a command: %w", err)
	}
	return nil
}

// probe reads the record. Without one the command was never started; with one
// that has no end nobody knows how it ended.
func probe(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	c, err := entry(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Dir == "" {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "no directory in which it would be recorded how the command ended")
	}
	f := checks.Findings{Target: c.Name}
	raw, err := hostfs.ReadNoFollow(filepath.Join(env.Dir, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		f.Note = "it was never started"
		f.Facts = []fact.Fact{fact.Flag(checks.DoneFact.Name, false)}
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("reading how the command ended: %w", err)
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return f, checks.Failed(checks.Parse, "reading how the command ended: %w", err)
	}
	switch {
	case r.Command != c.Name || r.Token != env.Token:
		return f, checks.Failed(checks.NoData, "the record is of another run, of %q", r.Command)
	case !r.Ended:
		return f, checks.Failed(checks.NoData, "%s was started at %s and nobody saw it end", r.Command, r.Started.Format(time.DateTime+" MST"))
	case r.Stopped != "":
		f.Note = "it did not run to its end: " + r.Stopped
		f.Facts = []fact.Fact{fact.Flag(checks.DoneFact.Name, false)}
		return f, nil
	}
	f.Note = fmt.Sprintf("it ended with exit code %d", r.Exit)
	f.Facts = []fact.Fact{fact.Flag(checks.DoneFact.Name, true), fact.Number("exit", r.Exit)}
	return f, nil
}
