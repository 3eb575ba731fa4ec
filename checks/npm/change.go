package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/scratch"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/git"
)

// A plan is what npm is to do in a project; no arguments: nothing, and why.
type plan struct {
	args []string
	idle string
}

type planner func(env checks.Env, args checks.Args, p checks.Project) (plan, error)

var scriptsParam = checks.Param{Name: "scripts", Type: checks.BoolParam, Default: false, Doc: "let the packages run their install scripts, which packages with compiled parts need"}

var changeFacts = []fact.Spec{
	{Name: "changed", Type: fact.Count, Label: "project", Unit: "packages", Optional: true, Doc: "packages whose version changes"},
	{Name: "added", Type: fact.Count, Label: "project", Unit: "packages", Optional: true, Doc: "packages that come in"},
	{Name: "removed", Type: fact.Count, Label: "project", Unit: "packages", Optional: true, Doc: "packages that go"},
	{Name: "major", Type: fact.Count, Label: "project", Unit: "packages", Optional: true, Worse: fact.Higher, Doc: "of the changed ones, by a major release"},
	{Name: "as_previewed", Type: fact.Bool, Label: "project", Optional: true, Worse: fact.Lower, Doc: "the lock file holds what the preview named; a registry may have moved on"},
	{Name: "lock", Type: fact.Text, Label: "project", Optional: true, Doc: "identity of what the lock file holds"},
	{Name: "to", Type: fact.Text, Label: "project", Optional: true, Doc: "identity of what it is to hold"},
	checks.DoneFact,
}

// changing makes a module that changes dependencies on a branch.
func changing(m checks.Module, plan planner) checks.Module {
	m.Effect, m.Danger = checks.Reversible, 2
	m.Crash = "the manifest, the lock file and node_modules may be half changed; nothing is committed, git restores the first two and npm ci the third"
	m.Facts, m.Timeout = changeFacts, 15*time.Minute
	m.Warn = "as_previewed == false"
	m.Preview = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return previewChange(ctx, env, args, plan)
	}
	m.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return change(ctx, env, args, plan)
	}
	m.Probe = probeChange
	return m
}

// previewChange finds out by letting npm do it to a copy of the manifests.
func previewChange(ctx context.Context, env checks.Env, args checks.Args, plan planner) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Tables: []checks.Table{movesTable()}}
	var names, prints []string
	for _, p := range projects {
		tree, err := workable(ctx, env, p)
		if err != nil {
			return checks.Findings{}, err
		}
		from, to, idle, err := rehearse(ctx, env, args, p, plan)
		if err != nil {
			return checks.Findings{}, err
		}
		if idle != "" {
			f.Detail = append(f.Detail, p.Name+": "+idle)
		}
		describe(&f, p, from, to)
		f.Facts = append(f.Facts, fact.Word("lock", from.identity()).On(p.Name), fact.Word("to", to.identity()).On(p.Name))
		names = append(names, p.Name)
		prints = append(prints, fmt.Sprintf("%s@%s@%s", p.Dir, tree.Branch, tree.Head))
		f.Locks = append(f.Locks, "git:"+tree.Top)
	}
	f.Target, f.Fingerprint = strings.Join(names, "+"), strings.Join(prints, " ")
	return f, nil
}

// workable is the project's tree, if npm may change its dependencies there: on
// a branch, and from a state that git can bring back.
func workable(ctx context.Context, env checks.Env, p checks.Project) (git.Tree, error) {
	tree, err := git.Look(ctx, env, p)
	if err != nil {
		return tree, err
	}
	if err := tree.Workable(); err != nil {
		return tree, err
	}
	dirty, err := tree.Differs(ctx, env, manifests...)
	if err != nil {
		return tree, err
	}
	if len(dirty) > 0 {
		return tree, checks.Failed(checks.Other, "project %s: %s differs from the last commit: commit it or put it away first", p.Name, strings.TrimSpace(dirty[0]))
	}
	return tree, nil
}

// rehearse gives the lock as it is and as it would be.
func rehearse(ctx context.Context, env checks.Env, args checks.Args, p checks.Project, plan planner) (from, to lock, idle string, err error) {
	if from, err = readLock(p, p.Dir); err != nil {
		return nil, nil, "", err
	}
	what, err := plan(env, args, p)
	if err != nil || what.args == nil {
		return from, from, what.idle, err
	}
	private, err := scratch.In(env.Dir)
	if err != nil {
		return nil, nil, "", fmt.Errorf("making a copy to try it on: %w", err)
	}
	defer private.Remove() //nolint:errcheck // a copy of three files; the next process removes what is left
	dir := private.Path
	if err := copyInto(p, dir); err != nil {
		return nil, nil, "", err
	}
	copied := p
	copied.Dir = dir
	if err := npm(ctx, env, copied, append(what.args, "--package-lock-only", "--ignore-scripts")); err != nil {
		return nil, nil, "", err
	}
	to, err = readLock(p, dir)
	return from, to, "", err
}

// npm runs npm to change something. Its exit code says "there are findings
// left" and "it failed" with the same number, so its JSON decides.
func npm(ctx context.Context, env checks.Env, p checks.Project, args []string) error {
	out, err := run(ctx, env, p, append(args, "--json", "--no-fund")...)
	if err != nil {
		return err
	}
	if err := refused(out.Stdout); err != nil {
		return checks.Failed(checks.Other, "project %s: npm %s: %w", p.Name, args[0], err)
	}
	if out.Code != 0 && (args[0] != "audit" || !json.Valid(out.Stdout)) {
		return checks.Failed(checks.Other, "project %s: npm %s ended with %d: %s", p.Name, args[0], out.Code, tail(out))
	}
	return nil
}

// change does it in each project's own directory. What fails leaves the
// project's manifests as they were.
func change(ctx context.Context, env checks.Env, args checks.Args, plan planner) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Tables: []checks.Table{movesTable()}}
	for i, p := range projects {
		env.Report(float64(i), float64(len(projects)), p.Name)
		from, err := readLock(p, p.Dir)
		if err != nil {
			return checks.Findings{}, err
		}
		if err := changeOne(ctx, env, args, p, plan); err != nil {
			return checks.Findings{}, err
		}
		to, err := readLock(p, p.Dir)
		if err != nil {
			return checks.Findings{}, err
		}
		describe(&f, p, from, to)
		want, ok := env.BeforeFact("to", p.Name)
		f.Facts = append(f.Facts, fact.Word("lock", to.identity()).On(p.Name), fact.Flag("as_previewed", ok && want.Text == to.identity()).On(p.Name))
	}
	f.Facts = append(f.Facts, fact.Flag("done", true))
	return f, nil
}

func changeOne(ctx context.Context, env checks.Env, args checks.Args, p checks.Project, plan planner) error {
	what, err := plan(env, args, p)
	if err != nil || what.args == nil {
		return err
	}
	dir, err := hostfs.OpenDir(p.Dir)
	if err != nil {
		return fmt.Errorf("project %s: %w", p.Name, err)
	}
	defer dir.Close() //nolint:errcheck // what was put back is durable already
	kept, err := keep(p, dir)
	if err != nil {
		return err
	}
	if !args.Bool("scripts") {
		what.args = append(what.args, "--ignore-scripts")
	}
	env.Printf("%s: npm %s", p.Name, strings.Join(what.args, " "))
	if err := npm(ctx, env, p, what.args); err != nil {
		if undone := kept.restore(dir); undone != nil {
			return fmt.Errorf("%w; and the manifests could not be put back: %w", err, undone)
		}
		return fmt.Errorf("%w; the manifests are as they were", err)
	}
	return nil
}

// A manifest is one that was there before the change, as it was.
type manifest struct {
	raw  []byte
	info hostfs.Info
}

// manifestsKept are the manifests by name; nil for one that was not there.
type manifestsKept map[string]*manifest

// keep reads the manifests in the project's folder, which stays held: what is
// put back goes into that folder.
func keep(p checks.Project, dir *hostfs.Dir) (manifestsKept, error) {
	kept := manifestsKept{}
	for _, name := range manifests {
		f, info, err := dir.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			kept[name] = nil
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("project %s: %w", p.Name, err)
		}
		raw, err := hostfs.Content(f, maxLock)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("project %s: %w", p.Name, err)
		}
		kept[name] = &manifest{raw, info}
	}
	return kept, nil
}

func (k manifestsKept) restore(dir *hostfs.Dir) error {
	var all error
	for name, m := range k {
		if m != nil {
			as := hostfs.Attributes{Mode: m.info.Mode.Perm(), UID: m.info.UID, GID: m.info.GID, Replace: true}
			all = errors.Join(all, dir.Write(name, m.raw, as))
			continue
		}
		is, err := dir.Stat(name)
		if err == nil {
			err = dir.Remove(name, is.ID)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

func movesTable() checks.Table {
	return checks.Table{Name: "packages", Columns: []checks.Column{
		{Name: "project", Type: fact.Text}, {Name: "package", Type: fact.Text}, {Name: "from", Type: fact.Text}, {Name: "to", Type: fact.Text},
	}}
}

// describe counts and lists what changes in a project.
func describe(f *checks.Findings, p checks.Project, from, to lock) {
	var changed, added, removed, major int
	for _, m := range moves(from, to) {
		switch {
		case m.from == "":
			added++
		case m.to == "":
			removed++
		default:
			changed++
			if steps(m.from, m.to) == 3 {
				major++
			}
		}
		f.Tables[0].Rows = append(f.Tables[0].Rows, []fact.Value{fact.WordValue(p.Name), fact.WordValue(m.pkg), fact.WordValue(m.from), fact.WordValue(m.to)})
		f.Detail = append(f.Detail, fmt.Sprintf("%s: %s %s to %s", p.Name, m.pkg, orDash(m.from), orDash(m.to)))
	}
	if changed+added+removed == 0 {
		f.Detail = append(f.Detail, p.Name+": nothing to do")
	}
	f.Facts = append(f.Facts, fact.Number("changed", changed).On(p.Name), fact.Number("added", added).On(p.Name), fact.Number("removed", removed).On(p.Name), fact.Number("major", major).On(p.Name))
	f.Note = strings.TrimPrefix(fmt.Sprintf("%s, %s %d changed", f.Note, p.Name, changed+added+removed), ", ")
}

func orDash(version string) string {
	if version == "" {
		return "–"
	}
	return version
}

// probeChange: the lock file holds something else than before, or the same if
// the preview had found nothing to do.
func probeChange(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f, done := checks.Findings{}, true
	for _, p := range projects {
		l, err := readLock(p, p.Dir)
		if err != nil {
			return checks.Findings{}, err
		}
		before, ok := env.BeforeFact("lock", p.Name)
		to, planned := env.BeforeFact("to", p.Name)
		if !ok || !planned {
			return checks.Findings{}, checks.Failed(checks.Internal, "the preview names no lock of %s", p.Name)
		}
		if (before.Text == to.Text) != (before.Text == l.identity()) {
			done = false
			f.Detail = append(f.Detail, "not in "+p.Name)
		}
		f.Facts = append(f.Facts, fact.Word("lock", l.identity()).On(p.Name))
	}
	f.Facts = append(f.Facts, fact.Flag("done", done))
	return f, nil
}
