package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// createDanger is that of a file more in a directory.
const createDanger = 1

// Create makes a backup and does not call it one before it has read it.
var Create = module(checks.Module{
	Name:   "backup.create",
	Doc:    "Makes a new backup in a backup set with pg_dump or with the site's own script, reads it to its end and records its checksum",
	Effect: checks.Reversible, Danger: createDanger, Reach: checks.Network, Repeatable: true,
	Crash: "pg_dump ends with this process; its unfinished file, which no backup's pattern matches, is removed by the next run; earlier backups are untouched. A script of the site's own may go on",
	Params: []checks.Param{
		{Name: "set", Type: checks.TextParam, Names: "backups", Doc: "backup set of the site file that gets the backup; without it the only one there is", Example: "db"},
		{Name: "format", Type: checks.TextParam, Default: formatAuto, OneOf: []string{formatAuto, formatCustom, formatPlain},
			Doc: "custom: pg_dump's own; plain: gzipped SQL; auto: plain where the set's pattern ends in .gz, custom elsewhere"},
		{Name: "command", Type: checks.TextParam, Names: "commands", Doc: "the site's own script instead of pg_dump; a new file of the set is expected of it, whatever its exit code says", Example: "full-backup"},
	},
	Facts: []fact.Spec{
		{Name: "verified", Type: fact.Bool, Worse: fact.Lower, Doc: "the new backup was read to its end and is whole"},
		{Name: "duration", Type: fact.Duration, Worse: fact.Higher, Doc: "from the start to the last byte on disk"},
		{Name: "size", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Growth: true, Doc: "length of the new backup"},
		{Name: "size_ratio", Type: fact.Percent, Optional: true, Doc: "length as a share of the backup before; absent without one"},
		{Name: "path", Type: fact.Text, Optional: true, Doc: "the new backup; absent if none was made"},
		{Name: "sha256", Type: fact.Text, Optional: true, Doc: "its checksum, which also lies next to it"},
		{Name: "tables", Type: fact.Count, Worse: fact.Lower, Optional: true, Doc: "tables that a plain dump creates or fills"},
		{Name: "problem", Type: fact.Text, Optional: true, Doc: "the first thing wrong with the new backup; one made with pg_dump is not kept then"},
		{Name: "exit", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "exit code of the site's own script"},
		{Name: "free", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Doc: "of a preview: what the disk has left"},
		{Name: "needed", Type: fact.Bytes, Optional: true, Doc: "of a preview: what the new backup may take"},
		{Name: "leftovers", Type: fact.Count, Unit: "files", Optional: true, Doc: "of a preview: unfinished files of earlier runs that will be removed"},
		folderSpec,
		checks.DoneFact,
	},
	Warn:    "size_ratio < 70% or size_ratio > 200% or tables == 0",
	Fail:    "verified == false or exit != 0",
	Source:  "guide; ratios proposed",
	Timeout: 30 * time.Minute,
	Example: "use: backup.create\nwith: {set: db}\nfail: verified == false",
	Preview: previewCreate, Run: create, Probe: probeCreate,
})

func previewCreate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := planned(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	f := p.findings()
	f.Fingerprint, f.Locks = p.fingerprint(), p.locks()
	f.Detail = append(p.steps(), p.cautions()...)
	folder, err := p.folder()
	if err != nil {
		return checks.Findings{}, err
	}
	f.Facts = []fact.Fact{
		fact.Size("free", p.free), fact.Size("needed", p.needed()), fact.Number("leftovers", len(p.removable())), folder,
	}
	f.Note = fmt.Sprintf("a new backup in %s, %s free", p.set.source.Dir, fact.FormatBytes(float64(p.free)))
	return f, nil
}

func create(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := planned(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer p.close()
	if err := p.isPreviewed(env); err != nil {
		return checks.Findings{}, err
	}
	if err := p.removeLeftovers(env); err != nil {
		return checks.Findings{}, err
	}
	var made product
	if p.command != nil {
		made, err = p.runScript(ctx, env, args)
	} else {
		made, err = p.dump(ctx, env)
	}
	if err != nil {
		return checks.Findings{}, err
	}
	return p.report(made), nil
}

// A product is what came of making a backup. Without a name none was made, or
// it was not kept.
type product struct {
	name    string
	size    int64
	sum     string
	found   inspection
	took    time.Duration
	exit    *int
	nothing string // why there is nothing to look at
}

func (p *plan) report(made product) checks.Findings {
	whole := made.name != "" && made.found.problem == "" && made.nothing == ""
	f := p.findings()
	f.Facts = []fact.Fact{fact.Flag("verified", whole), fact.Dur("duration", made.took), fact.Flag("done", whole)}
	problem := made.nothing
	if problem == "" {
		problem = made.found.problem
		f.Facts = append(f.Facts, fact.Size("size", made.size))
		if made.found.plain && problem == "" {
			f.Facts = append(f.Facts, fact.Number("tables", made.found.tables))
		}
		if last, ok := p.last(); ok && last.info.Size() > 0 {
			f.Facts = append(f.Facts, fact.Pct("size_ratio", 100*float64(made.size)/float64(last.info.Size())))
			f.Detail = append(f.Detail, "compared with "+last.name)
		}
	}
	f.Note = fmt.Sprintf("%s, %s, whole, in %s", made.name, fact.FormatBytes(float64(made.size)), fact.FormatDuration(made.took))
	if problem != "" {
		f.Facts, f.Note = append(f.Facts, fact.Word("problem", problem)), problem
	}
	if made.name != "" {
		f.Facts = append(f.Facts, fact.Word("path", p.set.path(file{name: made.name})), fact.Word("sha256", made.sum))
	}
	if made.exit != nil {
		f.Facts = append(f.Facts, fact.Number("exit", *made.exit))
	}
	return f
}

// probeCreate looks for the file that the action recorded and holds it to its
// checksum. Nothing is asked of the server.
func probeCreate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := openSet(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f, err := s.recorded(ctx, env.Token)
	if err := errors.Join(err, s.root.Close()); err != nil {
		return checks.Findings{}, err
	}
	return f, nil
}

func (s *set) recorded(ctx context.Context, token string) (checks.Findings, error) {
	f := checks.Findings{Target: s.source.Name, Facts: []fact.Fact{fact.Flag("done", false)}}
	r, ok, err := recordOf(s.root, token)
	if err != nil {
		return f, err
	}
	if !ok {
		f.Note = "no backup that this action recorded"
		return f, nil
	}
	sum, size, err := s.sumOf(ctx, r.file)
	if err != nil {
		return f, fmt.Errorf("backup %s: %w", s.path(file{name: r.file}), err)
	}
	if sum != r.sum {
		f.Note = r.file + " is not what was written: its checksum is another"
		return f, nil
	}
	f.Note = r.file + " is there, with the recorded checksum"
	f.Facts = []fact.Fact{
		fact.Flag("done", true), fact.Word("path", s.path(file{name: r.file})),
		fact.Word("sha256", sum), fact.Size("size", size),
	}
	return f, nil
}

// sumOf reads a backup under its own name; no link is followed.
func (s *set) sumOf(ctx context.Context, name string) (sum string, size int64, err error) {
	opened, err := openRegular(s.root, name)
	if err != nil {
		return "", 0, err
	}
	if info, statErr := opened.Stat(); statErr == nil {
		size = info.Size()
	}
	sum, err = checksumOf(ctx, opened)
	return sum, size, errors.Join(err, opened.Close())
}
