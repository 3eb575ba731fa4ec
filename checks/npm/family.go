// Package npm looks at the dependencies of the site's JavaScript projects and
// changes them, on a branch and never in the tree that is served.
//
// Everything is judged by npm's JSON: its exit codes say "there are findings"
// and "it did not work" with the same number. Read report.go first. All of it is
// tested with a real npm and a registry on loopback that answers audits too;
// npm 6's older form of an audit is tested on answers as it records them.
package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Network
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "npm", Doc: "Dependencies of JavaScript projects: vulnerable, outdated, and their updates on a branch", Modules: modules}
}

func projectParam(required bool) checks.Param {
	doc := "project of the site file; without it all of them"
	if required {
		doc = "project of the site file"
	}
	return checks.Param{Name: "project", Type: checks.TextParam, Names: "projects", Required: required, Doc: doc, Example: "backend"}
}

// chosen are the projects to look at, by name.
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

// run runs npm in a project's own directory, whatever directory anybody stands
// in, and gives what it wrote.
func run(ctx context.Context, env checks.Env, p checks.Project, args ...string) (checks.Output, error) {
	if env.Exec == nil {
		return checks.Output{}, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "package.json")); err != nil {
		return checks.Output{}, checks.Failed(checks.Missing, "project %s: there is no package.json in %s", p.Name, p.Dir)
	}
	if err := ownModules(p.Dir); err != nil {
		return checks.Output{}, fmt.Errorf("project %s: npm %s: %w", p.Name, args[0], err)
	}
	var whole strings.Builder
	out, err := env.Exec(ctx, checks.Call{
		Argv: append([]string{"npm"}, args...), Dir: p.Dir, Config: sources(p.Dir), Stdout: &whole, Live: env.Out, Max: 32 << 20,
		Env: []string{"npm_config_update_notifier=false", "npm_config_fund=false", "npm_config_progress=false", "CI=true", "NO_COLOR=1"},
	})
	out.Stdout = []byte(whole.String())
	if err != nil {
		return out, fmt.Errorf("project %s: npm %s: %w", p.Name, args[0], err)
	}
	return out, nil
}

// sources are the files by which a project tells npm what to run and whom to ask.
func sources(dir string) []string {
	if dir == "" {
		return nil
	}
	var list []string
	for _, name := range []string{"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"} {
		list = append(list, filepath.Join(dir, name))
	}
	return list
}

// ownModules refuses a folder of packages that is somebody else's: npm's scripts
// run the programs in it. Its thousands of files are taken to be of its owner.
func ownModules(dir string) error {
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	if err := rule.Check(filepath.Join(dir, "node_modules")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// problem is npm's own error in JSON, in either form: its own, or that of the
// registry handed through.
type problem struct {
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
	Status  int             `json:"statusCode"`
}

// refused is why a report holds no findings; nil if it may.
func refused(raw []byte) error {
	var p problem
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil //nolint:nilerr // not an object: the caller's own reading says what it is
	}
	var inner struct{ Code, Summary, Detail string }
	var text string
	if json.Unmarshal(p.Error, &inner) == nil && inner.Summary+inner.Code != "" {
		return fmt.Errorf("%s %s", inner.Code, firstLine(inner.Summary))
	}
	if json.Unmarshal(p.Error, &text) == nil && text != "" || p.Status >= 400 {
		return errors.New(strings.TrimSpace(fmt.Sprintf("the registry answers %d %s %s", p.Status, text, firstLine(p.Message))))
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// tail is the end of what npm said on its way, for an error.
func tail(out checks.Output) string {
	lines := strings.Split(strings.TrimSpace(string(out.Stderr)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
