package secret

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Grace is the reminder that outlives the run of a rotation: it goes by what is
// in the files, and by the record that the rotation left beside them.
var Grace = module(checks.Module{
	Name: "secret.grace",
	Doc:  "Finds old values of rotated secrets that are still accepted, and how long ago they should have been removed",
	Facts: []fact.Spec{
		{Name: "pending", Type: fact.Bool, Label: "secret", Doc: "the file still has the old value"},
		{Name: "overdue", Type: fact.Duration, Label: "secret", Worse: fact.Higher, Doc: "how long the grace period has been over; 0 within it and with nothing pending"},
		{Name: "due", Type: fact.Time, Label: "secret", Optional: true, Doc: "when the old value has to be removed"},
	},
	Warn: "overdue > 0s", Fail: "overdue > 7d", Source: "guide (7 days of grace); proposed",
	Every:   time.Hour,
	Example: "use: secret.grace\nwarn: overdue > 0s",
	Run:     grace,
})

func grace(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	if len(env.Site.Secrets) == 0 {
		return checks.Findings{}, checks.NotHere{What: "no secrets in the site file"}
	}
	var f checks.Findings
	pending := 0
	for _, name := range slices.Sorted(maps.Keys(env.Site.Secrets)) {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		e := entry{env.Site.Secrets[name], env.Root}
		v, err := e.read()
		if err != nil {
			return f, err
		}
		at, err := find(v.lines, e.OldKey())
		if err != nil {
			return f, err
		}
		var over time.Duration
		if at >= 0 {
			pending++
			r, err := e.readRecord()
			if errors.Is(err, fs.ErrNotExist) {
				return f, checks.Failed(checks.NoData, "%s has %s, and no record says since when", e.File, e.OldKey())
			}
			if err != nil {
				return f, err
			}
			over = max(0, clock(env).Sub(r.Due))
			f.Facts = append(f.Facts, fact.At("due", r.Due).On(name))
			f.Detail = append(f.Detail, fmt.Sprintf("%s: %s in %s, to be removed from %s on", name, e.OldKey(), e.File, r.Due.Format("2006-01-02 15:04 MST")))
		}
		f.Facts = append(f.Facts, fact.Flag("pending", at >= 0).On(name), fact.Dur("overdue", over).On(name))
	}
	f.Note = fmt.Sprintf("%d of %d secrets have an old value", pending, len(env.Site.Secrets))
	return f, nil
}
