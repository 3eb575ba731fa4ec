package maintenance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Enable closes the site to its users.
var Enable = module(checks.Module{
	Name:   "maint.enable",
	Doc:    "Closes the site to its users, the health check exempt, and sees from outside that it answers 503",
	Effect: checks.Reversible, Danger: 2, Reach: checks.Network, Repeatable: true,
	Crash: "a flag or snippet that was written stays, and the site stays closed until maint.disable; a snippet that the web server was not told of closes the site at its next reload",
	Params: []checks.Param{
		pageParam,
		{Name: "retry_after", Type: checks.DurationParam, Default: "30m", Check: checkRetryAfter, Doc: "when the snippet tells clients to come back; with a flag the web server's own configuration says so"},
	},
	Facts: facts,
	Warn:  "retry_hint == false", Fail: "answered == false or status != 503 or exempt_ok == false", Source: "proposed",
	Verify:  "answered == true and status == 503 and exempt_ok == true",
	Timeout: time.Minute,
	Example: "use: maint.enable\nwith:\n  page: web",
	Preview: previewEnable, Run: enable, Probe: probeEnable,
})

func checkRetryAfter(value any) error {
	if d, ok := value.(time.Duration); ok && (d < time.Second || d > 7*24*time.Hour) {
		return fmt.Errorf("%s is not between a second and a week", fact.FormatDuration(d))
	}
	return nil
}

// closedWell is what a closed site looks like.
func closedWell(v view) bool {
	return v.answered && v.status == http.StatusServiceUnavailable && v.exemptOK
}

func previewEnable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	was, err := p.mayClose(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	v, err := p.outside(ctx, env)
	if err != nil {
		return checks.Findings{}, err // a page that cannot be seen cannot be verified
	}
	folder, err := p.folder()
	if err != nil {
		return checks.Findings{}, err
	}
	f := p.findings()
	f.Facts = append(append(v.facts(was.closes), was.facts()...), folder)
	f.Note = v.says()
	f.Detail = append(p.plan(was, args.Duration("retry_after")), cautions(was, v)...)
	return f, nil
}

// mayClose refuses what would not be safe: a link or anything else planted
// where the file belongs, a directory in which somebody else could exchange
// it, a snippet that holds what opsdeck did not write.
func (p *page) mayClose(ctx context.Context, env checks.Env) (file, error) {
	was, err := p.look()
	if err != nil {
		return was, err
	}
	if was.there && !was.mode.IsRegular() {
		return was, checks.Failed(checks.Other, "%s is %s, put there by %s: it is not touched", p.path, was.kind(), was.owner)
	}
	if was.closes && (p.Flag != "" || was.by != "") {
		return was, nil
	}
	if was.closes {
		if v, err := p.outside(ctx, env); err != nil || v.status == http.StatusServiceUnavailable {
			return was, err
		}
		return was, checks.Failed(checks.Other, "%s holds directives that opsdeck did not write (by %s, %s): it is not overwritten", p.path, was.owner, was.at.Format(time.RFC3339))
	}
	who, err := p.writableByOthers()
	if err != nil {
		return was, err
	}
	if who != "" {
		return was, checks.Failed(checks.Denied, "%s can be changed by others: whoever does it decides whether the site is closed (chmod go-w)", who)
	}
	return was, p.writable()
}

// plan says what will be done, word for word.
func (p *page) plan(was file, retry time.Duration) []string {
	switch {
	case was.closes && p.Flag != "":
		return []string{"leaves " + p.path + " as it is: the site is closed already"}
	case was.closes:
		return []string{"leaves " + p.path + " as it is", p.reloadPlan() + " if the page is not closed yet"}
	case p.Flag != "":
		return []string{"writes " + p.path + ", for which the web server looks at every request"}
	}
	lines := []string{"writes " + p.path + ":"}
	for line := range strings.Lines(p.closing("opsdeck/…", time.Time{}, retry)) {
		lines = append(lines, "  "+strings.TrimSuffix(line, "\n"))
	}
	return append(lines, p.reloadPlan()+"; if that fails, puts the old snippet back")
}

// cautions are what speaks against closing now.
func cautions(was file, v view) []string {
	lines := []string{"careful: only the pages are closed: workers and cron jobs go on writing unless they are stopped"}
	if was.closes {
		lines = append(lines, fmt.Sprintf("careful: closed since %s by %s", was.at.Format(time.RFC3339), was.who()))
	}
	if !was.closes && v.answered && v.status == http.StatusServiceUnavailable {
		lines = append(lines, "careful: nothing of ours closes the site and it answers 503: closing it cannot be told from a failure")
	}
	if !v.answered || !v.exemptOK {
		lines = append(lines, "careful: "+strings.Join(v.reasons, "; "))
	}
	return lines
}

func enable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	if err := p.isPreviewed(env); err != nil {
		return checks.Findings{}, err
	}
	was, err := p.mayClose(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := ctx.Err(); err != nil {
		return checks.Findings{}, err
	}
	takeBack, err := p.shut(ctx, env, was, args.Duration("retry_after"))
	if err != nil {
		return checks.Findings{}, err
	}
	v, err := p.await(ctx, env, closedWell)
	if errors.Is(err, context.Canceled) {
		env.Printf("cancelled: taking back what closes the site")
		return checks.Findings{}, errors.Join(err, takeBack())
	}
	if err != nil {
		return checks.Findings{}, fmt.Errorf("%s was written; %w", p.path, err)
	}
	f, err := p.closedFindings(v)
	f.Facts = append(f.Facts, fact.Flag("was_closed", was.closes), fact.Dur("took", time.Since(began)))
	return f, err
}

// shut makes the site closed and returns how to take that back: nothing if it
// was closed before.
func (p *page) shut(ctx context.Context, env checks.Env, was file, retry time.Duration) (takeBack func() error, err error) {
	nothing := func() error { return nil }
	switch {
	case p.Flag != "" && was.closes:
		env.Printf("%s is there already, since %s", p.path, was.at.Format(time.RFC3339))
		return nothing, nil
	case p.Flag != "":
		env.Printf("writing %s", p.path)
		return p.removeOwn, p.create(signature(env.Token, clock(env)))
	case was.closes:
		if v, err := p.outside(ctx, env); err != nil || closedWell(v) {
			return nothing, err
		}
		return nothing, p.reread(ctx, env)
	}
	return p.shutBySnippet(ctx, env, was, retry)
}

// probeEnable tells whether the site is closed, as seen from outside.
func probeEnable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	v, err := p.outside(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	return p.closedFindings(v)
}

// closedFindings: done is a page that answers 503 because of the file.
func (p *page) closedFindings(v view) (checks.Findings, error) {
	is, err := p.look()
	if err != nil {
		return checks.Findings{}, err
	}
	f := p.findings()
	f.Note = v.says()
	f.Detail = v.reasons
	if is.closes && v.answered && v.status != http.StatusServiceUnavailable {
		f.Detail = append(f.Detail, p.path+" is there and the web server does not heed it; it stays until maint.disable")
	}
	done := is.closes && v.answered && v.status == http.StatusServiceUnavailable
	f.Facts = append(append(v.facts(is.closes), is.facts()...), fact.Flag("done", done))
	return f, nil
}

// facts say who closed the site and when, if it is closed.
func (f file) facts() []fact.Fact {
	if !f.closes {
		return nil
	}
	return []fact.Fact{fact.At("since", f.at), fact.Word("closed_by", f.who())}
}
