package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Archive moves old rows to another table, as one statement: a row is never
// gone before it is kept.
var Archive = module(checks.Module{
	Name:   "pg.archive",
	Doc:    "Moves rows that are older than a cutoff into an archive table, a batch a transaction, the cutoff fixed once",
	Effect: checks.Reversible, Danger: 2, Repeatable: true,
	Crash:  "the batch at work is undone by the server, rows of earlier batches are in the archive; doing it again goes on from there" + givesUpSaid,
	Params: oldRowsParams("archive"),
	Facts:  oldRowsFacts("moved", "rows that left the table and are in the archive"),
	Warn:   "due > 0 or stopped == true", Source: "proposed",
	Timeout: 30 * time.Minute,
	Example: "use: pg.archive\nwith: {entry: audit, batch: 5000}",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		p, err := planOldRows(ctx, env, args, "archive", env.Site.Archive)
		if err != nil {
			return checks.Findings{}, err
		}
		return p.preview("moves"), nil
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		p, err := planOldRows(ctx, env, args, "archive", env.Site.Archive)
		if err != nil {
			return checks.Findings{}, err
		}
		return removeOldRows(ctx, env, args, p, "moved")
	},
	Probe: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probeOldRows(ctx, env, args, "archive", env.Site.Archive)
	},
})

// Purge deletes old rows and keeps nothing of them.
var Purge = module(checks.Module{
	Name:   "pg.purge",
	Doc:    "Deletes for good the rows that are older than a cutoff and meet a condition of the site file, a batch a transaction",
	Effect: checks.Destructive, Danger: 2, Repeatable: true,
	Crash:  "the batch at work is undone by the server, rows of earlier batches are gone; doing it again goes on from there" + givesUpSaid,
	Params: oldRowsParams("purge"),
	Facts:  oldRowsFacts("deleted", "rows that were deleted"),
	Warn:   "due > 0 or stopped == true", Source: "proposed",
	Timeout: 30 * time.Minute,
	Example: "use: pg.purge\nwith: {entry: notifications}",
	Preview: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		p, err := planOldRows(ctx, env, args, "purge", env.Site.Purge)
		if err != nil {
			return checks.Findings{}, err
		}
		f := p.preview("deletes for good")
		f.Detail = slices.Insert(f.Detail, 0, "careful: nothing keeps a copy of these rows but the backups")
		return f, nil
	},
	Run: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		p, err := planOldRows(ctx, env, args, "purge", env.Site.Purge)
		if err != nil {
			return checks.Findings{}, err
		}
		return removeOldRows(ctx, env, args, p, "deleted")
	},
	Probe: func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probeOldRows(ctx, env, args, "purge", env.Site.Purge)
	},
})
