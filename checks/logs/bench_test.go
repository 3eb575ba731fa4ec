package logs

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// logMiB is the size of the log that benchmarks write. The figures of the
// documentation are of 1024.
var logMiB = flag.Int("logmib", 1024, "size of the benchmarks' log in MiB")

var benchNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// writeDay writes a log of 24 hours up to now: half JSON, half plain lines,
// one in a hundred an error.
func writeDay(tb testing.TB, path string, size int64, now time.Time) {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var written int64
	var buf []byte
	for i := int64(0); written < size; i++ {
		at := now.Add(-time.Duration(float64(24*time.Hour) * float64(size-written) / float64(size)))
		buf = appendLine(buf[:0], i, at)
		n, err := w.Write(buf)
		if err != nil {
			tb.Fatal(err)
		}
		written += int64(n)
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func appendLine(buf []byte, i int64, at time.Time) []byte {
	level, plain := "info", "INFO"
	if i%100 == 7 || i%100 == 8 && i%200 == 8 {
		level, plain = "error", "ERROR"
	}
	if i%2 == 0 {
		buf = append(buf, `{"timestamp":"`...)
		buf = at.AppendFormat(buf, "2006-01-02T15:04:05.000Z")
		return fmt.Appendf(buf, `","level":%q,"service":"backend","requestId":"%08x-1f2e","msg":"GET /api/courses/%d/lessons %d ms","userId":%d}`+"\n",
			level, i*2654435761%4294967296, i%977, i%430, i%5003)
	}
	buf = at.AppendFormat(buf, "2006-01-02 15:04:05.000")
	return fmt.Appendf(buf, " %s [worker-%d] course.service - enrolled student %d into course %d, queue depth %d, took %d ms, session s%08x\n",
		plain, i%8, i%5003, i%977, i%61, i%430, i*2654435761%4294967296)
}

func benchSource(b *testing.B) (checks.LogSource, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "app.log")
	writeDay(b, path, int64(*logMiB)<<20, benchNow)
	return checks.LogSource{Name: "app", Paths: []string{path}, Zone: time.UTC}, path
}

// BenchmarkCountLastHour counts the errors of the last hour in a log of 24,
// and reports how long that takes beside "grep -c ERROR" of the whole.
func BenchmarkCountLastHour(b *testing.B) {
	src, path := benchSource(b)
	env := checks.Env{Site: checks.SiteFacts{Logs: map[string]checks.LogSource{"app": src}}, Now: func() time.Time { return benchNow }}
	args, problems := checks.Bind(Count, map[string]any{"source": "app"})
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	var ours time.Duration
	before := processorTime(b)
	for b.Loop() {
		start := time.Now()
		if _, err := runCount(context.Background(), env, args); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
	}
	ours /= time.Duration(b.N)
	cpu := (processorTime(b) - before) / time.Duration(b.N)
	theirs, grepCPU := grepTime(b, path)
	b.ReportMetric(float64(ours.Microseconds())/1000, "ms/count")
	b.ReportMetric(float64(theirs.Microseconds())/1000, "ms/grep-c")
	b.ReportMetric(float64(ours)/float64(theirs), "of-grep")
	b.ReportMetric(float64(cpu)/float64(grepCPU), "cpu-of-grep")
}

// processorTime is what this process has used so far. Beside the time on the
// clock it tells what a figure is worth that was taken on a busy machine.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// grepTime is the median of five runs: on the clock, and of the processor.
func grepTime(b *testing.B, path string) (clock, processor time.Duration) {
	b.Helper()
	if _, err := exec.LookPath("grep"); err != nil {
		b.Skip("no grep to compare with")
	}
	var took, used []time.Duration
	for range 5 {
		start := time.Now()
		cmd := exec.Command("grep", "-c", "ERROR", path)
		cmd.Env = []string{"LC_ALL=C"}
		if _, err := cmd.Output(); err != nil { // to /dev/null it would stop at the first match
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		used = append(used, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	slices.Sort(took)
	slices.Sort(used)
	return took[2], used[2]
}

// BenchmarkFullScanAllPatterns dates every line of the log and tries every
// shipped pattern on it, on one core.
func BenchmarkFullScanAllPatterns(b *testing.B) {
	src, path := benchSource(b)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	sets, err := patternSets()
	if err != nil {
		b.Fatal(err)
	}
	var all []*patternSet
	for _, name := range SetNames() {
		all = append(all, sets[name])
	}
	m, err := newMatcher(all...)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	var found int64
	before := processorTime(b)
	for b.Loop() {
		found = 0
		_, err := newScan(src, benchNow.Add(-48*time.Hour), benchNow, benchNow, func(l *line) {
			if m.match(l) != 0 {
				found++
			}
		}).run(context.Background())
		if err != nil {
			b.Fatal(err)
		}
	}
	cpu := (processorTime(b) - before).Seconds() / float64(b.N)
	b.ReportMetric(float64(info.Size())/(1<<20)/cpu, "MiB/cpu-s")
	b.ReportMetric(float64(found), "matches")
}
