package certbot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// said is what one run of certbot came to, by its own words.
type said struct {
	code    int
	success bool     // it names the certificate as one that was renewed
	hooks   []string // hooks that ended with an error, at which certbot still ends with 0
	problem string   // why it did not go well
	left    []string // what its hooks started and is still running
	took    time.Duration
}

// mark is by which a run of ours is known again in certbot's log. It goes into
// the User-Agent, which certbot offers for whoever calls it, and so says
// nothing of the run.
func mark(token string) string {
	return fmt.Sprintf("opsdeck/%x", sha256.Sum256([]byte(token)))[:8+12]
}

// renew runs certbot renew for one certificate. It never sleeps first: without
// a terminal certbot would wait up to 8 minutes for the sake of its servers.
// Daemons that a hook starts on a host without systemd stay.
func (p place) renew(ctx context.Context, env checks.Env, l lineage, report func(what string), more ...string) (said, error) {
	argv := []string{"certbot", "renew", "--cert-name", l.name, "--non-interactive", "--no-random-sleep-on-renew", "--user-agent-comment", mark(env.Token)}
	argv = append(append(argv, p.flags()...), more...)
	call := checks.Call{
		Argv: argv, Env: []string{"PYTHONUNBUFFERED=1"}, Live: &follower{out: env.Out, report: report},
		Leave: true, Config: p.sources(),
	}
	if p.CA != "" {
		call.Env = append(call.Env, "REQUESTS_CA_BUNDLE="+p.CA)
	}
	began := time.Now()
	out, err := env.Exec(ctx, call)
	if err != nil {
		return said{}, fmt.Errorf("%s: %w", l.name, missing(err))
	}
	s := said{code: out.Code, left: out.Left, took: time.Since(began)}
	s.success = strings.Contains(string(out.Stdout), "  "+l.fullchain+" (success)")
	s.hooks, s.problem = complaints(l.name, string(out.Stderr))
	if out.Code != 0 && s.problem == "" {
		s.problem = fmt.Sprintf("certbot ended with %d: %s", out.Code, lastLine(string(out.Stderr)))
	}
	if !s.success && s.problem == "" {
		s.problem = "certbot did not attempt it: " + lastLine(string(out.Stdout))
	}
	return s, begun(string(out.Stderr))
}

// sources are the files by which certbot decides what it runs: its hooks above
// all, which a dry run runs too.
func (p place) sources() []string {
	list := []string{"/etc/letsencrypt/cli.ini"} // read wherever its other files are
	for _, name := range []string{"cli.ini", "renewal", "renewal-hooks"} {
		list = append(list, filepath.Join(p.config(), name))
	}
	if p.CA != "" {
		list = append(list, p.CA)
	}
	return list
}

// missing says what to do about a certbot that is not there.
func missing(err error) error {
	if checks.ClassOf(err) == checks.Missing {
		return checks.Failed(checks.Missing, "certbot is not installed here: %w", err)
	}
	return err
}

// begun is an error if certbot could not begin at all: that says nothing about
// the renewal.
func begun(text string) error {
	switch {
	case strings.Contains(text, "Either run as root, or set --config-dir"):
		return checks.Failed(checks.Denied, "certbot may not write its files: opsdeck has to run as the user that certbot runs as, which is root on most hosts")
	case strings.Contains(text, "Another instance of Certbot is already running"):
		return checks.Failed(checks.Other, "another certbot is at work: nothing was tried")
	}
	return nil
}

var (
	badHook = regexp.MustCompile(`(?i)^.*hook.*(?:reported|returned) error code -?[0-9]+`)
	failure = regexp.MustCompile(`^Failed to renew certificate (\S+) with error: (.*)`)
	invalid = regexp.MustCompile(`produced an unexpected error: (.*?)\.? Skipping\.$`)
)

// complaints are the hooks that failed, and the reason why the renewal did.
func complaints(name, text string) (hooks []string, problem string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if badHook.MatchString(line) {
			hooks = append(hooks, line)
		}
		if m := failure.FindStringSubmatch(line); m != nil && m[1] == name {
			problem = m[2]
		}
		if m := invalid.FindStringSubmatch(line); m != nil && problem == "" {
			problem = m[1]
		}
	}
	return hooks, problem
}

// lastLine is the last line that says anything.
func lastLine(text string) string {
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "- ") != "" && !strings.HasPrefix(line, "Ask for help") && !strings.HasPrefix(line, "See the logfile") {
			last = line
		}
	}
	return last
}

// A follower passes certbot's output on and reports the lines by which it
// moves on.
type follower struct {
	out    io.Writer
	report func(what string)
	line   []byte
}

// Write never fails: who does not listen must not stop certbot.
func (w *follower) Write(b []byte) (int, error) {
	if w.out != nil {
		if _, err := w.out.Write(b); err != nil {
			w.out = nil
		}
	}
	for rest := b; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		w.line = append(w.line, line[:min(len(line), max(0, 512-len(w.line)))]...)
		if !whole {
			break
		}
		w.step(strings.TrimSpace(string(w.line)))
		w.line, rest = w.line[:0], after
	}
	return len(b), nil
}

func (w *follower) step(line string) {
	for _, begin := range []string{"Simulating ", "Renewing ", "Requesting ", "Waiting ", "Hook ", "Running ", "Performing ", "Failed "} {
		if strings.HasPrefix(line, begin) {
			w.report(line)
		}
	}
}
