package git

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Commit records what an update changed.
var Commit = module(checks.Module{
	Name:   "git.commit",
	Doc:    "Commits the files that an update of dependencies changes, and no others, on a branch; without it a push carries nothing",
	Effect: checks.Reversible, Danger: 1,
	Crash: "the commit is there whole or not at all; files may be staged",
	Params: []checks.Param{
		projectParam,
		{Name: "files", Type: checks.TextsParam, Doc: "files to commit, from each project's directory; without it the manifest and the lock file", Example: "package.json", Check: checkFiles},
		{Name: "message", Type: checks.TextParam, Default: "Update dependencies", Doc: "the commit's message"},
	},
	Facts:   facts(fact.Spec{Name: "files", Type: fact.Text, Label: "repository", Optional: true, Doc: "files that are committed, a line each"}),
	Source:  "proposed",
	Timeout: 2 * time.Minute,
	Example: "use: git.commit\nwith: {message: Update dependencies}",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		any := false
		f, err := preview(ctx, env, args, func(t Tree) ([]string, []fact.Fact, error) {
			if err := t.Workable(); err != nil {
				return nil, nil, err
			}
			files, others, err := t.changed(ctx, env, args)
			any = any || len(files) > 0
			return commitPlan(args, files, others), []fact.Fact{fact.Word("files", strings.Join(files, "\n")).On(t.Name)}, err
		})
		if err == nil && !any {
			return f, checks.Failed(checks.NoData, "nothing to commit in %s: no manifest or lock file differs from the last commit", f.Target)
		}
		return f, err
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return each(ctx, env, args, func(t Tree) error { return t.commit(ctx, env, args) })
	},
	Probe: probeCommit,
})

func checkFiles(value any) error {
	names, _ := value.([]string)
	for _, name := range names {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q is not a file below the project", name)
		}
	}
	return nil
}

func commitPlan(args checks.Args, files, others []string) []string {
	var lines []string
	for _, name := range files {
		lines = append(lines, "commits "+name)
	}
	if len(files) == 0 {
		lines = append(lines, "nothing to commit")
	} else {
		lines = append(lines, fmt.Sprintf("with the message %q", args.Text("message")))
	}
	for _, name := range others {
		lines = append(lines, "careful: "+name+" differs too and is left out")
	}
	return lines
}

// changed are the files to commit that differ, and what else differs, from the
// repository's own directory.
func (t Tree) changed(ctx context.Context, env checks.Env, args checks.Args) (files, others []string, err error) {
	wanted, err := t.wanted(env, args)
	if err != nil {
		return nil, nil, err
	}
	said, err := t.ask(ctx, env, "-C", t.Top, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", ownFiles)
	if err != nil {
		return nil, nil, err
	}
	for entry := range strings.SplitSeq(strings.TrimRight(said, "\x00"), "\x00") {
		if len(entry) < 4 {
			continue
		}
		if name := entry[3:]; slices.Contains(wanted, name) {
			files = append(files, name)
		} else if len(others) < maxDirty {
			others = append(others, name)
		}
	}
	return files, others, nil
}

// wanted are the files that may be committed: those of all projects that share
// the repository, unless one is named.
func (t Tree) wanted(env checks.Env, args checks.Args) ([]string, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return nil, err
	}
	names := args.Texts("files")
	if len(names) == 0 {
		names = []string{"package.json", "package-lock.json", "npm-shrinkwrap.json"}
	}
	var all []string
	for _, p := range projects {
		dir, err := filepath.EvalSymlinks(p.Dir)
		if err != nil {
			return nil, fmt.Errorf("project %s: %w", p.Name, err)
		}
		below, err := filepath.Rel(t.Top, dir)
		if err != nil || !filepath.IsLocal(below) {
			continue // another repository's
		}
		for _, name := range names {
			all = append(all, filepath.Join(below, name))
		}
	}
	return all, nil
}

func (t Tree) commit(ctx context.Context, env checks.Env, args checks.Args) error {
	files, err := planned(env, "files", t)
	if err != nil || files == "" {
		return err
	}
	names := strings.Split(files, "\n")
	if _, err := t.git(ctx, env, append([]string{"-C", t.Top, "--literal-pathspecs", "add", "--"}, names...)...); err != nil {
		return err
	}
	env.Printf("%s: committing %s", t.Name, strings.Join(names, ", "))
	_, err = t.git(ctx, env, append([]string{"-C", t.Top, "--literal-pathspecs", "commit", "--quiet", "-m", args.Text("message"), "--"}, names...)...)
	return err
}

// probeCommit: the commit before is this one's parent, and what was to be
// committed does not differ from it.
func probeCommit(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	return probe(ctx, env, args, func(t Tree) (bool, error) {
		files, err := planned(env, "files", t)
		if err != nil || files == "" {
			return err == nil, err
		}
		before, err := planned(env, "head", t)
		if err != nil || t.Head == before {
			return false, err
		}
		in, err := t.ancestor(ctx, env, before, t.Head)
		if err != nil || !in {
			return false, err
		}
		return t.holds(ctx, env, append([]string{"-C", t.Top, "--literal-pathspecs", "diff", "--quiet", ownFiles, "HEAD", "--"}, strings.Split(files, "\n")...)...)
	})
}
