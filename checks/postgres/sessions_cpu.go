package postgres

import (
	"bytes"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// mostMeasured bounds the processes that are looked at: two small files each.
const mostMeasured = 100

// ticksPerSecond is the unit of /proc/PID/stat on every Linux.
const ticksPerSecond = 100

// A running is the processor time of a session's process at one look. A pid is
// used again, the process that began at that moment is not.
type running struct {
	at    time.Time
	ticks float64
	began string // in ticks since boot, as the kernel writes it
}

// processors are the shares of one core that sessions took since the last look,
// in percent, by pid: NaN at the first look, absent for a session whose process
// is not of this host. Idle sessions are not looked at.
func (s *Server) processors(env checks.Env, rows []listed) map[int]float64 {
	if env.Root == "" || !onThisHost(s.config.Host) {
		return nil
	}
	last, _ := checks.Remembered[map[int]running](env.Memory, "processors")
	now := map[int]running{}
	shares := map[int]float64{}
	for _, b := range rows {
		if b.State == "idle" || len(now) == mostMeasured {
			continue
		}
		r, ok := processOf(env.Root, b)
		if !ok {
			continue
		}
		r.at = s.now()
		now[b.PID], shares[b.PID] = r, math.NaN()
		if before, known := last[b.PID]; known && before.began == r.began && r.at.After(before.at) {
			shares[b.PID] = 100 * (r.ticks - before.ticks) / ticksPerSecond / r.at.Sub(before.at).Seconds()
		}
	}
	checks.Remember(env.Memory, "processors", now)
	return shares
}

// processOf reads the session's process, if there is one of that pid that says
// to be it: behind a tunnel the pids are those of another host.
func processOf(root string, b listed) (running, bool) {
	dir := filepath.Join(root, "proc", strconv.Itoa(b.PID))
	title, err := readSome(filepath.Join(dir, "cmdline"), mostTitle)
	if err != nil || !bytes.HasPrefix(title, []byte("postgres: ")) || b.User != "" && !bytes.Contains(title, []byte(b.User+" "+b.Database+" ")) {
		return running{}, false
	}
	stat, err := readSome(filepath.Join(dir, "stat"), mostTitle)
	if err != nil {
		return running{}, false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return running{}, false
	}
	user, userErr := strconv.ParseFloat(fields[11], 64) // behind pid and name: utime, stime, starttime
	system, systemErr := strconv.ParseFloat(fields[12], 64)
	return running{ticks: user + system, began: fields[19]}, userErr == nil && systemErr == nil
}

// cpu is the cell of a session.
func (a allSessions) cpu(b listed) fact.Value {
	share, ok := a.processors[b.PID]
	if !ok {
		return none
	}
	return fact.PctValue(share)
}
