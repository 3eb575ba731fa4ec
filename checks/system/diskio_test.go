package system

import (
	"fmt"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// worked lets vda do so many operations of so many milliseconds in all, over 50 s.
func worked(operations, ms, busy int) func(tree) {
	return func(tr tree) {
		tr.replace("proc/diskstats", "vda 205133 41312 8100162 96782 38798 62249 6769552 22401 0 21524 121727",
			fmt.Sprintf("vda %d 41312 %d %d 38798 62249 6769552 22401 0 %d %d", 205133+operations, 8100162+8*operations, 96782+ms, 21524+busy, 121727+ms))
	}
}

func TestDiskIO(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", worked(5000, 5000, 4000), checks.OK, ""},
		{"idle", unchanged, checks.OK, ""},
		{"slow", worked(500, 40000, 30000), checks.Warn, "latency|vda"},
		{"very slow", worked(100, 40000, 40000), checks.Crit, "latency|vda"},
		{"one slow operation on an idle disk", worked(1, 900, 900), checks.OK, ""},
		{"a counter that went back", func(tr tree) { tr.replace("proc/diskstats", "vda 205133", "vda 1") }, checks.OK, ""},
		{"no disk", func(tr tree) { tr.remove("sys/block/vda"); tr.remove("sys/block/vdb") }, checks.Skipped, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, after(t, DiskIO, nil, tt.change), tt.level, tt.because) })
	}
}

func TestDiskRates(t *testing.T) {
	res := after(t, DiskIO, nil, worked(500, 40000, 25000))
	near(t, res, "latency", "vda", 80)
	near(t, res, "busy", "vda", 50)
	near(t, res, "read", "vda", 500*8*512/50)
	near(t, res, "written", "vda", 0)
	near(t, res, "queue", "vda", 0.8)
	for _, other := range []string{"vda1", "loop1"} {
		if _, ok := res.Fact("busy", other); ok {
			t.Errorf("%s is not a disk of its own", other)
		}
	}
}

func TestADiskThatIsNotThereIsUnknown(t *testing.T) {
	unknown(t, now(t, DiskIO, map[string]any{"devices": "sda"}, unchanged), checks.Missing)
}
