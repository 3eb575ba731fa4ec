package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Integrity reads the newest finished backup as a restore would.
var Integrity = module(checks.Module{
	Name: "backup.integrity",
	Doc:  "Reads a backup set's newest finished file to its end: gzip checksum, dump trailer, size against the one before",
	Params: append(setParams(),
		checks.Param{Name: "content", Type: checks.TextParam, Default: "auto", OneOf: []string{"auto", "sql", "custom", "any"},
			Doc: "what the backup holds: a plain dump with its last line, a custom-format dump, or anything; auto goes by name and first bytes"},
		checks.Param{Name: "trailer", Type: checks.TextParam, Doc: "last line of a plain dump, for dumps that are not PostgreSQL's", Example: "-- Dump completed"},
		checks.Param{Name: "max_ratio", Type: checks.NumberParam, Default: 500.0, Doc: "most unpacked bytes for one packed, beyond the first GiB; a restore would fill the disk"},
	),
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Worse: fact.Lower, Doc: "whole, by everything that can be told without a restore"},
		{Name: "gzip_ok", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "unpacks to its end with the right checksum and nothing behind it; only for gzipped files"},
		{Name: "trailer_ok", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "ends as a finished dump ends; only for dumps"},
		{Name: "size", Type: fact.Bytes, Worse: fact.Lower, Growth: true, Doc: "length of the file"},
		{Name: "unpacked", Type: fact.Bytes, Optional: true, Doc: "length unpacked"},
		{Name: "size_ratio", Type: fact.Percent, Optional: true, Doc: "length as a share of the backup before; absent without one"},
		{Name: "tables", Type: fact.Count, Worse: fact.Lower, Optional: true, Doc: "tables that a plain dump creates or fills"},
		{Name: "format", Type: fact.Text, Doc: "what it was found to be"},
		{Name: "path", Type: fact.Text, Doc: "the backup that was read"},
		{Name: "problem", Type: fact.Text, Optional: true, Doc: "the first thing wrong with it"},
		{Name: "verified", Type: fact.Time, Doc: "when it was read; an unchanged file is read again after a day"},
	},
	Warn:    "size_ratio < 70% or size_ratio > 200% or tables == 0",
	Fail:    "ok == false",
	Source:  "guide; ratios proposed",
	Timeout: 30 * time.Minute,
	Every:   10 * time.Minute,
	Example: "use: backup.integrity\nwith: {set: db}",
	Run:     runIntegrity,
})

// verifyAgain is after how long an unchanged file is read again: disks rot.
const verifyAgain = 24 * time.Hour

// A verdict on one file is remembered with what would show that it changed.
type remembered struct {
	info    fs.FileInfo
	found   inspection
	options inspectOptions
	at      time.Time
}

func (r remembered) isOf(f file, options inspectOptions, now time.Time) bool {
	return r.info != nil && r.options == options && now.Sub(r.at) < verifyAgain &&
		os.SameFile(r.info, f.info) && r.info.Size() == f.info.Size() && r.info.ModTime().Equal(f.info.ModTime())
}

func runIntegrity(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := openSet(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f, err := s.integrity(ctx, env, args)
	if err := errors.Join(err, s.root.Close()); err != nil {
		return checks.Findings{}, err
	}
	return f, nil
}

func (s *set) integrity(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if len(s.files) == 0 {
		return checks.Findings{}, s.nothing()
	}
	newest := s.files[0]
	options := inspectOptions{content: args.Text("content"), trailer: args.Text("trailer"), maxRatio: args.Number("max_ratio"), name: newest.name}
	last, _ := checks.Remembered[remembered](env.Memory, "verified")
	if !last.isOf(newest, options, clock(env)) {
		found, err := s.inspect(ctx, newest, options)
		if err != nil {
			return checks.Findings{}, err
		}
		last = remembered{newest.info, found, options, clock(env)}
		checks.Remember(env.Memory, "verified", last)
	}
	return s.report(newest, last), nil
}

// nothing says why there is no file to read.
func (s *set) nothing() error {
	switch {
	case len(s.growing) > 0:
		return checks.Failed(checks.NoData, "backup set %s: the only backup, %s, is still being written", s.source.Name, s.growing[0].name)
	case len(s.ignored) > 0:
		return checks.Failed(checks.NoData, "backup set %s: no backup, but %s", s.source.Name, s.ignored[0])
	}
	return checks.Failed(checks.NoData, "backup set %s: no file in %s matches %s", s.source.Name, s.source.Dir, s.source.Glob)
}

func (s *set) inspect(ctx context.Context, f file, options inspectOptions) (inspection, error) {
	opened, err := s.open(f)
	if err != nil {
		return inspection{}, err
	}
	found, err := inspect(ctx, opened, f.info.Size(), options)
	if err == nil {
		var again fs.FileInfo
		if again, err = opened.Stat(); err == nil && (again.Size() != f.info.Size() || !again.ModTime().Equal(f.info.ModTime())) {
			err = checks.Failed(checks.NoData, "it changed while it was read")
		}
	}
	if err := errors.Join(err, opened.Close()); err != nil {
		return inspection{}, fmt.Errorf("reading backup %s: %w", s.path(f), err)
	}
	return found, nil
}

func (s *set) report(newest file, last remembered) checks.Findings {
	found := last.found
	f := checks.Findings{
		Target: s.source.Name,
		Note:   fmt.Sprintf("%s, %s, whole", newest.name, fact.FormatBytes(float64(newest.info.Size()))),
		Detail: append([]string{fmt.Sprintf("%s: %s", s.path(newest), found.format)}, s.ignored...),
		Facts: []fact.Fact{
			fact.Flag("ok", found.problem == ""), fact.Size("size", newest.info.Size()),
			fact.Word("format", found.format), fact.Word("path", s.path(newest)), fact.At("verified", last.at),
		},
	}
	if found.problem != "" {
		f.Note = newest.name + ": " + found.problem
		f.Facts = append(f.Facts, fact.Word("problem", found.problem))
	}
	if found.gzip != nil {
		f.Facts = append(f.Facts, fact.Flag("gzip_ok", *found.gzip), fact.Size("unpacked", found.unpacked))
	}
	if found.trailer != nil {
		f.Facts = append(f.Facts, fact.Flag("trailer_ok", *found.trailer))
	}
	if found.plain && found.problem == "" {
		f.Facts = append(f.Facts, fact.Number("tables", found.tables))
	}
	if len(s.files) > 1 && s.files[1].info.Size() > 0 {
		f.Facts = append(f.Facts, fact.Pct("size_ratio", 100*float64(newest.info.Size())/float64(s.files[1].info.Size())))
		f.Detail = append(f.Detail, "compared with "+s.files[1].name)
	}
	return f
}
