package git

import (
	"context"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// remoteHead is the commit that the remote has for a branch, asked now and not
// remembered; "" if it has no such branch.
func (t Tree) remoteHead(ctx context.Context, env checks.Env, branch string) (string, error) {
	said, err := t.ask(ctx, env, "ls-remote", "--quiet", t.Remote, "refs/heads/"+branch)
	if err != nil {
		return "", err
	}
	head, _, _ := strings.Cut(said, "\t")
	return head, nil
}

// remoteMain is the commit that the remote has for the branch that is deployed.
// Its objects are fetched if they are not here; no reference is moved.
func (t Tree) remoteMain(ctx context.Context, env checks.Env) (string, error) {
	head, err := t.remoteHead(ctx, env, t.Main)
	if err != nil {
		return "", err
	}
	if head == "" {
		return "", checks.Failed(checks.Missing, "project %s: %s has no branch %s", t.Name, t.Remote, t.Main)
	}
	return head, t.bring(ctx, env, t.Main, head)
}

// bring fetches a branch's objects if its commit is not here.
func (t Tree) bring(ctx context.Context, env checks.Env, branch, head string) error {
	here, err := t.run(ctx, env, "cat-file", "-e", head+"^{commit}")
	if err != nil || here.Code == 0 {
		return err
	}
	_, err = t.git(ctx, env, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--refmap=", t.Remote, "refs/heads/"+branch)
	return err
}

// ancestor says whether all of one commit's history is in another's.
func (t Tree) ancestor(ctx context.Context, env checks.Env, of, in string) (bool, error) {
	return t.holds(ctx, env, "merge-base", "--is-ancestor", of, in)
}

// merged says whether what a commit changed since it left a branch is in that
// branch now: by a merge, or file for file after a squash or a rebase.
func (t Tree) merged(ctx context.Context, env checks.Env, commit, into string) (bool, error) {
	if in, err := t.ancestor(ctx, env, commit, into); in || err != nil {
		return in, err
	}
	base, err := t.ask(ctx, env, "merge-base", commit, into)
	if err != nil {
		return false, err
	}
	names, err := t.ask(ctx, env, "diff", "--name-only", "-z", ownFiles, base, commit)
	if err != nil {
		return false, err
	}
	files := strings.Split(strings.TrimRight(names, "\x00"), "\x00")
	return t.holds(ctx, env, append([]string{"-C", t.Top, "--literal-pathspecs", "diff", "--quiet", ownFiles, commit, into, "--"}, files...)...)
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 10)] }
