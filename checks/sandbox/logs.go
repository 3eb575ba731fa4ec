package sandbox

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Planted counts of the last hour and the last day, with the verdict each must give
// by the guide's and the proposed limits.
const (
	errorsLastHour  = 18  // over 10, under 50: warn
	dbErrorsToday   = 3   // over 0, under 10: warn
	redisTimeouts   = 12  // 10 and more: crit
	authBurst       = 130 // from one address within the hour: over 100 of one source is crit
	frontendFailing = 2   // over 0, under 10: warn
)

// entry is one line of the platform's logs: JSON in combined.log, plain in error.log.
type entry struct {
	at    time.Time
	level string
	msg   string
	stack string
}

func (e entry) json() string {
	raw, err := json.Marshal(map[string]string{"timestamp": e.at.UTC().Format("2006-01-02T15:04:05.000Z"), "level": e.level, "message": e.msg})
	if err != nil {
		return "" // a map of strings always encodes
	}
	return string(raw)
}

func (e entry) plain() string {
	line := fmt.Sprintf("%s %s %s", e.at.UTC().Format("2006-01-02T15:04:05.000Z"), e.level, e.msg)
	if e.stack != "" {
		line += "\n" + e.stack
	}
	return line
}

// writeLogs writes a day of the platform's logs, rotated as a host would have
// them: today in plain text, the day before gzipped.
func writeLogs(dir string, now time.Time) error {
	yesterday := routine(now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	today := routine(now.Add(-24*time.Hour), now)
	faults := plantedFaults(now)
	files := []struct {
		name  string
		lines []string
		zip   bool
	}{
		{"combined.log.1.gz", format(yesterday, entry.json), true},
		{"combined.log", format(merge(today, faults), entry.json), false},
		{"error.log.1.gz", format(oldErrors(now), entry.plain), true},
		{"error.log", format(faults, entry.plain), false},
		{"frontend.log", frontendLines(now), false},
		{"access.log", accessLines(now), false},
		{"backup.log", backupLines(now), false},
	}
	for _, f := range files {
		if err := writeLines(filepath.Join(dir, f.name), f.lines, f.zip); err != nil {
			return fmt.Errorf("writing the sandbox's logs: %w", err)
		}
	}
	return writeEdge(dir, now)
}

func routine(from, to time.Time) []entry {
	var entries []entry
	for at, i := from, 0; at.Before(to); at, i = at.Add(30*time.Second), i+1 {
		entries = append(entries, entry{at: at, level: "INFO", msg: fmt.Sprintf("GET /courses/%d 200 %d ms", i%60, 12+i%40)})
	}
	return entries
}

// oldErrors are from the day before: a count of the last hour must not see them.
func oldErrors(now time.Time) []entry {
	var entries []entry
	for i := range 400 {
		entries = append(entries, entry{at: now.Add(-47 * time.Hour).Add(time.Duration(i) * time.Minute), level: "ERROR", msg: "could not render certificate"})
	}
	return entries
}

func plantedFaults(now time.Time) []entry {
	var faults []entry
	for i := range 60 { // this morning's errors: outside the hour, inside the file
		faults = append(faults, entry{at: now.Add(-20 * time.Hour).Add(time.Duration(i) * 5 * time.Minute), level: "ERROR", msg: fmt.Sprintf("mail to user %d bounced", 100+i)})
	}
	for i := range redisTimeouts {
		faults = append(faults, entry{at: now.Add(-12 * time.Hour).Add(time.Duration(i) * time.Minute), level: "WARN", msg: "redis: command timed out after 5000 ms (GET session)"})
	}
	for i := range dbErrorsToday {
		faults = append(faults, entry{at: now.Add(-9 * time.Hour).Add(time.Duration(i) * time.Minute), level: "WARN", msg: "database: connect ECONNREFUSED 127.0.0.1:5432"})
	}
	for i := range authBurst {
		faults = append(faults, entry{at: now.Add(-55 * time.Minute).Add(time.Duration(i) * time.Second), level: "WARN", msg: fmt.Sprintf("authentication failed for user%d@lms.example.com from 203.0.113.7", i%4)})
	}
	for i := range errorsLastHour - 1 {
		faults = append(faults, entry{at: now.Add(-50 * time.Minute).Add(time.Duration(i) * 2 * time.Minute), level: "ERROR", msg: fmt.Sprintf("could not grade submission %d: NO_ERROR expected", 7000+i)})
	}
	return append(faults, entry{
		at: now.Add(-10 * time.Minute), level: "ERROR", msg: "Unhandled exception: TypeError: Cannot read properties of undefined (reading 'id')",
		stack: "    at gradeSubmission (/srv/lms/src/grades.js:88:21)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
	})
}

// merge keeps time order, as one process writing one file would.
func merge(a, b []entry) []entry {
	merged := make([]entry, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if b[0].at.Before(a[0].at) {
			merged, b = append(merged, b[0]), b[1:]
		} else {
			merged, a = append(merged, a[0]), a[1:]
		}
	}
	return append(append(merged, a...), b...)
}

func format(entries []entry, as func(entry) string) []string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = as(e)
	}
	return lines
}

func frontendLines(now time.Time) []string {
	var lines []string
	for i := range 200 {
		at := now.Add(-23 * time.Hour).Add(time.Duration(i) * 6 * time.Minute)
		lines = append(lines, at.UTC().Format(time.RFC3339)+" INFO rendered /courses in 31 ms")
		if i >= 200-frontendFailing {
			lines = append(lines, at.UTC().Add(time.Second).Format(time.RFC3339)+" ERROR FetchError: request to http://api.internal/courses failed, reason: connect ECONNREFUSED 127.0.0.1:3000")
		}
	}
	return lines
}

func accessLines(now time.Time) []string {
	var lines []string
	for i := range 2000 {
		at := now.Add(-time.Hour).Add(time.Duration(i) * 1800 * time.Millisecond)
		status := 200
		if i%100 == 99 {
			status = 502
		}
		lines = append(lines, fmt.Sprintf(`192.0.2.%d - - [%s] "GET /courses/%d HTTP/1.1" %d 5120 "-" "Mozilla/5.0" Response-Time: 0.%03d`,
			i%250, at.Format("02/Jan/2006:15:04:05 -0700"), i%60, status, 20+i%90))
	}
	return lines
}

func backupLines(now time.Time) []string {
	began := now.Add(-5 * time.Hour)
	return []string{
		began.UTC().Format("2006-01-02 15:04:05") + " INFO starting backup of advanced_lms",
		began.Add(40*time.Second).UTC().Format("2006-01-02 15:04:05") + " INFO Backup completed successfully",
	}
}

func writeLines(path string, lines []string, zip bool) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, f.Close()) }()
	var out io.WriteCloser = f
	if zip {
		out = gzip.NewWriter(f)
	}
	buffered := bufio.NewWriter(out)
	for _, l := range lines {
		if _, err := buffered.WriteString(l + "\n"); err != nil {
			return err
		}
	}
	if err := buffered.Flush(); err != nil || !zip {
		return err
	}
	return out.Close()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// keepLogging appends an ordinary line to the platform's log now and then, so
// that a tail sees life and silence would be news.
func keepLogging(ctx context.Context, dir string) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			appendLine(filepath.Join(dir, "combined.log"), entry{at: at, level: "INFO", msg: fmt.Sprintf("GET /courses/%d 200 %d ms", i%60, 12+i%40)}.json())
			appendLine(filepath.Join(dir, "frontend.log"), at.UTC().Format(time.RFC3339)+" INFO rendered /courses in 31 ms")
		}
	}
}

func appendLine(path, line string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the sandbox is being removed
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}
