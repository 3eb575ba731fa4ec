package git

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Merge brings the newest branch of a name into the branch that is deployed.
var Merge = module(checks.Module{
	Name:   "git.merge",
	Doc:    "Takes over what the review merged of the newest branch of a name; only where the site file says `merge: local` is it merged here, and never over a conflict",
	Effect: checks.Reversible, Danger: 2,
	Crash:  "the main branch is as it was or merged; a merge that was cut off is named by the next preview as files that differ",
	Params: []checks.Param{projectParam, prefixParam},
	Facts: facts(
		fact.Spec{Name: "from", Type: fact.Text, Label: "repository", Optional: true, Doc: "commit that is to be in the main branch"},
	),
	Source:  "guide (via reviewed change)",
	Timeout: 5 * time.Minute,
	Example: "use: git.merge\nwith: {prefix: update-dependencies}",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return preview(ctx, env, args, func(t Tree) ([]string, []fact.Fact, error) { return planMerge(ctx, env, args, t) })
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return each(ctx, env, args, func(t Tree) error {
			from, err := planned(env, "from", t)
			if err != nil {
				return err
			}
			return t.takeOver(ctx, env, from)
		})
	},
	Probe: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(ctx, env, args, func(t Tree) (bool, error) {
			from, err := planned(env, "from", t)
			if err != nil || t.Branch != t.Main {
				return false, err
			}
			return t.merged(ctx, env, from, t.Head)
		})
	},
})

func planMerge(ctx context.Context, env checks.Env, args checks.Args, t Tree) ([]string, []fact.Fact, error) {
	if t.Production {
		return nil, nil, t.Workable()
	}
	if err := t.Clean(); err != nil {
		return nil, nil, err
	}
	branch, from, err := t.newest(ctx, env, args.Text("prefix"))
	if err != nil {
		return nil, nil, err
	}
	main, err := t.remoteMain(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	in, err := t.merged(ctx, env, from, main)
	if err != nil {
		return nil, nil, err
	}
	is := []fact.Fact{fact.Word("from", from).On(t.Name)}
	switch {
	case in:
		return []string{fmt.Sprintf("%s is in %s at %s already: that is checked out", branch, t.Main, t.Remote)}, is, nil
	case !t.MergeHere:
		return nil, nil, checks.Failed(checks.Other, "%s: %s is not in %s at %s: have it reviewed and merged there (or say `merge: local` in the site file)", t.Name, branch, t.Main, t.Remote)
	}
	if clean, err := t.holds(ctx, env, "merge-tree", "--write-tree", "--no-messages", main, from); err != nil || !clean {
		return nil, nil, orElse(err, "%s: %s and %s conflict: settle that on the branch", t.Name, branch, t.Main)
	}
	return []string{fmt.Sprintf("merges %s (%s) into %s (%s)", branch, short(from), t.Main, short(main)), "careful: it is merged here, past review"}, is, nil
}

// newest is the local branch of a name that was committed to last.
func (t Tree) newest(ctx context.Context, env checks.Env, prefix string) (branch, head string, err error) {
	said, err := t.ask(ctx, env, "for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(refname:short) %(objectname)", "refs/heads/"+prefix+"-*")
	if err != nil {
		return "", "", err
	}
	if _, err := fmt.Sscan(said, &branch, &head); err != nil {
		return "", "", checks.Failed(checks.Missing, "%s: there is no branch %s-…", t.Name, prefix)
	}
	return branch, head, nil
}

// takeOver checks main out as the remote has it, and merges what is not in it.
func (t Tree) takeOver(ctx context.Context, env checks.Env, from string) error {
	if err := t.goTo(ctx, env, t.Main); err != nil {
		return err
	}
	in, err := t.merged(ctx, env, from, "HEAD")
	if err != nil || in {
		return err
	}
	if !t.MergeHere {
		return checks.Failed(checks.Other, "%s: what %s has of %s does not hold %s any more", t.Name, t.Remote, t.Main, short(from))
	}
	env.Printf("%s: merging %s", t.Name, short(from))
	if _, err := t.git(ctx, env, "merge", "--quiet", "--no-ff", "--no-edit", from); err != nil {
		if _, undone := t.git(context.WithoutCancel(ctx), env, "merge", "--abort"); undone != nil {
			return fmt.Errorf("%w; and it could not be taken back: %w", err, undone)
		}
		return err
	}
	return nil
}
