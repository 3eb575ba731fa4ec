package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// restoreOptions leave out what belongs to the server that was dumped.
var restoreOptions = []string{"--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions", "--no-tablespaces"}

// feed restores the dump into the scratch database. What the dump or the
// server makes fail is counted; an error means that it was not tried fairly:
// cancelled, or out of time.
func (t *trial) feed(ctx context.Context, env checks.Env) (err error) {
	p := t.plan
	env.Printf("restoring %s with %s", p.dump.path, p.program)
	began := time.Now()
	args := append([]string{"--single-transaction", "--exit-on-error"}, restoreOptions...)
	if p.dump.format == plainDump {
		args = []string{"--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-"}
	} else if args, err = p.archiveArgs(ctx, env, args); err != nil {
		return err
	}
	call, err := p.server.Call(env, p.program, p.scratch, args...)
	defer func() { err = errors.Join(err, RemovePasswordFile(call)) }()
	if err != nil {
		return err
	}
	options := "PGOPTIONS=-c standard_conforming_strings=on -c synchronous_commit=off"
	if p.verify.Version >= checkIntervalSince { // a server whose client died gives the transaction up
		options += " -c " + checkInterval + "=" + givesUp
	}
	call.Env = append(call.Env, options)
	call.Live = env.Out
	out, feedErr, runErr := p.runFed(ctx, env, call)
	t.restore = time.Since(began)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("restoring %s: %w", p.dump.path, context.Cause(ctx))
	case feedErr != nil:
		t.errors, t.problem = 1, "the dump could not be read to its end: "+feedErr.Error()
	case runErr != nil:
		return fmt.Errorf("restoring %s: %w", p.dump.path, runErr)
	case out.Code != 0:
		t.errors = max(1, countErrors(string(out.Stderr)))
		t.problem = p.server.Misdone(p.program, out).Error()
	}
	return nil
}

// countErrors counts what the server and the program complain of.
func countErrors(stderr string) (n int) {
	for line := range strings.Lines(stderr) {
		if isFailure(line) {
			n++
		}
	}
	return n
}

// runFed runs the program with the dump on its standard input. If the dump
// cannot be read to its end the program is ended: it would take what it has
// got for all, and commit.
func (p *restorePlan) runFed(ctx context.Context, env checks.Env, call checks.Call) (out checks.Output, feedErr, runErr error) {
	if p.dump.format == directoryDump {
		out, runErr = env.Exec(ctx, call)
		return out, nil, runErr
	}
	content, err := p.dump.open(ctx, p.progress(env))
	if err != nil {
		return out, err, nil
	}
	running, end := context.WithCancel(ctx)
	defer end()
	from, to := io.Pipe()
	fed := make(chan error, 1)
	go func() {
		defer crash.Recover()
		err := p.copyDump(content, to)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			end()
		}
		fed <- err
		to.CloseWithError(err) //nolint:errcheck // never fails
	}()
	call.Stdin = from
	out, runErr = env.Exec(running, call)
	from.Close() //nolint:errcheck // never fails; ends the copy
	feedErr = <-fed
	if errors.Is(feedErr, io.ErrClosedPipe) {
		feedErr = nil // the program ended first, and says why
	}
	return out, feedErr, runErr
}

// copyDump passes the dump on: a plain one statement by statement as it was
// read before, any other as it is. The last bytes are held back until it is
// certain that it was the dump that was read before.
func (p *restorePlan) copyDump(content *dumpReader, to io.Writer) error {
	if p.dump.format != plainDump {
		if _, err := io.Copy(to, content); err != nil {
			return err
		}
		return p.sameDump(content)
	}
	if p.program.restricts() {
		if _, err := fmt.Fprintf(to, "\\restrict %s\n", rand.Text()); err != nil {
			return err
		}
	}
	found, err := scanDump(content, to, p.dump.leaves)
	switch {
	case err != nil:
		return err
	case len(found.hits) > 0:
		return checks.Failed(checks.Denied, "it does more than fill a database: %s", found.hits[0])
	case found.damage != "":
		return errors.New(found.damage)
	}
	return p.sameDump(content)
}

func (p *restorePlan) sameDump(content *dumpReader) error {
	sum, err := content.checksum()
	if err == nil && sum != p.dump.sum {
		err = checks.Failed(checks.NoData, "it changed while it was restored")
	}
	return err
}

// progress tells how much of the file was fed, twice a second.
func (p *restorePlan) progress(env checks.Env) func(int64) {
	var told time.Time
	return func(read int64) {
		if time.Since(told) > 500*time.Millisecond {
			told = time.Now()
			env.Report(float64(read), float64(p.dump.size), "restoring "+filepath.Base(p.dump.path))
		}
	}
}
