package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Rotate replaces a secret in its environment file.
var Rotate = module(checks.Module{
	Name:   "secret.rotate",
	Doc:    "Replaces a key of an environment file in one step, keeps the old value under KEY_OLD for the grace period, every other byte as it was",
	Effect: checks.Reversible, Danger: 3,
	Crash:  "the file is the old one or the new one, never half of it; the copy made before stays, for its owner alone",
	Params: append([]checks.Param{secretParam}, sizeParams...),
	Facts: []fact.Spec{
		{Name: "due", Type: fact.Time, Optional: true, Doc: "when the old value has to be removed"},
		{Name: "private", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "nobody but the owner can read the file"},
		{Name: "old_kept", Type: fact.Bool, Optional: true, Doc: "the file has the old value under KEY_OLD"},
		identitySpec,
		folderSpec,
		checks.DoneFact,
	},
	Fail: "done == false or private == false", Source: "guide (7 days); proposed",
	Verify:  "done == true and private == true",
	Example: "use: secret.rotate\nwith:\n  name: jwt",
	Preview: previewRotate, Run: rotate, Probe: probeRotate,
})

// plain reports whether a value means the same to every reader of environment
// files, without quotes.
func plain(value string) bool {
	return len(value) >= 16 && len(value) <= 1000 && !strings.ContainsFunc(value, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+/=.~-", r)
	})
}

// mayRotate refuses what would log everybody out: a key that is not there, no
// value to keep, an application of which nobody says that it takes two keys.
func (e entry) mayRotate() (v environment, at int, err error) {
	switch e.Accept {
	case "":
		return v, -1, checks.Failed(checks.Unconfigured, "the site file does not say that the application accepts %s beside %s (secrets.%s.accept: two-keys): without that, every session drops at once", e.OldKey(), e.Key, e.Name)
	case "one-key":
		if _, _, err := e.prepared(); err != nil {
			return v, -1, err
		}
	}
	if v, err = e.readHeld(); err != nil {
		return v, -1, err
	}
	if at, err = find(v.lines, e.Key); err != nil {
		return v, -1, fmt.Errorf("%s: %w", e.File, err)
	}
	if at < 0 || v.lines[at].value() == "" {
		return v, -1, checks.Failed(checks.Missing, "%s does not set %s: there is nothing to rotate", e.File, e.Key)
	}
	old, err := find(v.lines, e.OldKey())
	switch {
	case err != nil:
		return v, -1, fmt.Errorf("%s: %w", e.File, err)
	case e.Accept == "two-keys" && old >= 0:
		return v, -1, checks.Failed(checks.Other, "%s still has %s of the rotation before: remove that first (secret.remove)", e.File, e.OldKey())
	}
	return v, at, v.writable()
}

// prepared is the value that was made ahead, and which file holds it; "" if
// none was.
func (e entry) prepared() (value string, file hostfs.Info, err error) {
	if e.New == "" {
		return "", file, nil
	}
	content, info, err := e.readAt(e.New)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.Accept != "one-key":
		return "", file, nil
	case err != nil:
		return "", file, fmt.Errorf("reading the new value of secret %s: %w", e.Name, err)
	case info.Mode.Perm()&0o077 != 0:
		return "", file, checks.Failed(checks.Denied, "%s can be read by others: its value is no secret any more", e.New)
	}
	value = strings.TrimSuffix(string(content), "\n")
	if !plain(value) {
		return "", file, checks.Failed(checks.Parse, "%s does not hold 16 characters or more out of letters, digits and _+/=.~-", e.New)
	}
	return value, info, nil
}

func previewRotate(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	v, _, err := e.mayRotate()
	defer v.close()
	if err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	ready, _, err := e.prepared()
	if err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	f, err := e.rotationFindings(v)
	if err != nil {
		return f, err
	}
	f.Note = e.Key + " in " + e.File
	source := fmt.Sprintf("%d new random bytes", args.Int("bytes"))
	if ready != "" {
		source = "what " + e.New + " holds, which is removed then"
	}
	f.Detail = []string{
		fmt.Sprintf("replaces the value of %s in %s by %s; no other line changes", e.Key, e.File, source),
		"keeps a copy of the file in " + e.backupDir() + ", mode 0600: it holds the old secrets",
		"careful: nothing reads the new value until the application's containers are recreated",
	}
	if e.Accept == "two-keys" {
		f.Detail = append(f.Detail, fmt.Sprintf("the old value stays as %s until %s", e.OldKey(), clock(env).Add(e.Grace).Format("2006-01-02 15:04 MST")))
	} else {
		f.Detail = append(f.Detail, "careful: one key only: whatever still uses the old value fails from then on")
	}
	if mode := v.info.Mode.Perm(); mode != 0o600 {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: its mode becomes 0600, it was %04o: who read it as another user no longer can", mode))
	}
	return f, nil
}

func rotate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	v, at, err := e.mayRotate()
	defer v.close()
	if err == nil {
		err = v.place.isPreviewed(env)
	}
	if err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	if known, ok := env.BeforeFact("identity", ""); ok && known.Text != v.identity() {
		return checks.Findings{Target: e.Name}, checks.Failed(checks.Other, "%s is not what the preview saw any more", e.File)
	}
	value, file, err := e.prepared()
	if err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	if value == "" {
		value = random(args)
	}
	if err := ctx.Err(); err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	if err := e.exchange(env, v, at, value, file.ID); err != nil {
		return checks.Findings{Target: e.Name}, err
	}
	return probeRotate(ctx, env, args)
}

// exchange writes the copy, the record and the file, in this order: a record
// without an old value in the file is no debt, an old value without a record
// is one that nobody knows the age of.
func (e entry) exchange(env checks.Env, v environment, at int, value string, made hostfs.ID) error {
	kept, err := e.backup(env, v)
	if err != nil {
		return err
	}
	env.Printf("copy of %s: %s", e.File, kept)
	now := clock(env).UTC()
	note, err := json.Marshal(rotation{e.Name, env.Token, now, now.Add(e.Grace), kept})
	if err != nil {
		return err
	}
	if err := v.place.beside(e.record()).replace(append(note, '\n'), v.info.UID, v.info.GID); err != nil {
		return fmt.Errorf("recording the rotation: %w", err)
	}
	oldKey := e.OldKey()
	if e.Accept != "two-keys" {
		oldKey = ""
	}
	if err := v.rewrite(rotated(v.lines, at, value, oldKey)); err != nil {
		return err
	}
	env.Printf("%s in %s is replaced", e.Key, e.File)
	if made == (hostfs.ID{}) {
		return nil
	}
	if err := e.spent(made); err != nil {
		return fmt.Errorf("%s is replaced, but the value's own file stays: %w", e.Key, err)
	}
	return nil
}

// spent removes the file that held the new value.
func (e entry) spent(made hostfs.ID) error {
	at, err := e.hold(e.New)
	if err != nil {
		return err
	}
	defer at.close()
	if err := at.dir.Remove(at.name, made); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// rotationFindings say by what the file and the folder of its copy are known.
func (e entry) rotationFindings(v environment) (checks.Findings, error) {
	f, err := e.findings(v)
	if err != nil {
		return f, err
	}
	dir, err := hostfs.OpenDir(e.at(e.backupDir()))
	if err != nil {
		return f, fmt.Errorf("opening the folder of the copy: %w", err)
	}
	at := place{dir, "", e.backupDir()}
	defer at.close()
	kept, err := at.folder()
	f.Facts = append(f.Facts, kept)
	return f, err
}

// probeRotate goes by the record's token and by the file being another than
// the preview saw. It compares no values: none is kept to compare with.
func probeRotate(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	e, err := open(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: e.Name}
	v, err := e.read()
	if err != nil {
		return f, err
	}
	at, err := find(v.lines, e.Key)
	if err != nil {
		return f, err
	}
	old, err := find(v.lines, e.OldKey())
	if err != nil {
		return f, err
	}
	r, err := e.readRecord()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	before, known := env.BeforeFact("identity", "")
	set := at >= 0 && v.lines[at].value() != ""
	kept := old >= 0 && v.lines[old].value() != ""
	done := set && (kept || e.Accept == "one-key") && r.Token == env.Token && r.Token != "" && (!known || before.Text != v.identity())
	f.Note = e.Key + " is what it was"
	if done {
		f.Note = e.Key + " rotated " + r.Rotated.Format("2006-01-02 15:04 MST")
		f.Facts = append(f.Facts, fact.At("due", r.Due))
	}
	f.Facts = append(f.Facts, fact.Flag("done", done), fact.Flag("old_kept", kept), fact.Flag("private", v.info.Mode.Perm()&0o077 == 0))
	return f, nil
}
