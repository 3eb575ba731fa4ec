package calendar

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

const (
	// tailBytes is how much of a log's end is read for its last line.
	tailBytes = 64 << 10
	// skew is how far in the future a file may have been written: clocks of
	// file servers differ.
	skew = time.Minute
)

// proof adds what the job's log says of its last run. A log that is not there,
// or is empty, proves nothing: that is an error and never a run.
func (h host) proof(job checks.CronJob, now time.Time, f *checks.Findings) error {
	if job.Log == "" {
		f.Detail = append(f.Detail, "careful: the site file names no log of it, so that nobody knows whether it ran")
		return nil
	}
	last, written, err := h.lastLine(job.Log)
	if errors.Is(err, fs.ErrNotExist) || err == nil && last == "" {
		last, written, err = h.lastLine(job.Log + ".1") // rotated since
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checks.Failed(checks.NoData, "%s is not there or is empty: nothing proves that %s ever ran", job.Log, job.Name)
	case err != nil:
		return fmt.Errorf("reading the log of cron job %s: %w", job.Name, err)
	case last == "":
		return checks.Failed(checks.NoData, "%s has no line: nothing proves that %s ever ran", job.Log, job.Name)
	case written.After(now.Add(skew)):
		return checks.Failed(checks.Parse, "%s was written in the future, at %s", job.Log, written.UTC().Format(time.RFC3339))
	}
	age := max(0, now.Sub(written))
	f.Facts = append(f.Facts, fact.Dur("last_run", age))
	f.Note = fmt.Sprintf("ran %s ago; %s", fact.FormatDuration(age), f.Note)
	if job.Success != "" {
		f.Facts = append(f.Facts, fact.Flag("passed", bytes.Contains([]byte(last), []byte(job.Success))))
		f.Detail = append(f.Detail, "last line of its log: "+clean.Line(last, maxCommand))
	}
	return nil
}

// lastLine is the last line of a file that is not blank, and when the file was
// written. It never blocks on a named pipe.
func (h host) lastLine(name string) (line string, written time.Time, err error) {
	tail, err := hostfs.Tail(h.path(name), tailBytes)
	if err != nil {
		return "", written, err
	}
	end := bytes.TrimSpace(tail.Bytes)
	i := bytes.LastIndexByte(end, '\n')
	if i < 0 && !tail.Whole {
		return "", written, checks.Failed(checks.Limit, "the last line of %s is longer than %d bytes", name, tailBytes)
	}
	return string(end[i+1:]), tail.Info.Modified, nil
}
