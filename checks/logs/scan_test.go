package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	content := strings.Join(lines, "\n") + "\n"
	if strings.HasSuffix(path, ".gz") {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		content = out.String()
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, path string, old time.Duration) {
	t.Helper()
	if err := os.Chtimes(path, benchNow.Add(-old), benchNow.Add(-old)); err != nil {
		t.Fatal(err)
	}
}

// at is a plain line of a level, written so long before now.
func at(old time.Duration, rest string) string {
	return benchNow.Add(-old).Format("2006-01-02T15:04:05.000Z") + " " + rest
}

func sourceAt(paths ...string) checks.LogSource {
	return checks.LogSource{Name: "app", Paths: paths, Zone: time.UTC}
}

func scanHour(t *testing.T, src checks.LogSource) (*tally, []string) {
	t.Helper()
	var seen []string
	got, err := newScan(src, benchNow.Add(-time.Hour), benchNow, benchNow, func(l *line) { seen = append(seen, string(l.text)) }).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got, seen
}

func TestRotatedAndZippedSiblingsBelongToTheWindow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, at(time.Minute, "[info]: newest"))
	write(t, path+".1", at(3*time.Hour, "[info]: too old"), at(20*time.Minute, "[info]: rotated"))
	write(t, path+".2.gz", at(50*time.Minute, "[info]: zipped"))
	write(t, filepath.Join(dir, "app-2026-11-23.log"), at(30*time.Minute, "[info]: dated name"))
	write(t, path+"-20261123", at(40*time.Minute, "[info]: date behind"))
	write(t, path+".3.gz", at(26*time.Hour, "[info]: last week"))
	age(t, path+".3.gz", 25*time.Hour)
	write(t, filepath.Join(dir, "app.log.bak"), at(time.Minute, "[info]: no sibling"))
	write(t, filepath.Join(dir, "apple.log"), at(time.Minute, "[info]: another program"))
	for i, name := range []string{path + ".2.gz", path + "-20261123", filepath.Join(dir, "app-2026-11-23.log"), path + ".1", path} {
		age(t, name, time.Duration(5-i)*10*time.Minute)
	}
	got, seen := scanHour(t, sourceAt(path))
	if len(seen) != 5 || got.files != 5 || got.unparsed != 0 {
		t.Errorf("read %d files, saw %q", got.files, seen)
	}
	for i, want := range []string{"zipped", "date behind", "dated name", "rotated", "newest"} {
		if i < len(seen) && !strings.HasSuffix(seen[i], want) {
			t.Errorf("line %d is %q, want %q", i, seen[i], want)
		}
	}
}

func TestNoLineCountsTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "error.log")
	lines := []string{at(3*time.Minute, "[error]: one"), at(2*time.Minute, "[error]: two"), at(2*time.Minute, "[error]: two")}
	write(t, path, lines...)
	write(t, path+".1", lines...)    // copied, not yet truncated
	write(t, path+".2.gz", lines...) // compressed, original kept
	if err := os.Link(path, filepath.Join(dir, "error.log.3")); err != nil {
		t.Fatal(err)
	}
	if got, seen := scanHour(t, sourceAt(path, filepath.Join(dir, "error.lo*"))); len(seen) != 3 {
		t.Errorf("saw %q in %d files", seen, got.files)
	}
	combined := filepath.Join(dir, "combined.log")
	write(t, combined, append([]string{at(4*time.Minute, "[info]: start")}, lines...)...)
	res := count(t, sourceAt(path, combined), nil)
	if got := factOf(res, "count"); got != "3" {
		t.Errorf("counted %s of lines that stand in two files, want 3", got)
	}
}

func TestBinarySearchLosesNoLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	var lines []string
	want := 0
	for i := range 40000 {
		old := 24*time.Hour - time.Duration(i)*24*time.Hour/40000
		if i%7 == 3 {
			old += 30 * time.Second // a writer that flushes late
		}
		lines = append(lines, at(old, fmt.Sprintf("[info]: line %d %s", i, strings.Repeat("x", 60))))
		if old <= time.Hour && old > 0 {
			want++
		}
		if i%5000 == 4000 {
			lines = append(lines, strings.Repeat("    at frame (/srv/app.js:1)\n", 4000)+"    at last")
		}
	}
	write(t, path, lines...)
	got, _ := scanHour(t, sourceAt(path))
	if int(got.parsed) != want {
		t.Errorf("found %d of %d lines", got.parsed, want)
	}
}

func TestStackTracesBelongToTheirLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	write(t, path, at(5*time.Minute, "[error]: node"), "TypeError: x is not a function", "    at run (/srv/app.js:3:5)", "  [cause]: Error: y",
		at(4*time.Minute, "ERROR java"), "java.lang.IllegalStateException: x", "\tat a.B.c(B.java:3)", "Caused by: java.io.IOException: y", "\t... 3 more",
		at(3*time.Minute, "ERROR python"), "Traceback (most recent call last):", `  File "x.py", line 3, in f`, "KeyError: 'a'",
		at(2*time.Minute, "ERROR go"), "panic: boom", "", "goroutine 1 [running]:", "main.run(0xc000)", "\t/srv/main.go:3 +0x1d", "exit status 2",
		"this line says nothing about its time")
	got, _ := scanHour(t, sourceAt(path))
	if got.parsed != 4 || got.unparsed != 1 || got.lines != got.parsed+got.unparsed+got.continued {
		t.Errorf("%+v", got)
	}
	res := count(t, sourceAt(path), nil)
	if n := factOf(res, "count"); n != "4" {
		t.Errorf("counted %s records, want 4", n)
	}
}

func TestQuotedLinesOfCSVAreText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pg.csv")
	row := func(old time.Duration, severity, message string) string {
		return benchNow.Add(-old).Format("2006-01-02 15:04:05.000 UTC") + `,"lms","lms",812,"[local]",6560.1,1,"SELECT",2026-11-23 03:00:00 UTC,3/4,0,` + severity + `,42601,"` + message + `",,,,,,"select 1` + "\n" +
			at(0, "ERROR not a record") + "\n" + `from x",,,"psql","client backend",,0`
	}
	write(t, path, row(5*time.Minute, "ERROR", `syntax error at or near ""x""`), row(4*time.Minute, "LOG", "duration: 5.0 ms"))
	got, _ := scanHour(t, sourceAt(path))
	if got.parsed != 2 || got.continued != 4 || got.unparsed != 0 {
		t.Errorf("%+v", got)
	}
	if n := factOf(count(t, sourceAt(path), nil), "count"); n != "1" {
		t.Errorf("counted %s", n)
	}
}

func TestFutureAndOddLinesAreMarked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	write(t, path, at(5*time.Minute, "[info]: crlf\r"), "\x00\x00\x00\x00"+at(4*time.Minute, "[info]: behind zeros"),
		at(-72*time.Hour, "[error]: from the future"), "0000-01-01 00:00:00 year zero", "9999-12-31 00:00:00 year 9999", at(time.Minute, "[info]: last"))
	got, seen := scanHour(t, sourceAt(path))
	if got.future != 1 || got.parsed != 3 || len(seen) != 3 {
		t.Errorf("%+v saw %q", got, seen)
	}
	if strings.HasSuffix(seen[0], "\r") || seen[1][0] == 0 {
		t.Errorf("saw %q", seen)
	}
}

// A line of a GiB without an end, most of it a hole, must cost no memory.
func TestAnEndlessLineIsCutAndSkipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	first := at(5*time.Minute, "[info]: begins "+strings.Repeat("y", 100<<10))
	for _, w := range []struct {
		text string
		at   int64
	}{{first, 0}, {"z\n" + at(time.Minute, "[error]: last\n"), 1 << 30}} {
		if _, err := f.WriteAt([]byte(w.text), w.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, seen := scanHour(t, sourceAt(path))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
	if got.cut != 1 || len(seen) != 2 || len(seen[0]) != lineLimit || !strings.HasSuffix(seen[1], "last") {
		t.Errorf("%d cut, %d lines", got.cut, len(seen))
	}
}

func TestWhatIsNoPlainLogIsRefusedWithoutWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, folder, wide := filepath.Join(dir, "fifo"), filepath.Join(dir, "folder"), filepath.Join(dir, "wide.log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wide, []byte("\xff\xfe2\x000\x002\x006\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fifo, filepath.Join(dir, "link.log")); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		fifo: "named pipe", folder: "directory", wide: "UTF-16", filepath.Join(dir, "link.log"): "named pipe",
		"/dev/null": "device", filepath.Join(dir, "gone.log"): "no file matches", filepath.Join(dir, "none*.log"): "no file matches",
	} {
		res := count(t, sourceAt(path), nil)
		if res.Level != checks.Unknown || !strings.Contains(res.Err, says) {
			t.Errorf("%s: %v %q, want %q", path, res.Level, res.Err, says)
		}
	}
}

func TestADamagedSiblingIsAGap(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	write(t, path, at(time.Minute, "[info]: fine"))
	write(t, path+".1.gz", at(20*time.Minute, "[info]: "+strings.Repeat("abcdefg ", 300)))
	whole, err := os.ReadFile(path + ".1.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".1.gz", whole[:len(whole)-12], 0o600); err != nil {
		t.Fatal(err)
	}
	res := count(t, sourceAt(path), nil)
	if res.Level != checks.Warn || factOf(res, "gaps") != "1" {
		t.Errorf("%v, gaps %s %v", res.Level, factOf(res, "gaps"), res.Detail)
	}
}

// Rotation while a scan is prepared must neither lose nor double a line.
func TestRotationMeanwhileIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	write(t, path, at(2*time.Minute, "[info]: a"))
	listed, err := list(sourceAt(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, at(time.Minute, "[info]: b"))
	again, err := list(sourceAt(path))
	if err != nil {
		t.Fatal(err)
	}
	if sameListing(listed, again) {
		t.Error("a rotation was not noticed")
	}
	if _, seen := scanHour(t, sourceAt(path)); len(seen) != 2 {
		t.Errorf("saw %q", seen)
	}
	if err := os.Remove(path); err != nil { // the moment between rename and create
		t.Fatal(err)
	}
	if _, seen := scanHour(t, sourceAt(path)); len(seen) != 1 {
		t.Errorf("saw %q", seen)
	}
}

// tallyOf scans a stream in reads of the given kind.
func tallyOf(src io.Reader) (tally, string) {
	var seen strings.Builder
	s := newScan(sourceAt("x"), benchNow.Add(-1000*time.Hour), benchNow, benchNow, func(l *line) {
		fmt.Fprintf(&seen, "%d %d %x\n", l.kind, l.record, l.text)
	})
	s.ctx = context.Background()
	s.stamps = newStamper("", s.zones, s.win)
	s.reader.reset(src)
	s.lines(0)
	return s.tally, seen.String()
}

func FuzzEveryLineIsCountedOnceHoweverItIsRead(f *testing.F) {
	f.Add([]byte(at(time.Minute, "[error]: x\n") + "TypeError: y\n    at z\nstray\n" + `{"time":"2026-11-23T03:07:12Z","level":"error"}` + "\n"))
	f.Add([]byte("2026-11-23 03:07:12.345 UTC,\"a\",\"multi\nline\",ERROR\n2026-11-23 03:07:13.345 UTC,\"b\"\n"))
	f.Add([]byte("\x00\x00\x00\r\n\n\x002026-11-23 03:07:12 x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, seen := tallyOf(bytes.NewReader(text))
		if whole.lines != whole.parsed+whole.unparsed+whole.continued {
			t.Errorf("%d lines are %d parsed, %d unparsed, %d continued", whole.lines, whole.parsed, whole.unparsed, whole.continued)
		}
		for name, reader := range map[string]io.Reader{"bytes": iotest.OneByteReader(bytes.NewReader(text)), "halves": iotest.HalfReader(bytes.NewReader(text))} {
			other, otherSeen := tallyOf(reader)
			if other.lines != whole.lines || other.parsed != whole.parsed || other.unparsed != whole.unparsed || otherSeen != seen {
				t.Errorf("read by %s: %+v, whole %+v", name, other, whole)
			}
		}
	})
}

func FuzzStamp(f *testing.F) {
	for _, seed := range []string{`{"time":"2026-11-23T03:07:12Z"}`, "Nov 23 03:07:12 x", "1.2.3.4 - - [23/Nov/2026:03:07:12 +0000]", "1795403232.345 x", "812:M 23 Nov 2026 03:07:12.345 # x", `2026-11-23 03:07:12.345 CET,"a"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newStamper("", zones{paris, benchNow}, window{0, 1 << 62})
		m, ok := s.look([]byte(text))
		if ok && (m.end > len(text) || m.from > m.minute || m.zone > m.end || m.minute > len(text)) {
			t.Errorf("%q: %+v", text, m)
		}
		l := lineOf(text)
		l.level()
		l.message()
		signature(nil, l.message())
		mask(text)
		csvField([]byte(text), csvMessage)
	})
}

// Parts read at the same time must count what one reading counts.
func TestPartsOfALongFileCountAsOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	writeDay(t, path, 3*partSize, benchNow)
	counted := func(floor severity) (n int64, lines int64) {
		s := newScan(sourceAt(path), benchNow.Add(-23*time.Hour), benchNow, benchNow, func(l *line) {
			if l.level() >= errorLevel {
				n++
			}
		})
		s.floor = floor
		got, err := s.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n, got.parsed
	}
	errors, lines := counted(noLevel)
	inParts, linesInParts := counted(errorLevel)
	if errors == 0 || errors != inParts || lines != linesInParts {
		t.Errorf("%d errors in %d lines; in parts %d in %d", errors, lines, inParts, linesInParts)
	}
}
