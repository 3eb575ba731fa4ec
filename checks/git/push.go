package git

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Push gives the remote what is committed, and never by force.
var Push = module(checks.Module{
	Name:   "git.push",
	Doc:    "Pushes the branch that is checked out, never by force, and sees that the remote has it; refuses a branch on which nothing is committed, because what follows would look as if something had been updated",
	Effect: checks.Reversible, Danger: 1, Repeatable: true,
	Crash: "the remote has the commits or has not; it takes a push whole",
	Params: []checks.Param{
		projectParam,
		{Name: "main", Type: checks.BoolParam, Default: false, Doc: "push the main branch; without it that is refused"},
	},
	Facts: facts(
		fact.Spec{Name: "commits", Type: fact.Count, Label: "repository", Optional: true, Doc: "commits that the remote has not"},
	),
	Source:  "guide",
	Timeout: 5 * time.Minute,
	Example: "use: git.push\ndanger: 1",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return preview(ctx, env, args, func(t Tree) ([]string, []fact.Fact, error) { return planPush(ctx, env, args, t) })
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return each(ctx, env, args, func(t Tree) error {
			env.Printf("%s: pushing %s (%s) to %s", t.Name, t.Branch, short(t.Head), t.Remote)
			_, err := t.git(ctx, env, "push", "--quiet", "--no-recurse-submodules", "--no-force-with-lease", t.Remote, t.Head+":refs/heads/"+t.Branch)
			return err
		})
	},
	Probe: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(ctx, env, args, func(t Tree) (bool, error) {
			there, err := t.remoteHead(ctx, env, t.Branch)
			return there == t.Head, err
		})
	},
})

func planPush(ctx context.Context, env checks.Env, args checks.Args, t Tree) ([]string, []fact.Fact, error) {
	if err := t.pushable(args.Bool("main")); err != nil {
		return nil, nil, err
	}
	base, err := t.remoteMain(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	there, err := t.remoteHead(ctx, env, t.Branch)
	if err != nil {
		return nil, nil, err
	}
	news := base
	if there != "" {
		news = there
		if err := t.bring(ctx, env, t.Branch, there); err != nil {
			return nil, nil, err
		}
		if ours, err := t.ancestor(ctx, env, there, t.Head); err != nil || !ours {
			return nil, nil, orElse(err, "%s: %s has commits on %s that are not here, and nothing is pushed by force: pull them first", t.Name, t.Remote, t.Branch)
		}
	}
	beyond, err := t.ask(ctx, env, "rev-list", "--count", base+".."+t.Head)
	if err != nil {
		return nil, nil, err
	}
	if beyond == "0" && t.Branch != t.Main {
		return nil, nil, checks.Failed(checks.NoData, "%s: nothing is committed on %s that %s has not: pushing it would change nothing", t.Name, t.Branch, t.Main)
	}
	log, err := t.ask(ctx, env, "log", "--format=%h %s", "--max-count=50", news+".."+t.Head)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.FieldsFunc(log, func(r rune) bool { return r == '\n' })
	count := fact.Number("commits", len(lines)).On(t.Name)
	if len(lines) == 0 {
		return []string{fmt.Sprintf("%s has %s already", t.Remote, t.Branch)}, []fact.Fact{count}, nil
	}
	for _, what := range t.Dirty {
		lines = append(lines, "careful: not committed, so not pushed: "+strings.TrimSpace(what))
	}
	return append([]string{fmt.Sprintf("pushes %s to %s:", t.Branch, t.Remote)}, lines...), []fact.Fact{count}, nil
}

func (t Tree) pushable(main bool) error {
	switch {
	case t.Branch == "":
		return checks.Failed(checks.Other, "%s: no branch is checked out", t.Name)
	case main && t.Branch != t.Main:
		return checks.Failed(checks.Other, "%s: %s is checked out, not %s", t.Name, t.Branch, t.Main)
	case !main && t.Branch == t.Main:
		return checks.Failed(checks.Other, "%s: %s is checked out; it goes by review, or with `main: true`", t.Name, t.Main)
	}
	return nil
}

// orElse is err, or else a refusal.
func orElse(err error, format string, a ...any) error {
	if err != nil {
		return err
	}
	return checks.Failed(checks.Other, format, a...)
}
