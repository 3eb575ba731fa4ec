package ui

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// Cost is what the deck itself takes from the host.
type Cost struct {
	CPU  float64 // percent of one core, since the last measurement
	RSS  int64   // bytes
	Rate float64 // bytes a second to the terminal; the deck fills it in
}

// newSelfCost measures this process: CPU by getrusage, memory by
// /proc/self/statm. What cannot be read is 0, and shown as "-".
func newSelfCost(now func() time.Time) func() Cost {
	var before time.Duration
	var at time.Time
	return func() Cost {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			return Cost{RSS: residentBytes()}
		}
		spent := time.Duration(use.Utime.Nano() + use.Stime.Nano())
		cost := Cost{RSS: residentBytes()}
		if passed := now().Sub(at); !at.IsZero() && passed > 0 {
			cost.CPU = 100 * float64(spent-before) / float64(passed)
		}
		before, at = spent, now()
		return cost
	}
}

func residentBytes() int64 {
	raw, err := hostfs.Read("/proc/self/statm", 4<<10)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
