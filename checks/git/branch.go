package git

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Branch puts a clean tree on a new, dated branch, or back on the one that is
// deployed, at what the remote has of it.
var Branch = module(checks.Module{
	Name:   "git.branch",
	Doc:    "Makes a dated branch from what the remote has of the main branch now, or goes back to the main branch at what the remote has; only in a clean tree",
	Effect: checks.Reversible, Danger: 1, Repeatable: true,
	Crash: "the tree is on the old branch or on the new one, whole; git switches at once",
	Params: []checks.Param{
		projectParam, prefixParam,
		{Name: "main", Type: checks.BoolParam, Default: false, Doc: "go back to the main branch instead"},
	},
	Facts:   facts(fact.Spec{Name: "to", Type: fact.Text, Label: "repository", Optional: true, Doc: "branch that is to be checked out"}),
	Source:  "guide",
	Timeout: 2 * time.Minute,
	Example: "use: git.branch\nwith: {prefix: update-dependencies}",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return preview(ctx, env, args, func(t Tree) ([]string, []fact.Fact, error) {
			to, lines, err := planBranch(ctx, env, args, t)
			return lines, []fact.Fact{fact.Word("to", to).On(t.Name)}, err
		})
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return each(ctx, env, args, func(t Tree) error {
			to, err := planned(env, "to", t)
			if err != nil || t.Branch == to && to != t.Main {
				return err
			}
			return t.goTo(ctx, env, to)
		})
	},
	Probe: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(ctx, env, args, func(t Tree) (bool, error) {
			to, err := planned(env, "to", t)
			return t.Branch == to, err
		})
	},
})

func planBranch(ctx context.Context, env checks.Env, args checks.Args, t Tree) (string, []string, error) {
	if t.Production {
		return "", nil, checks.Failed(checks.Other, "%s is served from this very tree (production: true in the site file): work on a build host", t.Name)
	}
	if err := t.Clean(); err != nil {
		return "", nil, err
	}
	base, err := t.remoteMain(ctx, env)
	if err != nil {
		return "", nil, err
	}
	if args.Bool("main") {
		if ours, err := t.ask(ctx, env, "rev-parse", "--verify", "--quiet", "refs/heads/"+t.Main); err == nil {
			forward, err := t.ancestor(ctx, env, ours, base)
			if err != nil {
				return "", nil, err
			}
			if !forward {
				return "", nil, checks.Failed(checks.Other, "%s: %s here has commits that %s has not: settle that by hand first", t.Name, t.Main, t.Remote)
			}
		}
		return t.Main, []string{fmt.Sprintf("checks out %s at %s, which %s has now", t.Main, short(base), t.Remote)}, nil
	}
	dated := args.Text("prefix") + "-" + env.Now().In(zone(env)).Format(time.DateOnly)
	if t.Branch == dated || strings.HasPrefix(t.Branch, dated+"-") {
		return t.Branch, []string{t.Branch + " is checked out already"}, nil
	}
	name, err := t.free(ctx, env, dated)
	return name, []string{fmt.Sprintf("makes %s from %s, which %s has of %s now", name, short(base), t.Remote, t.Main)}, err
}

func zone(env checks.Env) *time.Location {
	if env.Site.Zone == nil {
		return time.UTC
	}
	return env.Site.Zone
}

// free is a name that neither side uses: the second one of a day gets a number.
func (t Tree) free(ctx context.Context, env checks.Env, name string) (string, error) {
	for n := 1; n < 100; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		here, err := t.holds(ctx, env, "show-ref", "--verify", "--quiet", "refs/heads/"+try)
		if err != nil {
			return "", err
		}
		there, err := t.remoteHead(ctx, env, try)
		if err != nil {
			return "", err
		}
		if !here && there == "" {
			return try, nil
		}
	}
	return "", checks.Failed(checks.Limit, "%s: a hundred branches %s are there already", t.Name, name)
}

// goTo checks a branch out: main as the remote has it, or a new one from there.
func (t Tree) goTo(ctx context.Context, env checks.Env, branch string) error {
	tracking := t.Remote + "/" + t.Main
	steps := [][]string{{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", t.Remote, "+refs/heads/" + t.Main + ":refs/remotes/" + tracking}}
	if branch != t.Main {
		steps = append(steps, []string{"switch", "--quiet", "--no-track", "-c", branch, tracking})
	} else {
		steps = append(steps, []string{"switch", "--quiet", t.Main}, []string{"merge", "--quiet", "--ff-only", tracking})
	}
	for _, step := range steps {
		env.Printf("%s: git %s", t.Name, strings.Join(step, " "))
		if _, err := t.git(ctx, env, step...); err != nil {
			return err
		}
	}
	return nil
}
