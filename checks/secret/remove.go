package secret

import (
	"context"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Remove ends the grace period of a rotated secret.
var Remove = module(checks.Module{
	Name:   "secret.remove",
	Doc:    "Takes the old value of a rotated secret out of its environment file, once its grace period is over",
	Effect: checks.Destructive, Danger: 2, Repeatable: true,
	Crash:  "the file is the old one or the new one, never half of it; doing it again finishes it",
	Params: []checks.Param{secretParam},
	Facts: []fact.Spec{
		{Name: "private", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "nobody but the owner can read the file"},
		identitySpec,
		folderSpec,
		checks.DoneFact,
	},
	Fail: "done == false or private == false", Source: "guide (7 days); proposed",
	Example: "use: secret.remove\nwith:\n  name: jwt",
	Preview: func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		e, v, _, r, err := openRemoval(env, args)
		defer v.close()
		if err != nil {
			return checks.Findings{Target: e.Name}, err
		}
		f, err := e.findings(v)
		if err != nil {
			return f, err
		}
		f.Note = e.OldKey() + " in " + e.File
		f.Detail = []string{
			"takes " + e.OldKey() + " out of " + e.File + "; no other line changes",
			"rotated " + r.Rotated.Format("2006-01-02 15:04 MST") + ", due " + r.Due.Format("2006-01-02 15:04 MST"),
			"careful: the copy " + r.Backup + " still holds the old value: remove it when it is not needed",
			"careful: the application goes on accepting the old value until its containers are recreated",
		}
		return f, nil
	},
	Run: remove, Probe: probeRemove,
})

func openRemoval(env checks.Env, args checks.Args) (e entry, v environment, at int, r rotation, err error) {
	if e, err = open(env, args); err != nil {
		return e, v, at, r, err
	}
	if v, err = e.readHeld(); err != nil {
		return e, v, at, r, err
	}
	if at, err = find(v.lines, e.OldKey()); err != nil {
		return e, v, at, r, err
	}
	if at < 0 {
		return e, v, at, r, checks.Failed(checks.Missing, "%s has no %s: nothing is to be removed", e.File, e.OldKey())
	}
	if r, err = e.readRecord(); err != nil {
		return e, v, at, r, fmt.Errorf("nobody recorded when %s was rotated: %w", e.Key, err)
	}
	if now := clock(env); now.Before(r.Due) {
		return e, v, at, r, checks.Failed(checks.Other, "the grace period ends %s: what was signed with the old value is still in use", r.Due.Format("2006-01-02 15:04 MST"))
	}
	return e, v, at, r, v.writable()
}

func remove(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, v, at, _, err := openRemoval(env, args)
	defer v.close()
	if err == nil {
		err = v.place.isPreviewed(env)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	if known, ok := env.BeforeFact("identity", ""); ok && known.Text != v.identity() {
		return checks.Findings{Target: e.Name}, checks.Failed(checks.Other, "%s is not what the preview saw any more", e.File)
	}
	if err := v.rewrite(without(v.lines, at)); err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	env.Printf("%s is out of %s", e.OldKey(), e.File)
	return probeRemove(ctx, env, args)
}

func probeRemove(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: e.Name}
	v, err := e.read()
	if err != nil {
		return f, err
	}
	at, err := find(v.lines, e.OldKey())
	if err != nil {
		return f, err
	}
	f.Note = e.OldKey() + " is still there"
	if at < 0 {
		f.Note = e.OldKey() + " is gone"
	}
	f.Facts = []fact.Fact{fact.Flag("done", at < 0), fact.Flag("private", v.info.Mode.Perm()&0o077 == 0)}
	return f, nil
}
