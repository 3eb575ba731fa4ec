// Package git works with the repositories of the site's projects: a branch for
// a change, a commit, a push that is never forced, and a merge that went
// through review.
//
// All of it is git itself, called without a shell; a repository's own hooks run
// as they would for a person, but nothing of its configuration runs when it is
// only looked at. Read tree.go first. It must not know what the projects are
// made of.
package git

import (
	"fmt"
	"maps"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Network
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "git", Doc: "Repositories of the site's projects: branch, commit, push without force, reviewed merge", Modules: modules}
}

var projectParam = checks.Param{Name: "project", Type: checks.TextParam, Names: "projects", Doc: "project of the site file; without it the repositories of all of them, each once", Example: "backend"}

var prefixParam = checks.Param{Name: "prefix", Type: checks.TextParam, Default: "update-dependencies", Doc: "what the branch's name begins with; the day follows", Check: checkPrefix}

var treeFacts = []fact.Spec{
	{Name: "branch", Type: fact.Text, Label: "repository", Optional: true, Doc: "branch that is checked out"},
	{Name: "head", Type: fact.Text, Label: "repository", Optional: true, Doc: "commit that is checked out"},
	checks.DoneFact,
}

func facts(more ...fact.Spec) []fact.Spec { return append(slices.Clone(treeFacts), more...) }

func checkPrefix(value any) error {
	text, _ := value.(string)
	if !refName.MatchString(text) {
		return fmt.Errorf("%q cannot begin a branch's name: use letters, digits, - and /", text)
	}
	return nil
}

// chosen are the projects to work with, by name.
func chosen(env checks.Env, args checks.Args) ([]checks.Project, error) {
	if name := args.Text("project"); name != "" {
		p, ok := env.Site.Projects[name]
		if !ok {
			return nil, checks.NotHere{What: fmt.Sprintf("%q under projects", name)}
		}
		return []checks.Project{p}, nil
	}
	if len(env.Site.Projects) == 0 {
		return nil, checks.NotHere{What: "no projects in the site file"}
	}
	var all []checks.Project
	for _, name := range slices.Sorted(maps.Keys(env.Site.Projects)) {
		all = append(all, env.Site.Projects[name])
	}
	return all, nil
}
