package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Checkpoints tells whether checkpoints come by the clock or are forced by the
// amount of WAL, and who writes: the checkpointer, the background writer, or,
// which slows them down, the sessions themselves.
var Checkpoints = module(checks.Module{
	Name: "pg.checkpoints",
	Doc:  "Counts timed and requested checkpoints in an interval, what checkpointer, background writer and sessions write, and the server's I/O by who does it",
	Params: []checks.Param{
		{Name: "window", Type: checks.DurationParam, Default: "1h", Doc: "how far back to compare: at least this once the check has run so long, and at most twice", Check: upTo(24 * time.Hour)},
	},
	Facts: []fact.Spec{
		{Name: "timed", Type: fact.Count, Unit: "checkpoints", Doc: "begun because checkpoint_timeout was over, in the interval"},
		{Name: "requested", Type: fact.Count, Unit: "checkpoints", Doc: "begun because of the amount of WAL or by a command, in the interval", Worse: fact.Higher},
		{Name: "requested_share", Type: fact.Percent, Doc: "requested ones as a share of all; absent below 3 checkpoints", Worse: fact.Higher, Optional: true},
		{Name: "last", Type: fact.Duration, Doc: "since the last completed checkpoint began; absent if the server names none", Worse: fact.Higher, Optional: true},
		{Name: "by_checkpointer", Type: fact.Bytes, Doc: "written by checkpoints in the interval"},
		{Name: "by_bgwriter", Type: fact.Bytes, Doc: "written by the background writer in the interval"},
		{Name: "by_backends", Type: fact.Bytes, Doc: "written by sessions themselves in the interval", Worse: fact.Higher, Optional: true},
		{Name: "halted", Type: fact.Count, Doc: "times that the background writer stopped at bgwriter_lru_maxpages in the interval", Worse: fact.Higher},
		{Name: "interval", Type: fact.Duration, Doc: "the interval: since the earlier look, else since the statistics were reset", Optional: true},
		{Name: "delta", Type: fact.Bool, Doc: "an earlier look was there to compare with"},
		{Name: "reset", Type: fact.Bool, Doc: "the statistics were reset since the last look: this one compares with nothing"},
	},
	Warn: "requested_share > 50%", Source: "postgres_exporter's mixin: less than 50 % timed",
	Window: time.Hour, SinceReset: true,
	Timeout: 5 * time.Second, Every: 10 * time.Second,
	Example: "use: pg.checkpoints\nwarn: requested_share > 50%",
	Run:     checkpoints,
})

// fewCheckpoints: below these a share says nothing.
const fewCheckpoints = 3

// writeCounters are the server's counters since their reset. NaN is what this
// version does not count there.
type writeCounters struct {
	Timed, Requested, WriteTime, SyncTime    float64 // times in ms
	ByCheckpointer, ByBackground, ByBackends float64 // blocks
	Halted, Allocated                        float64
	Reset                                    *time.Time
	At                                       time.Time
	Block                                    float64 // bytes
	LastCheckpoint                           *time.Time
}

// writeCountersSQL: version 17 took the checkpointer's out of the background
// writer's, and the sessions' own writes are in pg_stat_io since 16.
var writeCountersSQL = byVersion{
	{170000, `SELECT c.num_timed::float8, c.num_requested::float8, c.write_time, c.sync_time, c.buffers_written::float8, b.buffers_clean::float8,
       coalesce((SELECT sum(writes) FROM pg_stat_io WHERE object = 'relation' AND backend_type NOT IN ('checkpointer', 'background writer')), 0)::float8,
       b.maxwritten_clean::float8, b.buffers_alloc::float8, greatest(c.stats_reset, b.stats_reset, (SELECT max(stats_reset) FROM pg_stat_io)), clock_timestamp(),
       current_setting('block_size')::float8, (SELECT checkpoint_time FROM pg_control_checkpoint()) FROM pg_stat_checkpointer c, pg_stat_bgwriter b`},
	{0, `SELECT checkpoints_timed::float8, checkpoints_req::float8, checkpoint_write_time, checkpoint_sync_time, buffers_checkpoint::float8, buffers_clean::float8,
       buffers_backend::float8, maxwritten_clean::float8, buffers_alloc::float8, stats_reset, clock_timestamp(),
       current_setting('block_size')::float8, (SELECT checkpoint_time FROM pg_control_checkpoint()) FROM pg_stat_bgwriter`},
}

// writeLook is one look at all of it.
type writeLook struct {
	writeCounters
	io map[ioKey]ioCounters
}

// follows reports whether the counters went on from those of an earlier look.
func (w writeLook) follows(last writeLook) bool {
	if (w.Reset == nil) != (last.Reset == nil) || w.Reset != nil && !w.Reset.Equal(*last.Reset) {
		return false
	}
	return w.At.After(last.At) && w.Timed >= last.Timed && w.Requested >= last.Requested && w.ByCheckpointer >= last.ByCheckpointer
}

// writeLooks are the looks that a check keeps: see baselines.
type writeLooks struct{ base, next writeLook }

func checkpoints(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	var now writeLook
	err = s.readOnly(ctx, "pg.checkpoints", func(ctx context.Context, r *reading) (err error) {
		settings, _ := s.Settings()
		now.writeCounters, err = row[writeCounters](ctx, r, writeCountersSQL.at(settings.Version))
		return err
	})
	if err != nil {
		return f, err
	}
	var missing partial
	if now.io, err = s.ioCounters(ctx, &missing); err != nil {
		return f, err
	}
	kept, before := checks.Remembered[writeLooks](env.Memory, "looks")
	known := before && now.follows(kept.next)
	switch {
	case !known:
		checks.Remember(env.Memory, "looks", writeLooks{now, now})
	case now.At.Sub(kept.next.At) >= args.Duration("window"):
		checks.Remember(env.Memory, "looks", writeLooks{kept.next, now})
	}
	if !known {
		kept.base = writeLook{}
	}
	now.describe(kept.base, known, &f)
	f.Facts = append(f.Facts, fact.Flag("reset", before && !known))
	if before && !known {
		f.Detail = append(f.Detail, "the statistics were reset, or the server restarted, since the last look: there is nothing to compare with yet")
	}
	f.Detail = append(f.Detail, missing...)
	f.Tables = append(f.Tables, now.ioTable(kept.base, known))
	return f, nil
}

// describe is what happened since the base, which is empty where none is known.
func (w writeLook) describe(base writeLook, known bool, f *checks.Findings) {
	timed, requested := w.Timed-base.Timed, w.Requested-base.Requested
	f.Note = fmt.Sprintf("%s timed and %s requested checkpoints", fact.FormatNumber(timed), fact.FormatNumber(requested))
	if w.LastCheckpoint != nil {
		f.Facts = append(f.Facts, fact.Dur("last", max(0, w.At.Sub(*w.LastCheckpoint))))
	}
	f.Facts = append(f.Facts,
		fact.Number("timed", timed), fact.Number("requested", requested),
		fact.Size("by_checkpointer", w.Block*(w.ByCheckpointer-base.ByCheckpointer)), fact.Size("by_bgwriter", w.Block*(w.ByBackground-base.ByBackground)),
		fact.Number("halted", w.Halted-base.Halted), fact.Flag("delta", known))
	if backends := w.Block * (w.ByBackends - base.ByBackends); !math.IsNaN(backends) {
		f.Facts = append(f.Facts, fact.Size("by_backends", max(0, backends)))
	}
	if all := timed + requested; all >= fewCheckpoints {
		f.Facts = append(f.Facts, fact.Pct("requested_share", 100*requested/all))
	}
	switch {
	case known:
		f.Over = w.At.Sub(base.At)
		f.Facts = append(f.Facts, fact.Dur("interval", f.Over))
		f.Detail = append(f.Detail, "since the look of "+base.At.UTC().Format(time.RFC3339))
	case w.Reset != nil:
		f.Since = *w.Reset
		f.Facts = append(f.Facts, fact.Dur("interval", w.At.Sub(*w.Reset)))
		f.Detail = append(f.Detail, "since the statistics were reset at "+w.Reset.UTC().Format(time.RFC3339))
	}
	if n := timed + requested; n > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("a checkpoint wrote for %s and synced for %s on average",
			fact.FormatDuration(ms((w.WriteTime-base.WriteTime)/n)), fact.FormatDuration(ms((w.SyncTime-base.SyncTime)/n))))
	}
}
