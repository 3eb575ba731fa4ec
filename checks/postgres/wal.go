package postgres

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// WAL watches the write-ahead log: how fast it grows, how much of it lies
// there, whether it is archived, and when its disk is full if somebody keeps it.
var WAL = module(checks.Module{
	Name: "pg.wal",
	Doc:  "Rates the write-ahead log, measures pg_wal, tells since when archiving fails, and when the disk is full if something keeps WAL",
	Params: []checks.Param{
		{Name: "sample", Type: checks.DurationParam, Default: "1s", Doc: "how long the first run waits between its two samples; later runs use the time since the last", Check: upTo(5 * time.Second)},
	},
	Facts: []fact.Spec{
		{Name: "wal_rate", Type: fact.Bytes, Unit: "/s", Doc: "WAL written a second, received on a standby; over the last 5 minutes at most", Usual: true, Optional: true},
		{Name: "measured", Type: fact.Duration, Doc: "the interval of the rate", Optional: true},
		{Name: "wal_size", Type: fact.Bytes, Doc: "size of the files in pg_wal; absent to a role without pg_monitor", Worse: fact.Higher, Optional: true},
		{Name: "of_max", Type: fact.Percent, Doc: "that size as a share of max_wal_size and wal_keep_size together, the size that the server aims at", Worse: fact.Higher, Optional: true},
		{Name: "archiving", Type: fact.Bool, Doc: "this server archives: archive_mode is on, and it is the primary, or always"},
		{Name: "archiver_ok", Type: fact.Bool, Doc: "the last attempt to archive did not fail; absent where nothing is archived", Worse: fact.Lower, Optional: true},
		{Name: "failing_since", Type: fact.Duration, Doc: "how long archiving has failed, at least: by the oldest file that waits, else by what was seen from here; 0 if it does not", Worse: fact.Higher, Optional: true},
		{Name: "ready", Type: fact.Count, Unit: "files", Doc: "files that wait to be archived", Worse: fact.Higher, Optional: true},
		{Name: "failed", Type: fact.Count, Doc: "failed attempts since the last look", Worse: fact.Higher, Optional: true},
		{Name: "disk_used", Type: fact.Percent, Doc: "space in use on the disk of pg_wal; absent if the server is on another host", Worse: fact.Higher, Optional: true},
		{Name: "disk_free", Type: fact.Bytes, Doc: "space left there", Worse: fact.Lower, Optional: true},
		{Name: "hours_left", Type: fact.Duration, Doc: "time until that disk is full at the present rate; only while a failing archiver or an unread slot keeps WAL, and by a rate of 30 s at least", Worse: fact.Lower, Optional: true},
	},
	Warn:   "archiver_ok == false or ready > 10 or of_max > 150% or disk_used > 80% or hours_left < 24h",
	Fail:   "failing_since > 5m or ready > 100 or of_max > 300% or disk_used > 90% or hours_left < 3h",
	Source: "pgmonitor (300 s), pg-healthcheck; the rest: proposed",
	Least:  4 * time.Second, Window: rateWindow,
	Timeout: 9 * time.Second, Every: 30 * time.Second,
	Example: "use: pg.wal\nfail: failing_since > 5m or ready > 100",
	Run:     wal,
})

func wal(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	now, rate, took, known, err := s.walPace(ctx, "pg.wal", args.Duration("sample"))
	if err != nil {
		return f, err
	}
	if known {
		f.Note, f.Over = fact.FormatBytes(rate)+"/s", took
		f.Facts = append(f.Facts, fact.Size("wal_rate", rate), fact.Dur("measured", took))
	}
	if err := s.walFiles(ctx, now, &f); err != nil {
		return f, err
	}
	failing, err := s.archiver(ctx, env, now, &f)
	if err != nil {
		return f, err
	}
	s.room(now, rate, known && took >= rateLasting && (failing || now.InactiveSlots > 0), &f)
	return f, nil
}

type walFiles struct {
	Files int
	Size  float64
}

const walFilesSQL = `SELECT count(*)::int, coalesce(sum(size), 0)::float8 FROM pg_ls_waldir()`

// walFiles measures the directory.
func (s *Server) walFiles(ctx context.Context, now walState, f *checks.Findings) error {
	found, why, err := part[walFiles](ctx, s, "pg.wal size", walFilesSQL)
	if err != nil {
		return err
	}
	var missing partial
	missing.miss("size of pg_wal", why)
	f.Detail = append(f.Detail, missing...)
	for _, w := range found {
		f.Facts = append(f.Facts, fact.Size("wal_size", w.Size), fact.Pct("of_max", 100*w.Size/max(1, now.Keep)))
		f.Note += fmt.Sprintf(" (%s in %d files)", fact.FormatBytes(w.Size), w.Files)
		f.Detail = append(f.Detail, fmt.Sprintf("the server aims at %s of WAL (max_wal_size and wal_keep_size)", fact.FormatBytes(now.Keep)))
	}
	return nil
}

// room tells of the disk of pg_wal, and when it is full at that rate.
func (s *Server) room(now walState, rate float64, kept bool, f *checks.Findings) {
	d := s.walDisk(now)
	if d.free < 0 {
		f.Detail = append(f.Detail, "disk of pg_wal not known: "+d.why)
		return
	}
	f.Facts = append(f.Facts, fact.Size("disk_free", d.free))
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err == nil && st.Blocks > 0 {
		inUse := float64(st.Blocks - st.Bfree)
		f.Facts = append(f.Facts, fact.Pct("disk_used", 100*inUse/(inUse+float64(st.Bavail))))
	}
	if kept && rate > 0 {
		left := untilFull(d.free, rate)
		f.Facts = append(f.Facts, fact.Dur("hours_left", left))
		f.Detail = append(f.Detail, fmt.Sprintf("WAL is kept by %d unread slots or a failing archiver: at %s/s the %s that are free last %s",
			now.InactiveSlots, fact.FormatBytes(rate), fact.FormatBytes(d.free), fact.FormatDuration(left)))
	}
}

// longestLeft bounds an extrapolation: beyond it "no end in sight" is meant.
const longestLeft = 365 * 24 * time.Hour

// untilFull is how long that many bytes last at a rate.
func untilFull(free, perSecond float64) time.Duration {
	if left := free / perSecond; left < longestLeft.Seconds() {
		return seconds(left)
	}
	return longestLeft
}
