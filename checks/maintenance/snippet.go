package maintenance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// reloadTime is for a reload whose command has no timeout in the site file.
const reloadTime = 30 * time.Second

// signature is what a flag says, and how a snippet begins.
func signature(token string, at time.Time) string {
	return fmt.Sprintf("%s\nclosed %s for maintenance; maint.disable of opsdeck opens the site again\n", token, at.Format(time.RFC3339))
}

// opened is the snippet of an open site. It stays a file, because a web server
// whose configuration includes it by name does not start without.
const opened = "# The site is open. maint.enable of opsdeck writes here what closes it.\n"

// closing is the snippet for nginx. It belongs into a server block; a variable
// decides, because add_header inside of if is not allowed there and the exempt
// path must get neither the status nor the header.
func (p *page) closing(token string, at time.Time, retry time.Duration) string {
	var b strings.Builder
	for line := range strings.Lines(signature(token, at)) {
		b.WriteString("# " + line)
	}
	fmt.Fprintf(&b, `set $opsdeck_retry_after %d;
if ($uri = "%s") { set $opsdeck_retry_after ""; }
add_header Retry-After $opsdeck_retry_after always;
if ($opsdeck_retry_after) { return 503; }
`, int(retry.Seconds()), p.exempt.Path)
	return b.String()
}

// shutBySnippet writes the snippet and has it read. If the web server refuses
// it, the old one is put back.
func (p *page) shutBySnippet(ctx context.Context, env checks.Env, was file, retry time.Duration) (takeBack func() error, err error) {
	mode := fs.FileMode(0o644)
	if was.there {
		mode = was.mode
	}
	env.Printf("writing %s", p.path)
	if err := p.replace([]byte(p.closing(env.Token, clock(env), retry)), mode); err != nil {
		return nil, err
	}
	restore := func() error { return p.restore(was) }
	takeBack = func() error {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTime)
		defer cancel()
		return errors.Join(restore(), p.reread(after, env))
	}
	err = p.reread(ctx, env)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return nil, errors.Join(err, restore()) // the web server goes on with what it had
	case err != nil:
		return nil, errors.Join(err, takeBack()) // nobody knows what it had read by then
	}
	return takeBack, nil
}

func (p *page) restore(was file) error {
	if !was.there {
		return p.removeOwn()
	}
	return p.replace(was.content, was.mode)
}

// A refusal is a reload that the web server did not do.
type refusal struct {
	command string
	code    int
	last    string // line of its output
}

// Error says which command refused and its last words.
func (r *refusal) Error() string {
	return fmt.Sprintf("reloading by %s failed with exit code %d: %s", r.command, r.code, r.last)
}

// reread makes the web server read the snippet.
func (p *page) reread(ctx context.Context, env checks.Env) error {
	limit := p.reload.Timeout
	if limit <= 0 {
		limit = reloadTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	env.Printf("running %s", strings.Join(p.reload.Argv, " "))
	out, err := env.Exec(ctx, checks.Call{Argv: p.reload.Argv, Live: env.Out, Max: 1 << 20})
	if err != nil {
		return fmt.Errorf("reloading by %s: %w", p.Reload, err)
	}
	if out.Code != 0 {
		return &refusal{p.Reload, out.Code, lastLine(out.Stderr)}
	}
	return nil
}

func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1]
}

func (p *page) reloadPlan() string {
	limit := p.reload.Timeout
	if limit <= 0 {
		limit = reloadTime
	}
	return fmt.Sprintf("runs %s (%s, at most %s)", strings.Join(p.reload.Argv, " "), p.Reload, fact.FormatDuration(limit))
}
