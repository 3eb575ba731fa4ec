package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// TestErrorsBehindAnUndatedBeginningAreCounted: a file may begin with any
// amount of what has no stamp, and is read on behind it.
func TestErrorsBehindAnUndatedBeginningAreCounted(t *testing.T) {
	t.Parallel()
	var errors strings.Builder
	for i := range 20_000 {
		fmt.Fprintln(&errors, at(50*time.Minute-time.Duration(i)*time.Millisecond, "ERROR cannot connect ECONNREFUSED 10.0.0.5:5432"))
	}
	for name, begins := range map[string]string{
		"NULs":              strings.Repeat("\x00", 3<<20),
		"blank lines":       strings.Repeat("\n", 3<<20),
		"a stack trace":     "TypeError: x\n" + strings.Repeat("    at run (/srv/app.js:3:5)\n", 100_000),
		"lines of no stamp": strings.Repeat("listening on 3000\n", 100_000),
		"one long line":     strings.Repeat("x", 3<<20) + "\n",
	} {
		path := filepath.Join(t.TempDir(), "app.log")
		if err := os.WriteFile(path, []byte(begins+errors.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		res := count(t, sourceAt(path), nil)
		if res.Level != checks.Crit || factOf(res, "count") != "20000" {
			t.Errorf("behind %s: %v, counted %s %s", name, res.Level, factOf(res, "count"), res.Err)
		}
		res = checktest.Run(t, envOf(sourceAt(path)), Match, with(nil, "set", "db_conn"))
		if res.Level != checks.Crit || factOf(res, "matches") != "20000" {
			t.Errorf("behind %s: %v, matched %s %s", name, res.Level, factOf(res, "matches"), res.Err)
		}
	}
}

// TestAHoleIsNotRead: a log truncated under its writer is a hole up to where
// the writer goes on, however large.
func TestAHoleIsNotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		line := at(50*time.Minute-time.Duration(i)*time.Second, "ERROR boom\n")
		if _, err := f.WriteAt([]byte(line), 64<<30+int64(i*len(line))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if res := count(t, sourceAt(path), nil); res.Level != checks.Crit || factOf(res, "count") != "60" {
		t.Errorf("%v, counted %s %s", res.Level, factOf(res, "count"), res.Err)
	}
}

// TestAnOKNeedsALogThatWasUnderstood lists what makes a quiet log unknown, and
// what is ordinary in a log and does not.
func TestAnOKNeedsALogThatWasUnderstood(t *testing.T) {
	t.Parallel()
	fine := func(n int) []string {
		return repeated(n, func(i int) string {
			return at(50*time.Minute-time.Duration(i)*time.Second, fmt.Sprintf("INFO course %d", i))
		})
	}
	for name, tt := range map[string]struct {
		lines []string
		says  string // "" for an ok
	}{
		"records":                        {fine(200), ""},
		"a stack trace and blank lines":  {append(fine(200), "", "TypeError: x", "    at run (/srv/app.js:3:5)", "", "}"), ""},
		"begins inside a stack trace":    {append([]string{"    at run (/srv/app.js:3:5)", "Caused by: y", ""}, fine(200)...), ""},
		"NULs, as behind a truncation":   {append([]string{strings.Repeat("\x00", 5000)}, fine(200)...), ""},
		"an undated beginning, long ago": {append([]string{"listening on 3000", at(3*time.Hour, "INFO started")}, fine(200)...), ""},
		"one record without a level":     {append(fine(200), at(time.Minute, "listening on 3000")), ""},
		"an undated beginning":           {append([]string{"listening on 3000"}, fine(200)...), `1 of 201 lines have no time stamp and continue no record, first "listening on 3000"`},
		"a line that continues nothing":  {append(fine(200), "Killed"), `first "Killed"`},
		"stamps ahead of now":            {append(fine(200), at(-3*time.Hour, "ERROR boom")), "1 lines are dated more than 2 m ahead of now: check the zone"},
		"levels of another language":     {append(fine(200), repeated(30, func(int) string { return at(time.Minute, "FEHLER:  Verbindung") })...), "30 of 230 records name no level that is known"},
		"levels in colour":               {append(fine(200), repeated(30, func(int) string { return at(time.Minute, "\x1b[31mFEHLER\x1b[0m boom") })...), "30 of 230 records name no level"},
		"JSON behind a head of syslog": {append(fine(200), repeated(30, func(int) string {
			return benchNow.Add(-time.Minute).Format(time.Stamp) + ` web app[7]: {"level":"error","msg":"boom"}`
		})...), "30 of 230 records name no level"},
		"an error in a record of no level": {append(fine(200), at(time.Minute, "the job ended with an error again")), "mentions an error"},
	} {
		res := count(t, logOf(t, tt.lines...), nil)
		want := checks.OK
		if tt.says != "" {
			want = checks.Unknown
		}
		if res.Level != want || !strings.Contains(res.Err, tt.says) {
			t.Errorf("%s: %v %q, want %v %q", name, res.Level, res.Err, want, tt.says)
		}
	}
	if res := count(t, logOf(t, append(fine(20), repeated(51, func(int) string { return at(time.Minute, "ERROR boom") })...)...), nil); res.Level != checks.Crit {
		t.Errorf("51 errors: %v", res.Level)
	}
	loud := append(repeated(51, func(int) string { return at(time.Minute, "ERROR boom") }), "Killed")
	if res := count(t, logOf(t, loud...), nil); res.Level != checks.Crit {
		t.Errorf("51 errors beside a line that was not understood: %v", res.Level)
	}
}

// TestNoErrorsOfAServiceNeedLevels: where no record names one, 0 errors are not
// known to be none; what was found in the records still counts.
func TestNoErrorsOfAServiceNeedLevels(t *testing.T) {
	t.Parallel()
	compose := func(text, rule string) checks.Result {
		env := checks.Env{
			Now: func() time.Time { return benchNow }, Site: checks.SiteFacts{Connections: []checks.Connection{{Kind: "docker", Name: "main"}}},
			Handle: func(string, string) (checks.Handle, error) { return engine{text}, nil },
		}
		c, problems := checks.NewCheck(Compose, "c", map[string]any{"service": "pay"}, checks.Rules{Fail: checks.Rule{Text: rule}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return checks.NewRunner(env, nil).Run(t.Context(), c)
	}
	lines := func(n int, said string) string {
		return strings.Repeat(benchNow.Add(-time.Hour).Format(time.RFC3339Nano)+" "+said+"\n", n)
	}
	for name, tt := range map[string]struct {
		text, rule string
		level      checks.Level
		says       string
	}{
		"errors without a level":          {lines(250, "payment: error while charging"), "errors > 10", checks.Unknown, "mentions an error"},
		"nothing of a level":              {lines(3, "payment: charging"), "errors > 10", checks.Unknown, "none of 3 records names a level"},
		"a level in each":                 {lines(3, "[info]: charging"), "errors > 10", checks.OK, ""},
		"nothing of a level, but a match": {lines(3, "connect ECONNREFUSED db:5432"), "matches > 0", checks.Crit, ""},
		"no record":                       {"", "errors > 10", checks.OK, ""},
	} {
		if res := compose(tt.text, tt.rule); res.Level != tt.level || !strings.Contains(res.Err, tt.says) {
			t.Errorf("%s: %v %q, want %v %q", name, res.Level, res.Err, tt.level, tt.says)
		}
	}
}

// TestAFileWithoutADatedLineIsNotSilence: a trace alone, or NULs alone.
func TestAFileWithoutADatedLineIsNotSilence(t *testing.T) {
	t.Parallel()
	trace := logOf(t, "TypeError: x", "    at run (/srv/app.js:3:5)")
	if res := count(t, trace, nil); res.Level != checks.Unknown || !strings.Contains(res.Err, "parsed 0 of 2 lines") {
		t.Errorf("a trace alone: %v %q", res.Level, res.Err)
	}
	zeros := logOf(t, strings.Repeat("\x00", 100))
	if res := count(t, zeros, nil); res.Level != checks.Unknown || res.Class != checks.NoData {
		t.Errorf("NULs alone: %v %q", res.Level, res.Err)
	}
	beside := logOf(t, at(time.Minute, "INFO fine"))
	beside.Paths = append(beside.Paths, trace.Paths[0])
	if res := count(t, beside, nil); res.Level != checks.Unknown || !strings.Contains(res.Err, "no line of "+trace.Paths[0]+" is dated") {
		t.Errorf("a trace beside a log: %v %q", res.Level, res.Err)
	}
}
