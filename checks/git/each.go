package git

import (
	"context"
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// trees are the repositories that an action is about.
func trees(ctx context.Context, env checks.Env, args checks.Args) ([]Tree, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return nil, err
	}
	return Trees(ctx, env, projects)
}

// preview asks of every repository what would be done to it. One that cannot
// be begun refuses the whole: half of an update is none.
func preview(ctx context.Context, env checks.Env, args checks.Args, plan func(Tree) (lines []string, facts []fact.Fact, err error)) (checks.Findings, error) {
	all, err := trees(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{}
	var names, prints []string
	for _, t := range all {
		lines, facts, err := plan(t)
		if err != nil {
			return checks.Findings{}, err
		}
		for _, line := range lines {
			text, careful := strings.CutPrefix(line, "careful: ")
			line = t.Name + ": " + text
			if careful {
				line = "careful: " + line
			}
			f.Detail = append(f.Detail, line)
		}
		f.Facts = append(f.Facts, append(t.facts(), facts...)...)
		names = append(names, t.Name)
		prints = append(prints, fmt.Sprintf("%s@%s@%s", t.Top, t.Branch, t.Head))
		f.Locks = append(f.Locks, "git:"+t.Top)
	}
	f.Target, f.Fingerprint = strings.Join(names, "+"), strings.Join(prints, " ")
	return f, nil
}

func (t Tree) facts() []fact.Fact {
	return []fact.Fact{fact.Word("branch", t.Branch).On(t.Name), fact.Word("head", t.Head).On(t.Name)}
}

// each does something to every repository and reports how they stand then.
// The first that fails ends it; those before it are done.
func each(ctx context.Context, env checks.Env, args checks.Args, do func(Tree) error) (checks.Findings, error) {
	all, err := trees(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	for i, t := range all {
		env.Report(float64(i), float64(len(all)), t.Name)
		if err := do(t); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w (it is done in %s)", err, strings.Join(namesOf(all[:i]), ", "))
			}
			return checks.Findings{}, err
		}
	}
	if all, err = trees(ctx, env, args); err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Facts: []fact.Fact{fact.Flag("done", true)}, Note: strings.Join(namesOf(all), ", ")}
	for _, t := range all {
		f.Facts = append(f.Facts, t.facts()...)
	}
	return f, nil
}

func namesOf(all []Tree) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	return names
}

// probe asks of every repository whether it was done there.
func probe(ctx context.Context, env checks.Env, args checks.Args, done func(Tree) (bool, error)) (checks.Findings, error) {
	all, err := trees(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f, whole := checks.Findings{}, true
	for _, t := range all {
		is, err := done(t)
		if err != nil {
			return checks.Findings{}, err
		}
		if !is {
			f.Detail = append(f.Detail, "not in "+t.Name)
		}
		whole = whole && is
		f.Facts = append(f.Facts, t.facts()...)
	}
	f.Facts = append(f.Facts, fact.Flag("done", whole))
	return f, nil
}

// planned is a word that the preview settled on for a repository.
func planned(env checks.Env, name string, t Tree) (string, error) {
	f, ok := env.BeforeFact(name, t.Name)
	if !ok {
		return "", checks.Failed(checks.Internal, "the preview of %s names no %s", t.Name, name)
	}
	return f.Text, nil
}
