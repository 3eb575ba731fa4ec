package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Fresh reports the age of the newest finished backup of a set.
var Fresh = module(checks.Module{
	Name:   "backup.fresh",
	Doc:    "Reports the age of a backup set's newest finished file, and whether a second place has it",
	Params: setParams(),
	Facts: []fact.Spec{
		{Name: "found", Type: fact.Bool, Worse: fact.Lower, Doc: "whether there is a finished backup at all"},
		{Name: "age", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "age of the newest finished backup; absent if there is none"},
		{Name: "count", Type: fact.Count, Unit: "files", Worse: fact.Lower, Doc: "finished backups"},
		{Name: "size", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Doc: "size of the newest finished backup"},
		{Name: "path", Type: fact.Text, Optional: true, Doc: "the newest finished backup"},
		{Name: "growing", Type: fact.Bool, Doc: "whether a backup is being written, or lacks its marker"},
		{Name: "second", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "whether the second place has the newest backup in the same size; only for a set that names one"},
	},
	Warn:    "age > 26h or second == false",
	Fail:    "age > 48h or found == false",
	Source:  "guide; ages proposed",
	Timeout: 30 * time.Second,
	Every:   5 * time.Minute,
	Example: "use: backup.fresh\nwith: {set: db}",
	Run:     runFresh,
})

func runFresh(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := openSet(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f, err := s.fresh()
	if err := errors.Join(err, s.root.Close()); err != nil {
		return checks.Findings{}, err
	}
	return f, nil
}

func (s *set) fresh() (checks.Findings, error) {
	f := checks.Findings{
		Target: s.source.Name,
		Note:   "no finished backup",
		Detail: s.ignored,
		Facts: []fact.Fact{
			fact.Flag("found", len(s.files) > 0), fact.Number("count", len(s.files)), fact.Flag("growing", len(s.growing) > 0),
		},
		Tables: []checks.Table{s.table()},
	}
	for _, g := range s.growing {
		f.Detail = append(f.Detail, g.name+": still being written")
	}
	if len(s.files) == 0 {
		return f, nil
	}
	newest := s.files[0]
	age := max(0, s.openedAt.Sub(newest.at))
	f.Note = fmt.Sprintf("%s old, %s", fact.FormatDuration(age.Round(time.Minute)), fact.FormatBytes(float64(newest.info.Size())))
	f.Facts = append(f.Facts, fact.Dur("age", age), fact.Size("size", newest.info.Size()), fact.Word("path", s.path(newest)))
	f.Detail = append(f.Detail, fmt.Sprintf("age of %s by %s", newest.name, newest.why))
	if s.source.Second == "" {
		return f, nil
	}
	second, why, err := inSecond(s.source.Second, newest)
	if err != nil {
		return checks.Findings{}, fmt.Errorf("second place of backup set %s: %w", s.source.Name, err)
	}
	f.Facts = append(f.Facts, fact.Flag("second", second))
	if why != "" {
		f.Detail = append(f.Detail, why)
	}
	return f, nil
}

// inSecond reports whether the second place holds the backup in the same size.
func inSecond(dir string, f file) (same bool, why string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, "", err
	}
	name := path.Base(f.name)
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Sprintf("%s is not in %s", name, dir), root.Close()
	case err != nil:
		return false, "", errors.Join(err, root.Close())
	case !info.Mode().IsRegular() || info.Size() != f.info.Size():
		return false, fmt.Sprintf("%s in %s has %d bytes, not %d", name, dir, info.Size(), f.info.Size()), root.Close()
	}
	return true, "", root.Close()
}

// tableRows is how many backups the table shows.
const tableRows = 10

func (s *set) table() checks.Table {
	t := checks.Table{Name: "backups", Columns: []checks.Column{
		{Name: "name", Type: fact.Text}, {Name: "made", Type: fact.Time}, {Name: "size", Type: fact.Bytes}, {Name: "state", Type: fact.Text},
	}}
	row := func(f file, state string) {
		if len(t.Rows) < tableRows {
			t.Rows = append(t.Rows, []fact.Value{
				fact.WordValue(f.name), fact.TimeValue(f.at.In(s.zone)), fact.SizeValue(f.info.Size()), fact.WordValue(state)})
		}
	}
	for _, f := range s.growing {
		row(f, "growing")
	}
	for _, f := range s.files {
		row(f, "finished")
	}
	return t
}
