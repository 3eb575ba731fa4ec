package step

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// progressEvery bounds how often progress is written.
const progressEvery = 250 * time.Millisecond

// progress writes how far a deed is.
type progress struct {
	folder Folder

	mu      sync.Mutex
	newest  progressWire
	written time.Time
	pending bool
}

// report writes what is told, unless something was written just before.
func (p *progress) report(told checks.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.newest = progressWire{finite(told.Done), finite(told.Total), told.What, now}
	p.pending = true
	if now.Sub(p.written) >= progressEvery {
		p.write(now)
	}
}

// flush writes what was told last.
func (p *progress) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending {
		p.write(time.Now())
	}
}

func (p *progress) write(now time.Time) {
	raw, err := json.Marshal(p.newest)
	if err == nil {
		err = p.folder.place(progressFile, raw, false)
	}
	_ = err // no deed depends on it, and the next one may succeed
	p.written, p.pending = now, false
}

// finite is what JSON can say: a share of nothing is none.
func finite(n float64) float64 {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	return n
}
