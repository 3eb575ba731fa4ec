package postgres

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// RestoreTest proves a backup by using it.
var RestoreTest = module(checks.Module{
	Name: "pg.restore_test",
	Doc: "Restores a dump into a new, empty database of a server that is not production, as a role that can do nothing " +
		"but create databases, looks at what came of it, and drops it again",
	Effect: checks.Reversible, Danger: 2, Repeatable: true,
	Crash: "the server rolls back the restore; the scratch database stays, marked with the token in its name and comment, and is dropped by the next restore test" + givesUpSaid,
	Params: []checks.Param{
		{Name: "file", Type: checks.TextParam, Doc: "the dump: plain, gzipped, or of pg_dump's custom or directory format; instead of a set", Example: "/var/backups/lms/db_backup_20261123.sql.gz"},
		{Name: "set", Type: checks.TextParam, Names: "backups", Example: "db",
			Doc: "backup set of the site file, whose newest file is restored; without it and without file the only one there is. " +
				"The copy is made of the database that its template: names, which has the extensions that the role may not " +
				"create; without one, of template0"},
		{Name: "database", Type: checks.TextParam, Doc: "name of the scratch database, which must not exist; opsdeck_verify_ and the token without it", Check: checkScratchName},
		{Name: "min_tables", Type: checks.NumberParam, Default: 31.0, Doc: "tables that the copy must have at least"},
		{Name: "min_rows", Type: checks.MapParam, Default: map[string]any{"users": 1}, Doc: "rows that tables must have at least", Example: "{users: 1, courses: 1}", Check: checkMinRows},
		{Name: "newest", Type: checks.TextParam, Doc: "column that tells when a row was made; the age of the newest row is reported", Example: "audit_logs.created_at", Check: checkNewest},
		{Name: "source", Type: checks.TextParam, Default: "main", Doc: "connection whose tables the copy is compared with; none: no comparison", Example: "main"},
		{Name: "tolerance", Type: checks.PercentParam, Default: "80%", Doc: "share of the source's rows that a table of the copy must have at least"},
		{Name: "extensions", Type: checks.TextsParam, Default: []string{onlooker}, Example: "[pageinspect]",
			Doc: "extensions that are left out of the copy, because nothing in it needs them; " +
				"pg_stat_statements is left out in any case"},
		{Name: "keep_on_failure", Type: checks.BoolParam, Default: false, Doc: "keeps the scratch database if the test fails, to look at it; it holds the dump's data"},
	},
	Facts: []fact.Spec{
		{Name: "errors", Type: fact.Count, Worse: fact.Higher, Doc: "of the restore: SQL errors, and 1 for a dump that is not whole or could not be read"},
		{Name: "tables", Type: fact.Count, Worse: fact.Lower, Doc: "ordinary and partitioned tables of the copy; views do not count"},
		{Name: "enough_tables", Type: fact.Bool, Worse: fact.Lower, Doc: "as many tables as min_tables says"},
		{Name: "rows", Type: fact.Count, Label: "table", Worse: fact.Lower, Optional: true, Doc: "rows counted in the copy"},
		{Name: "enough_rows", Type: fact.Bool, Label: "table", Worse: fact.Lower, Optional: true, Doc: "as many rows as min_rows says; a table that is missing has none"},
		{Name: "newest_row_age", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "age of the newest row, if newest names a column"},
		{Name: "vs_source", Type: fact.Percent, Label: "table", Worse: fact.Lower, Optional: true, Doc: "rows of the copy as a share of the source's estimate"},
		{Name: "short", Type: fact.Count, Unit: "tables", Worse: fact.Higher, Optional: true, Doc: "tables whose share of the source's rows is below the tolerance"},
		{Name: "dump_age", Type: fact.Duration, Worse: fact.Higher, Doc: "how long ago the dump was last written to"},
		{Name: "dump_size", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Doc: "length of the dump; absent for a directory"},
		{Name: "sha256", Type: fact.Text, Optional: true, Doc: "checksum of the dump that was restored; absent for a directory"},
		{Name: "path", Type: fact.Text, Doc: "the dump"},
		{Name: "extensions", Type: fact.Count, Optional: true, Doc: "extensions of the copy"},
		{Name: "invalid_indexes", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "indexes of the copy that queries do not use"},
		{Name: "corrupt_indexes", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "B-tree indexes of the copy that amcheck finds wrong; absent where amcheck cannot be used"},
		{Name: "restore", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "how long the restore took"},
		{Name: "rto", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "from the start to the last check of the copy: what a recovery would take at least"},
		{Name: "dropped", Type: fact.Bool, Worse: fact.Lower, Doc: "no scratch database of this test is left"},
		{Name: "problem", Type: fact.Text, Optional: true, Doc: "the first thing that went wrong"},
		{Name: "running", Type: fact.Bool, Optional: true, Doc: "of a probe: the test is still at work on the server"},
		{Name: "leftovers", Type: fact.Count, Unit: "databases", Worse: fact.Higher, Optional: true, Doc: "of a preview: scratch databases of tests that died, which will be dropped"},
		checks.DoneFact,
	},
	Warn:   "short > 0",
	Fail:   "errors > 0 or enough_tables == false or enough_rows == false or newest_row_age > 48h or dump_age > 48h or invalid_indexes > 0 or corrupt_indexes > 0 or dropped == false",
	Source: "guide; ages, tolerance and indexes proposed", Timeout: 30 * time.Minute,
	Example: "use: pg.restore_test\nwith: {set: db, min_rows: {users: 1, courses: 1}}",
	Preview: previewRestore, Run: restoreTest, Probe: probeRestore,
})

func previewRestore(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := planRestore(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.dump.close()
	found, err := p.scan(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target:      p.connection,
		Fingerprint: p.verify.Identifier + "@" + p.server.Target() + " " + p.dump.identity(),
		Locks:       []string{"file:" + p.dump.path},
		Note:        fmt.Sprintf("%s into a new database of %s", filepath.Base(p.dump.path), p.server.Target()),
		Facts: append(p.dump.facts(env),
			fact.Number("leftovers", len(droppable(p.leftovers)))),
	}
	f.Detail = append(p.steps(found), p.cautions(found)...)
	return f, nil
}

func restoreTest(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	p, err := planRestore(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.dump.close()
	found, err := p.scan(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	t := &trial{plan: p, began: began, dropped: true}
	if found.damage != "" {
		t.errors, t.problem = 1, "the dump is not whole: "+found.damage
	} else if err := t.inScratch(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	if err := markTested(env, p.scratch); err != nil {
		return checks.Findings{}, err
	}
	return t.findings(env), nil
}

// A trial is one restore and what came of it.
type trial struct {
	plan    *restorePlan
	began   time.Time
	errors  int
	problem string
	restore time.Duration
	rto     time.Duration
	copy    *copyFindings // nil: not restored
	dropped bool
}

// failed: what keep_on_failure keeps the scratch database for.
func (t *trial) failed() bool {
	return t.errors > 0 || t.copy == nil || !t.copy.enough()
}

// inScratch makes the scratch database, restores into it, looks at it and
// drops it, whatever happens and however short the time is.
func (t *trial) inScratch(ctx context.Context, env checks.Env) (err error) {
	p := t.plan
	admin, err := p.server.dedicated(ctx, env.Token, "")
	if err != nil {
		return err
	}
	defer admin.close()
	if err := p.dropLeftovers(ctx, env, admin); err != nil {
		return err
	}
	if err := p.createScratch(ctx, env, admin); err != nil {
		return err
	}
	t.dropped = false
	defer func() {
		if err == nil && p.keep && t.failed() {
			env.Printf("keeping %s, which holds the dump's data, to be looked at", p.scratch)
			return
		}
		dropErr := p.dropScratch(ctx, env)
		t.dropped = dropErr == nil
		if err != nil {
			err = errors.Join(err, dropErr)
		} else if dropErr != nil && t.problem == "" {
			t.problem = dropErr.Error()
		}
	}()
	if err := t.feed(ctx, env); err != nil || t.errors > 0 {
		return err
	}
	env.Report(1, 1, "looking at the copy")
	t.copy, err = p.examine(ctx, env)
	t.rto = time.Since(t.began)
	return err
}

func (t *trial) findings(env checks.Env) checks.Findings {
	p := t.plan
	f := checks.Findings{Target: p.connection, Facts: append(p.dump.facts(env),
		fact.Number("errors", t.errors), fact.Flag("dropped", t.dropped), fact.Flag("done", true))}
	if t.restore > 0 {
		f.Facts = append(f.Facts, fact.Dur("restore", t.restore))
	}
	f.Detail = []string{p.passedOver()}
	if t.copy == nil {
		f.Facts = append(f.Facts, fact.Number("tables", 0), fact.Flag("enough_tables", false), fact.Word("problem", t.problem))
		f.Note = t.problem
		return f
	}
	f.Facts = append(append(f.Facts, t.copy.facts...), fact.Dur("rto", t.rto))
	f.Detail, f.Tables = append(f.Detail, t.copy.detail...), t.copy.tables
	f.Note = fmt.Sprintf("%s restored in %s, %d tables", filepath.Base(p.dump.path), fact.FormatDuration(t.restore), t.copy.count)
	if t.problem != "" {
		f.Facts, f.Note = append(f.Facts, fact.Word("problem", t.problem)), t.problem
	}
	return f
}

// testedFile in the action's own directory says that the test has come to its
// end: the database itself is gone then, as if there never had been one.
const testedFile = "restore-tested"

func markTested(env checks.Env, scratch string) error {
	if env.Dir == "" {
		return checks.Failed(checks.Internal, "no private directory for the restore test")
	}
	if err := hostfs.WriteAtomic(filepath.Join(env.Dir, testedFile), []byte(env.Token+" "+scratch+"\n"), 0o600); err != nil {
		return fmt.Errorf("recording the restore test: %w", err)
	}
	return nil
}

// probeRestore looks whether the test came to its end and left nothing.
func probeRestore(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	env.Connection = verifyConnection(env)
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	all, err := s.scratches(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	busy, err := s.atWork(ctx, env.Token)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: env.Connection, Note: "no scratch database is left"}
	left := false
	for _, d := range all {
		if d.Token() == env.Token {
			left = true
			f.Note = "the scratch database " + d.Name + " is left; the next restore test drops it"
		}
	}
	tested := wasTested(env)
	busy = busy && !tested // its sessions may take a moment to be gone
	if !tested && !left {
		f.Note = "the test did not come to its end, and left nothing"
	}
	f.Facts = []fact.Fact{fact.Flag("done", tested), fact.Flag("dropped", !left), fact.Flag("running", busy)}
	return f, nil
}

func wasTested(env checks.Env) bool {
	if env.Dir == "" || env.Token == "" {
		return false
	}
	text, err := hostfs.ReadNoFollow(filepath.Join(env.Dir, testedFile), 4<<10)
	return err == nil && strings.HasPrefix(string(text), env.Token+" ")
}
