package maintenance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Disable opens the site to its users again.
var Disable = module(checks.Module{
	Name:   "maint.disable",
	Doc:    "Removes what closes the site, whoever put it there, and sees from outside that the page answers 200",
	Effect: checks.Reversible, Danger: 2, Reach: checks.Network, Repeatable: true,
	Crash:  "a flag or snippet that was removed stays removed and the site is open; a web server that was not told of it opens the site at its next reload",
	Params: []checks.Param{pageParam},
	Facts:  facts,
	Warn:   "exempt_ok == false", Fail: "answered == false or status != 200 or closed == true", Source: "proposed",
	Verify:  "answered == true and status == 200",
	Timeout: time.Minute,
	Example: "use: maint.disable\nwith:\n  page: web",
	Preview: previewDisable, Run: disable, Probe: probeDisable,
})

// maxShown is how many lines of somebody else's file the preview shows.
const maxShown = 20

func openWell(v view) bool { return v.answered && v.status == http.StatusOK }

// previewDisable refuses as little as it can: a site must never stay closed
// because opsdeck does not like how it was closed.
func previewDisable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	was, err := p.mayOpen()
	if err != nil {
		return checks.Findings{}, err
	}
	folder, err := p.folder()
	if err != nil {
		return checks.Findings{}, err
	}
	f := p.findings()
	f.Detail = p.openingPlan(was)
	v, err := p.outside(ctx, env)
	if err != nil {
		f.Detail = append(f.Detail, "careful: "+err.Error())
		f.Facts = append(was.facts(), fact.Flag("closed", was.closes), folder)
		return f, ctx.Err()
	}
	if !was.closes && !openWell(v) {
		f.Detail = append(f.Detail, "careful: nothing of ours closes the site, and "+v.says())
	}
	f.Note = v.says()
	f.Facts = append(append(v.facts(was.closes), was.facts()...), folder)
	return f, nil
}

func (p *page) mayOpen() (file, error) {
	was, err := p.look()
	switch {
	case err != nil:
		return was, err
	case was.mode.IsDir():
		return was, checks.Failed(checks.Other, "%s is a directory, put there by %s: it is not removed", p.path, was.owner)
	case !was.closes:
		return was, nil
	}
	return was, p.writable()
}

// openingPlan says what will be removed and, if it was not opsdeck that put it
// there, who did and what it says.
func (p *page) openingPlan(was file) []string {
	var lines []string
	switch {
	case !was.closes && p.Flag != "":
		lines = append(lines, p.path+" is not there: nothing is removed")
	case !was.closes:
		lines = append(lines, p.path+" closes nothing; "+p.reloadPlan()+" if the page is still closed")
	case p.Flag != "":
		lines = append(lines, "removes "+p.path)
	default:
		lines = append(lines, "takes the directives out of "+p.path, p.reloadPlan())
	}
	if !was.closes {
		return lines
	}
	if was.by != "" {
		return append(lines, fmt.Sprintf("closed since %s by %s", was.at.Format(time.RFC3339), was.by))
	}
	lines = append(lines, fmt.Sprintf("careful: opsdeck did not put it there: %s did, %s", was.owner, was.at.Format(time.RFC3339)))
	if !was.mode.IsRegular() {
		return append(lines, "careful: it is "+was.kind()+"; that is removed, not what it leads to")
	}
	for i, line := range strings.Split(strings.TrimSpace(string(was.content)), "\n") {
		if i == maxShown {
			return append(lines, "  …")
		}
		if line != "" {
			lines = append(lines, "  "+clean.Line(line, 0))
		}
	}
	return lines
}

func disable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	if err := p.isPreviewed(env); err != nil {
		return checks.Findings{}, err
	}
	was, err := p.mayOpen()
	if err != nil {
		return checks.Findings{}, err
	}
	if err := ctx.Err(); err != nil {
		return checks.Findings{}, err
	}
	if err := p.unshut(ctx, env, was); err != nil {
		return checks.Findings{}, err
	}
	v, err := p.await(ctx, env, openWell)
	if err != nil {
		return checks.Findings{}, fmt.Errorf("what closed the site is removed; %w", err)
	}
	f, err := p.openFindings(v, was)
	f.Facts = append(f.Facts, fact.Flag("was_closed", was.closes), fact.Dur("took", time.Since(began)))
	return f, err
}

// unshut removes what closes the site. What was taken out stays out even if
// the web server cannot be told: then it opens at its next reload.
func (p *page) unshut(ctx context.Context, env checks.Env, was file) error {
	if p.Flag != "" {
		if !was.closes {
			return nil
		}
		env.Printf("removing %s", p.path)
		return p.remove(was.id)
	}
	if was.closes {
		mode := was.mode
		if !mode.IsRegular() {
			mode = 0o644
		}
		env.Printf("taking the directives out of %s", p.path)
		if err := p.replace([]byte(opened), mode); err != nil {
			return err
		}
	} else if v, err := p.outside(ctx, env); err != nil || openWell(v) {
		return err
	}
	if err := p.reread(ctx, env); err != nil {
		return fmt.Errorf("%s is open again, but the web server was not told: %w", p.path, err)
	}
	return nil
}

func probeDisable(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	v, err := p.outside(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	return p.openFindings(v, file{})
}

// openFindings: done is a page that answers 200 with nothing there to close it.
// was is what closed it until now.
func (p *page) openFindings(v view, was file) (checks.Findings, error) {
	is, err := p.look()
	if err != nil {
		return checks.Findings{}, err
	}
	f := p.findings()
	f.Note = v.says()
	f.Detail = v.reasons
	f.Facts = append(v.facts(is.closes), fact.Flag("done", !is.closes && openWell(v)))
	if is.closes {
		was = is
	}
	f.Facts = append(f.Facts, was.facts()...)
	return f, nil
}
