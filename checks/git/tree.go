package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// refName is what a branch of ours may be called: nothing that git or a shell
// could take for anything else.
var refName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,80}$`)

// A Tree is a project's checked-out repository as it stands.
type Tree struct {
	checks.Project
	Top    string   // the repository's own directory
	Branch string   // "" if none is checked out
	Head   string   // its commit
	Dirty  []string // what differs from it, as git status names it, at most maxDirty; files that nobody added count
	More   int      // and so many more
}

const maxDirty = 20

// ownFiles has a comparison stop at a submodule's commit. To look for changed
// files in it git would start itself there, by the submodule's configuration,
// and so run filters that are not held to the rule of ownership.
const ownFiles = "--ignore-submodules=dirty"

// stayOut keeps each git in the repository's own files. What .gitmodules says
// counts more than these; the commands that heed it have an option besides.
var stayOut = []string{
	"-c", "submodule.recurse=false", "-c", "diff.ignoreSubmodules=dirty",
	"-c", "fetch.recurseSubmodules=false", "-c", "push.recurseSubmodules=no",
}

// Look says how a project's repository stands. A directory without one and a
// repository that git does not trust are errors.
func Look(ctx context.Context, env checks.Env, p checks.Project) (Tree, error) {
	t := Tree{Project: p}
	if _, err := os.Stat(p.Dir); errors.Is(err, fs.ErrNotExist) {
		return t, checks.Failed(checks.Missing, "project %s: there is no %s", p.Name, p.Dir)
	}
	top, err := t.ask(ctx, env, "rev-parse", "--show-toplevel")
	if err != nil {
		return t, err
	}
	t.Top = top
	if t.Head, err = t.ask(ctx, env, "rev-parse", "--verify", "HEAD"); err != nil {
		return t, err
	}
	if t.Branch, err = t.ask(ctx, env, "branch", "--show-current"); err != nil {
		return t, err
	}
	status, err := t.ask(ctx, env, "status", "--porcelain=v1", "--untracked-files=normal", ownFiles)
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(status) {
		if len(t.Dirty) == maxDirty {
			t.More++
			continue
		}
		t.Dirty = append(t.Dirty, strings.TrimRight(line, "\n"))
	}
	return t, nil
}

// Trees are the repositories of projects, each once, in the projects' order.
func Trees(ctx context.Context, env checks.Env, projects []checks.Project) ([]Tree, error) {
	var all []Tree
	seen := map[string]bool{}
	for _, p := range projects {
		t, err := Look(ctx, env, p)
		if err != nil {
			return nil, err
		}
		if !seen[t.Top] {
			seen[t.Top] = true
			all = append(all, t)
		}
	}
	return all, nil
}

// Workable is an error unless a change may be made in the tree: what is served
// from is left alone, and so is the branch that is deployed.
func (t Tree) Workable() error {
	switch {
	case t.Production:
		return checks.Failed(checks.Other, "%s is served from this very tree (production: true in the site file): change it on a build host", t.Name)
	case t.Branch == "":
		return checks.Failed(checks.Other, "%s: no branch is checked out", t.Name)
	case t.Branch == t.Main:
		return checks.Failed(checks.Other, "%s: %s is checked out, which is deployed; make a branch first", t.Name, t.Main)
	}
	return nil
}

// Clean is an error if anything differs from the last commit.
func (t Tree) Clean() error {
	if len(t.Dirty) == 0 {
		return nil
	}
	return checks.Failed(checks.Other, "%s: %d files differ from the last commit (%s): commit them or put them away first", t.Name, len(t.Dirty)+t.More, strings.TrimSpace(t.Dirty[0]))
}

// ask gives what git answers about a tree, without its last line's end. It
// neither takes locks nor runs what the repository's configuration names.
func (t Tree) ask(ctx context.Context, env checks.Env, args ...string) (string, error) {
	return t.git(ctx, env, append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.pager=cat"}, args...)...)
}

// holds answers a question to which git says yes by 0 and no by 1.
func (t Tree) holds(ctx context.Context, env checks.Env, args ...string) (bool, error) {
	out, err := t.run(ctx, env, args...)
	if err == nil && out.Code > 1 {
		err = t.refused(args, out)
	}
	return out.Code == 0, err
}

// git runs git in a tree; what it says on its way goes to whoever listens.
func (t Tree) git(ctx context.Context, env checks.Env, args ...string) (string, error) {
	out, err := t.run(ctx, env, args...)
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		return "", t.refused(args, out)
	}
	if out.Truncated {
		return "", checks.Failed(checks.Limit, "project %s: git %s says more than is read", t.Name, verb(args))
	}
	return strings.TrimRight(string(out.Stdout), "\n"), nil
}

func (t Tree) run(ctx context.Context, env checks.Env, args ...string) (checks.Output, error) {
	if env.Exec == nil {
		return checks.Output{}, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	steering, err := Sources(t.Dir)
	if err != nil {
		return checks.Output{}, fmt.Errorf("project %s: git %s: %w", t.Name, verb(args), err)
	}
	call := checks.Call{
		Argv: slices.Concat([]string{"git"}, stayOut, args), Dir: t.Dir, Config: steering,
		Env: []string{"GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat", "GIT_EDITOR=false", "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=10", "LC_ALL=C"},
	}
	out, err := env.Exec(ctx, call)
	var refused *owner.Refusal
	if errors.As(err, &refused) {
		return out, fmt.Errorf("project %s: git %s: %s is not of this user, for which git wants safe.directory "+
			"(git config --global --add) and opsdeck: %w",
			t.Name, verb(args), t.Dir, err)
	}
	if err != nil {
		return out, fmt.Errorf("project %s: git %s: %w", t.Name, verb(args), err)
	}
	return out, nil
}

func (t Tree) refused(args []string, out checks.Output) error {
	said := strings.TrimSpace(string(out.Stderr))
	class := checks.Other
	switch {
	case strings.Contains(said, "dubious ownership"):
		return checks.Failed(checks.Denied, "project %s: %s belongs to another user and git trusts it only after `git config --global --add safe.directory %s`", t.Name, t.Dir, t.Dir)
	case strings.Contains(said, "not a git repository"):
		return checks.Failed(checks.Missing, "project %s: %s is in no git repository", t.Name, t.Dir)
	case strings.Contains(said, "Permission denied"), strings.Contains(said, "Authentication failed"), strings.Contains(said, "could not read Username"):
		class = checks.Denied
	case strings.Contains(said, "Could not resolve"), strings.Contains(said, "Connection refused"), strings.Contains(said, "timed out"), strings.Contains(said, "Could not read from remote"):
		class = checks.Refused
	}
	return checks.Failed(class, "project %s: git %s ended with %d: %s", t.Name, verb(args), out.Code, lastLines(said))
}

// verb is the command among options that stand before it.
func verb(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-c", args[i] == "-C":
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

func lastLines(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	return strings.Join(lines[max(0, len(lines)-6):], "; ")
}

// Differs names those of a project's files that differ from the last commit,
// or that nobody added.
func (t Tree) Differs(ctx context.Context, env checks.Env, names ...string) ([]string, error) {
	said, err := t.ask(ctx, env, append([]string{"--literal-pathspecs", "status", "--porcelain=v1", ownFiles, "--"}, names...)...)
	if err != nil || said == "" {
		return nil, err
	}
	return strings.Split(said, "\n"), nil
}
