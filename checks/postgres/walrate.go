package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// walState is where the server's write-ahead log ends, and what bounds it.
type walState struct {
	At            time.Time // the server's clock
	Position      float64   // bytes written since its beginning; received, on a standby
	Recovery      bool
	Started       time.Time
	ArchiveMode   string
	Keep          float64 // bytes: max_wal_size and wal_keep_size
	Data          string  // data directory, if the role may know it
	InactiveSlots int     // that keep WAL
}

const walStateSQL = `
SELECT clock_timestamp(),
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_insert_lsn() END, '0/0'), 0)::float8,
       pg_is_in_recovery(), pg_postmaster_start_time(), current_setting('archive_mode'),
       (SELECT sum(setting::float8) * 1048576 FROM pg_settings WHERE name IN ('max_wal_size', 'wal_keep_size')),
       coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'), ''),
       (SELECT count(*) FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL)::int`

const (
	// rateWindow is the longest time over which WAL is rated.
	rateWindow = 5 * time.Minute
	// rateLeast is the shortest: in less, one checkpoint is a flood.
	rateLeast = 500 * time.Millisecond
	// rateLasting is the shortest by which a disk is said to fill: a burst of
	// a second says nothing of the next hours.
	rateLasting = 30 * time.Second
)

// walRate keeps where the log was at earlier looks, of whichever check. Its
// zero value is ready.
type walRate struct {
	mu    sync.Mutex
	looks []walState
}

// since is the rate in bytes a second and the interval that it was made of;
// false before there are two looks at one life of the server.
func (w *walRate) since(now walState) (perSecond float64, took time.Duration, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.looks); n > 0 && !now.goesOn(w.looks[n-1]) {
		w.looks = nil
	}
	for len(w.looks) > 1 && now.At.Sub(w.looks[1].At) > rateWindow {
		w.looks = w.looks[1:]
	}
	if len(w.looks) > 0 {
		first := w.looks[0]
		took = now.At.Sub(first.At)
		perSecond, known = (now.Position-first.Position)/took.Seconds(), took >= rateLeast
	}
	w.looks = append(w.looks, now)
	if len(w.looks) > 200 { // two checks of 30 s need 20
		w.looks = w.looks[len(w.looks)/2:]
	}
	return perSecond, took, known
}

// goesOn: the same log, further on. A promotion begins another one.
func (now walState) goesOn(last walState) bool {
	return now.Started.Equal(last.Started) && now.Recovery == last.Recovery && now.Position >= last.Position && now.At.After(last.At)
}

// walPace is the log's state with its rate. Where there was no look before it
// waits for apart and looks again, outside the session; 0 means it does not.
func (s *Server) walPace(ctx context.Context, what string, apart time.Duration) (now walState, perSecond float64, took time.Duration, known bool, err error) {
	if now, err = one[walState](ctx, s, what, walStateSQL); err != nil {
		return now, 0, 0, false, err
	}
	if perSecond, took, known = s.wal.since(now); known || apart == 0 {
		return now, perSecond, took, known, nil
	}
	timer := time.NewTimer(apart)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return now, 0, 0, false, checks.Failed(checks.Timeout, "no time for a second sample %s after the first: %w", apart, ctx.Err())
	}
	if now, err = one[walState](ctx, s, what, walStateSQL); err != nil {
		return now, 0, 0, false, err
	}
	perSecond, took, known = s.wal.since(now)
	return now, perSecond, took, known, nil
}

// walDisk is the file system of pg_wal, if it can be seen from here.
func (s *Server) walDisk(now walState) disk {
	settings, _ := s.Settings()
	u := &upkeep{server: s, settings: settings, database: upkeepDatabase{Data: now.Data, Started: now.Started}}
	if d := u.diskOf(""); d.free < 0 {
		return d
	}
	return u.diskOf(now.Data + "/pg_wal")
}
