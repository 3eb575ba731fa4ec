package retention

import (
	"context"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Prune removes files that are older than they have to be kept.
var Prune = module(checks.Module{
	Name:   "file.prune",
	Doc:    "Removes the files of a directory that are old enough, exactly those that were previewed",
	Effect: checks.Destructive, Danger: 2, Repeatable: true,
	Crash:  "what was removed by then is gone, the rest stays and is named by the next preview",
	Params: params("*.log*.gz", "30d"),
	Facts: []fact.Spec{
		{Name: "files", Type: fact.Count, Doc: "files that are old enough; after the action, that were removed"},
		{Name: "bytes", Type: fact.Bytes, Doc: "their size"},
		{Name: "changed", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "files that were not what the preview named any more, and were left alone"},
		{Name: "errors", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "files that could not be removed"},
		{Name: "more", Type: fact.Count, Optional: true, Doc: "old enough, and over the bound of one action"},
		{Name: "left", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "previewed files that are still there"},
		{Name: "identity", Type: fact.Text, Label: "file", Optional: true, Doc: "device, inode, size and time by which a file is known again"},
		checks.DoneFact,
	},
	Warn: "changed > 0", Fail: "errors > 0", Source: "guide (30 days); proposed",
	Timeout: checks.DefaultTimeout * 6,
	Example: "use: file.prune\nwith:\n  dir: /var/log/advanced-lms\n  glob: \"*.log*.gz\"\n  older_than: 30d",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		s, err := look(ctx, env, args)
		if err != nil {
			return checks.Findings{}, err
		}
		defer s.close()
		return s.preview("remove"), nil
	},
	Run: prune,
	Probe: func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(env, args, func(held *hostfs.Dir, name string) bool {
			_, err := held.Stat(name)
			return err == nil
		})
	},
})

func prune(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	return each(ctx, env, args, func(held *hostfs.Dir, c candidate) error {
		env.Printf("removing %s", c.name)
		return held.Remove(c.name, c.id)
	})
}

// each does something to every previewed file that is still what it was. It
// goes on over a file that fails, and ends between two when ctx does.
func each(ctx context.Context, env checks.Env, args checks.Args, do func(*hostfs.Dir, candidate) error) (checks.Findings, error) {
	s, err := look(ctx, env, args) // opens the directory again, with all that is asked of it
	if err != nil {
		return checks.Findings{}, err
	}
	defer s.close()
	still, gone := same(s.held, env.Before)
	free := map[string]bool{}
	for _, c := range s.chosen {
		free[c.name] = true
	}
	var done, failed int
	var bytes int64
	f := checks.Findings{Target: s.dir}
	for i, c := range still {
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		env.Report(float64(i), float64(len(still)), c.name)
		if !free[c.name] {
			gone = append(gone, c.name)
			continue
		}
		if err := do(s.held, c); err != nil {
			failed++
			f.Detail = append(f.Detail, fmt.Sprintf("%s: %v", c.name, err))
			continue
		}
		done++
		bytes += c.size
	}
	for _, name := range gone {
		f.Detail = append(f.Detail, name+" was not what the preview named any more, or is in use, and was left alone")
	}
	f.Note = fmt.Sprintf("%d files, %s", done, fact.SizeValue(bytes).String())
	f.Facts = []fact.Fact{fact.Number("files", done), fact.Size("bytes", bytes), fact.Number("changed", len(gone)), fact.Number("errors", failed)}
	return f, nil
}

// probe looks which of the previewed files are still there.
func probe(env checks.Env, args checks.Args, there func(*hostfs.Dir, string) bool) (checks.Findings, error) {
	dir, err := directory(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	held, err := hold(env, dir)
	if err != nil {
		return checks.Findings{}, err
	}
	defer held.Close() //nolint:errcheck // opened for looking
	named, left := 0, 0
	for _, f := range env.Before {
		if f.Name != "identity" {
			continue
		}
		named++
		if there(held, f.Label) {
			left++
		}
	}
	return checks.Findings{
		Target: dir, Note: fmt.Sprintf("%d of %d previewed files are left", left, named),
		Facts: []fact.Fact{fact.Flag(checks.DoneFact.Name, left == 0), fact.Number("left", left), fact.Number("files", named), fact.Size("bytes", int64(0))},
	}, nil
}
