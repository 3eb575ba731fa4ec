package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// archived is what the archiver says of itself.
type archived struct {
	Archived, Failed         float64
	LastArchived, LastFailed string // files
	ArchivedAt, FailedAt     *time.Time
	Command                  string
	At                       time.Time
	Reset                    *time.Time
}

const archiverSQL = `
SELECT archived_count::float8, failed_count::float8, coalesce(last_archived_wal, ''), coalesce(last_failed_wal, ''), last_archived_time, last_failed_time,
       coalesce((SELECT setting FROM pg_settings WHERE name = 'archive_command'), ''), clock_timestamp(), stats_reset
FROM pg_stat_archiver`

// fails reports whether the last attempt went wrong. Failures before the last
// success are history: the count of them never goes down.
func (a archived) fails() bool {
	return a.FailedAt != nil && (a.ArchivedAt == nil || a.FailedAt.After(*a.ArchivedAt))
}

type waitingFiles struct {
	Ready  int
	Oldest *float64 // seconds
}

const readyFilesSQL = `
SELECT count(*)::int, extract(epoch FROM clock_timestamp() - min(modification))::float8 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`

// archiver tells whether and since when archiving fails.
func (s *Server) archiver(ctx context.Context, env checks.Env, now walState, f *checks.Findings) (failing bool, err error) {
	archives := now.ArchiveMode == "always" || now.ArchiveMode == "on" && !now.Recovery
	f.Facts = append(f.Facts, fact.Flag("archiving", archives))
	if !archives {
		f.Detail = append(f.Detail, "archive_mode is "+now.ArchiveMode+": this server archives nothing")
		f.Tables = append(f.Tables, nameValue("archiver", [][2]string{{"archive_mode", now.ArchiveMode}}))
		return false, nil
	}
	a, err := one[archived](ctx, s, "pg.wal", archiverSQL)
	if err != nil {
		return false, err
	}
	found, why, err := part[waitingFiles](ctx, s, "pg.wal ready", readyFilesSQL)
	if err != nil {
		return false, err
	}
	var missing partial
	missing.miss("files that wait to be archived", why)
	f.Detail = append(f.Detail, missing...)
	var oldest *float64
	for _, w := range found {
		f.Facts = append(f.Facts, fact.Number("ready", w.Ready))
		oldest = w.Oldest
	}
	failing = a.fails()
	since := a.failingSince(env.Memory, oldest)
	f.Facts = append(f.Facts, fact.Flag("archiver_ok", !failing), fact.Dur("failing_since", since))
	if last, ok := checks.Remembered[float64](env.Memory, "failed"); ok && a.Failed >= last {
		f.Facts = append(f.Facts, fact.Number("failed", a.Failed-last))
	}
	checks.Remember(env.Memory, "failed", a.Failed)
	if failing {
		f.Note += ", archiving fails"
		f.Detail = append([]string{fmt.Sprintf("archiving of %s has failed for %s at least, %s attempts in all", a.LastFailed, fact.FormatDuration(since), fact.FormatNumber(a.Failed))}, f.Detail...)
	}
	f.Tables = append(f.Tables, a.table(now, found))
	return failing, nil
}

// failingSince is how long archiving has failed at least.
func (a archived) failingSince(memory *checks.Memory, oldest *float64) time.Duration {
	if !a.fails() {
		checks.Remember(memory, "failing", time.Time{})
		return 0
	}
	first, known := checks.Remembered[time.Time](memory, "failing")
	if !known || first.IsZero() {
		first = *a.FailedAt
		checks.Remember(memory, "failing", first)
	}
	return max(a.At.Sub(first), seconds(orZero(oldest)), 0)
}

func (a archived) table(now walState, waiting []waitingFiles) checks.Table {
	at := func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return t.UTC().Format(time.RFC3339) + ", " + fact.FormatDuration(max(0, a.At.Sub(*t)).Round(time.Second)) + " ago"
	}
	lines := [][2]string{
		{"archive_mode", now.ArchiveMode}, {"archived", fact.FormatNumber(a.Archived)}, {"last archived", a.LastArchived}, {"archived at", at(a.ArchivedAt)},
		{"failed", fact.FormatNumber(a.Failed)}, {"last failed", a.LastFailed}, {"failed at", at(a.FailedAt)}, {"counted since", at(a.Reset)},
	}
	for _, w := range waiting {
		lines = append(lines, [2]string{"waiting", fact.FormatNumber(float64(w.Ready))})
		if w.Oldest != nil {
			lines = append(lines, [2]string{"oldest waits for", fact.FormatDuration(seconds(*w.Oldest))})
		}
	}
	if a.Command == "" {
		lines = append(lines, [2]string{"archive_command", "empty, or archive_library does it"})
	}
	return nameValue("archiver", lines)
}

func nameValue(name string, lines [][2]string) checks.Table {
	t := checks.Table{Name: name, Columns: []checks.Column{{Name: "name", Type: fact.Text}, {Name: "value", Type: fact.Text}}}
	for _, line := range lines {
		t.Rows = append(t.Rows, []fact.Value{word(line[0]), word(line[1])})
	}
	return t
}
