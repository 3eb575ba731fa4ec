package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// progressSQL finds the session in whichever view reports on what it does.
const progressSQL = `
SELECT 'vacuum: ' || phase, heap_blks_scanned::float8, heap_blks_total::float8, 0 FROM pg_stat_progress_vacuum WHERE pid = $1
UNION ALL SELECT 'rewrite: ' || phase, heap_blks_scanned::float8, heap_blks_total::float8, 0 FROM pg_stat_progress_cluster WHERE pid = $1
UNION ALL SELECT 'analyze: ' || phase, sample_blks_scanned::float8, sample_blks_total::float8, 0 FROM pg_stat_progress_analyze WHERE pid = $1
UNION ALL SELECT 'index: ' || phase, blocks_done::float8, blocks_total::float8, coalesce(current_locker_pid, 0)::int FROM pg_stat_progress_create_index WHERE pid = $1`

type progress struct {
	Phase       string
	Done, Total float64
	WaitsFor    int
}

// progressEvery is how often the server is asked.
const progressEvery = time.Second

// A follower reports how far the session at work is, over the session of the
// checks: the one at work cannot answer.
type follower struct {
	labour *labour
	pid    uint32
	total  float64
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	now    job
	behind float64 // size of the jobs before it
	waits  int
}

func (l *labour) follow(ctx context.Context, pid uint32) *follower {
	f := &follower{labour: l, pid: pid, ended: make(chan struct{})}
	for _, j := range l.jobs {
		f.total += max(j.size, 1)
	}
	ctx, f.cancel = context.WithCancel(ctx)
	go func() { defer crash.Recover(); f.run(ctx) }()
	return f
}

func (f *follower) stop() {
	f.cancel()
	<-f.ended
}

func (f *follower) begin(j job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.label != "" {
		f.behind += max(f.now.size, 1)
	}
	f.now = j
	f.labour.env.Report(f.behind, f.total, j.label)
}

func (f *follower) run(ctx context.Context) {
	defer close(f.ended)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, defaultStatement)
		found, err := many[progress](asking, f.labour.upkeep.server, "progress", progressSQL, int(f.pid))
		cancel()
		if err == nil && len(found) > 0 { // not to know how far it is must not stop it
			f.tell(found[0])
		}
	}
}

func (f *follower) tell(p progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part := 0.0
	if p.Total > 0 {
		part = min(1, p.Done/p.Total) * max(f.now.size, 1)
	}
	what := f.now.label + ", " + p.Phase
	if p.WaitsFor != 0 {
		what += fmt.Sprintf(", for session %d", p.WaitsFor)
	}
	f.labour.env.Report(f.behind+part, f.total, what)
	if p.WaitsFor != 0 && p.WaitsFor != f.waits {
		f.labour.env.Printf("%s waits for session %d to end its transaction", f.now.label, p.WaitsFor)
	}
	f.waits = p.WaitsFor
}
