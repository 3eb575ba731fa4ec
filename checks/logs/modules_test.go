package logs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	checktest.Family(t, Family())
}

func envOf(src checks.LogSource) checks.Env {
	return checks.Env{Now: func() time.Time { return benchNow }, Site: checks.SiteFacts{Zone: time.UTC, Logs: map[string]checks.LogSource{"app": src}}}
}

func with(given map[string]any, more ...any) map[string]any {
	all := map[string]any{"source": "app"}
	for k, v := range given {
		all[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

func count(t *testing.T, src checks.LogSource, given map[string]any) checks.Result {
	t.Helper()
	return checktest.Run(t, envOf(src), Count, with(given))
}

func factOf(res checks.Result, name string) string {
	for _, f := range res.Facts {
		if f.Name == name {
			return f.String()
		}
	}
	return "absent"
}

func logOf(t *testing.T, lines ...string) checks.LogSource {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.log")
	write(t, path, lines...)
	return sourceAt(path)
}

func repeated(n int, line func(i int) string) []string {
	var lines []string
	for i := range n {
		lines = append(lines, line(i))
	}
	return lines
}

func TestCountJudgesTheLastHourOnly(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]checks.Level{0: checks.OK, 10: checks.OK, 11: checks.Warn, 51: checks.Crit} {
		lines := append(repeated(200, func(i int) string { return at(3*time.Hour-time.Duration(i)*time.Second, "[error]: yesterday's news") }),
			at(40*time.Minute, "[info]: NO_ERROR"))
		lines = append(lines, repeated(n, func(i int) string {
			return at(30*time.Minute-time.Duration(i)*time.Second, fmt.Sprintf("[error]: cannot save quiz %d", i))
		})...)
		res := count(t, logOf(t, lines...), nil)
		if res.Level != want || factOf(res, "count") != fmt.Sprint(n) {
			t.Errorf("%d errors: %v, counted %s %s", n, res.Level, factOf(res, "count"), res.Err)
		}
		if n > 0 && factOf(res, "signatures") != "1" {
			t.Errorf("%s signatures of one error", factOf(res, "signatures"))
		}
	}
}

func TestCountIsUnknownWhenItCannotTell(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		src  checks.LogSource
		says string
	}{
		"no stamps": {logOf(t, "one", "two", "three"), "parsed 0 of 3 lines"},
		"no levels": {logOf(t, at(time.Minute, "hello there"), at(time.Minute, "and again")), "names a level"},
		"empty":     {sourceAt(filepath.Join(t.TempDir(), "x")), "no file matches"},
	} {
		res := count(t, tt.src, nil)
		if res.Level != checks.Unknown || !strings.Contains(res.Err, tt.says) {
			t.Errorf("%s: %v %q", name, res.Level, res.Err)
		}
	}
	empty := logOf(t)
	if err := os.Truncate(empty.Paths[0], 0); err != nil {
		t.Fatal(err)
	}
	if res := count(t, empty, nil); res.Level != checks.Unknown || res.Class != checks.NoData {
		t.Errorf("an empty log: %v %v", res.Level, res.Class)
	}
	if res := checktest.Run(t, checks.Env{}, Count, with(nil)); res.Level != checks.Skipped {
		t.Errorf("a site without logs: %v", res.Level)
	}
}

func TestManyUnparsedLinesWarn(t *testing.T) {
	t.Parallel()
	lines := repeated(50, func(i int) string { return at(time.Minute, "[info]: fine") })
	lines = append(lines, "what is this", "and this")
	if res := count(t, logOf(t, lines...), nil); res.Level != checks.Warn {
		t.Errorf("%v with %s unparsed", res.Level, factOf(res, "unparsed"))
	}
}

func TestCountOfAPattern(t *testing.T) {
	t.Parallel()
	src := logOf(t, at(time.Minute, "payment 12 declined"), at(time.Minute, "payment 13 accepted"))
	if res := count(t, src, map[string]any{"pattern": `payment \d+ declined`}); res.Level != checks.OK || factOf(res, "count") != "1" {
		t.Errorf("%v %s %s", res.Level, factOf(res, "count"), res.Err)
	}
}

func TestMatchGroupsAndKnowsWhatIsNew(t *testing.T) {
	t.Parallel()
	src := logOf(t, at(3*time.Minute, "[error]: connect ECONNREFUSED 10.0.0.5:5432"), at(2*time.Minute, "[error]: connect ECONNREFUSED 10.0.0.5:5432"))
	runner := checks.NewRunner(envOf(src), nil)
	check, problems := checks.NewCheck(Match, "log.match", with(nil, "set", "db_conn"), checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	first := checktest.RunCheck(t, runner, check)
	if first.Level != checks.Warn || factOf(first, "matches") != "2" || factOf(first, "signatures") != "1" || factOf(first, "new_signatures") != "absent" {
		t.Errorf("%v %v %s", first.Level, first.Facts, first.Err)
	}
	f, err := os.OpenFile(src.Paths[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(at(time.Minute, "[error]: Connection terminated unexpectedly\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if second := checktest.RunCheck(t, runner, check); factOf(second, "new_signatures") != "1" {
		t.Errorf("%s new signatures", factOf(second, "new_signatures"))
	}
}

func TestMatchLevels(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lines []string
		with  map[string]any
		want  checks.Level
	}{
		"nothing":       {[]string{at(time.Minute, "[info]: fine")}, map[string]any{"set": "db_conn"}, checks.OK},
		"ten":           {repeated(10, func(int) string { return at(time.Minute, "[error]: connect ECONNREFUSED 10.0.0.5:5432") }), map[string]any{"set": "db_conn"}, checks.Crit},
		"one urgent":    {[]string{at(time.Minute, "FATAL:  sorry, too many clients already")}, map[string]any{"set": "pg_conn"}, checks.Crit},
		"no stamps":     {[]string{"Backup completed"}, map[string]any{"set": "backup_ok"}, checks.Unknown},
		"backup good":   {[]string{at(9*time.Hour, "backup failed"), at(8*time.Hour, "backup completed")}, map[string]any{"set": "backup_error", "success": "backup_ok"}, checks.Warn},
		"backup silent": {[]string{at(8*time.Hour, "backup started")}, map[string]any{"set": "backup_error", "success": "backup_ok"}, checks.Crit},
		"backup broken": {[]string{at(8*time.Hour, "backup completed"), at(7*time.Hour, "cp: No space left on device")}, map[string]any{"set": "backup_error", "success": "backup_ok"}, checks.Crit},
	} {
		res := checktest.Run(t, envOf(logOf(t, tt.lines...)), Match, with(tt.with))
		if res.Level != tt.want {
			t.Errorf("%s: %v, want %v: %v %s", name, res.Level, tt.want, res.Facts, res.Err)
		}
	}
}

func TestFailedLoginsAreGroupedAndMasked(t *testing.T) {
	t.Parallel()
	lines := repeated(7, func(i int) string { return at(time.Minute, "[warn]: login failed for user jane from 203.0.113.7") })
	lines = append(lines, at(time.Minute, "[warn]: login failed for user joe from 198.51.100.9"))
	res := checktest.Run(t, envOf(logOf(t, lines...)), Match, with(nil, "set", "auth_fail"))
	if factOf(res, "sources") != "2" || factOf(res, "top_source") != "7" {
		t.Errorf("sources %s, top %s", factOf(res, "sources"), factOf(res, "top_source"))
	}
	if shown := fmt.Sprint(res.Tables, res.Detail); strings.Contains(shown, "113.7") || strings.Contains(shown, "jane") {
		t.Errorf("personal data are shown: %s", shown)
	}
}

// postgresSettings stands in for a connection; the real one belongs to
// checks/postgres.
type postgresSettings map[string]string

func (p postgresSettings) Close() error { return nil }

func (p postgresSettings) Setting(_ context.Context, name string) (string, error) {
	return p[name], nil
}

func TestSilenceOfTheServerIsBelievedOnlyWhenItWouldSpeak(t *testing.T) {
	t.Parallel()
	slow := benchNow.Add(-time.Minute).Format("2006-01-02 15:04:05.000 UTC") + " [812] LOG:  duration: 2500.5 ms  statement: select 1"
	quick := strings.Replace(slow, "2500.5", "20.5", 1)
	for name, tt := range map[string]struct {
		line, setting string
		want          checks.Level
	}{
		"slow":                    {slow, "-1", checks.Warn},
		"quick, all logged":       {quick, "0", checks.OK},
		"quick, logged from 250":  {quick, "250ms", checks.OK},
		"quick, logged from 5 s":  {quick, "5s", checks.Unknown},
		"quick, not logged":       {quick, "-1", checks.Unknown},
		"quick, no server to ask": {quick, "", checks.Unknown},
	} {
		env := envOf(logOf(t, tt.line))
		if tt.setting != "" {
			env.Site.Connections = []checks.Connection{{Kind: "postgres", Name: "main"}}
			env.Handle = func(string, string) (checks.Handle, error) {
				return postgresSettings{"log_min_duration_statement": tt.setting}, nil
			}
		}
		res := checktest.Run(t, env, Match, with(nil, "set", "pg_slow"))
		if res.Level != tt.want {
			t.Errorf("%s: %v, want %v: %s", name, res.Level, tt.want, res.Err)
		}
	}
}

func TestTailShowsTheNewestLinesAndTheSilence(t *testing.T) {
	t.Parallel()
	src := logOf(t, repeated(300, func(i int) string {
		return at(5*time.Hour-time.Duration(i)*time.Minute/2, fmt.Sprintf("[info]: %d", i))
	})...)
	write(t, src.Paths[0]+".1", at(9*time.Hour, "[info]: rotated"))
	written := time.Now().Add(-time.Hour)
	if err := os.Chtimes(src.Paths[0]+".1", written, written); err != nil {
		t.Fatal(err)
	}
	res := checktest.Run(t, envOf(src), Tail, with(nil, "lines", 200, "max_silence", "1h"))
	table, _ := res.Table("lines")
	if res.Level != checks.Crit || len(table.Rows) != 200 || !strings.HasSuffix(table.Rows[199][2].Text, ": 299") {
		t.Errorf("%v, %d rows %s", res.Level, len(table.Rows), res.Err)
	}
	if res := checktest.Run(t, envOf(src), Tail, with(nil, "max_silence", "3h")); res.Level != checks.OK {
		t.Errorf("%v silent %s", res.Level, factOf(res, "silent"))
	}
	if res := checktest.Run(t, envOf(src), Tail, with(nil, "lines", 301)); factOf(res, "lines") != "301" {
		t.Errorf("%s lines with the rotated file", factOf(res, "lines"))
	}
	if res := checktest.Run(t, envOf(sourceAt("/nothing/x.log")), Tail, with(nil)); res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("a missing log: %v %v", res.Level, res.Class)
	}
}

// engine stands in for a container engine; the real one belongs to
// checks/docker.
type engine struct{ text string }

func (e engine) Close() error { return nil }

func (e engine) Logs(context.Context, string, time.Time, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(e.text)), nil
}

func TestComposeCountsRecordsOfTheService(t *testing.T) {
	t.Parallel()
	stamp := func(old time.Duration, rest string) string {
		return benchNow.Add(-old).Format(time.RFC3339Nano) + " " + rest + "\n"
	}
	text := stamp(time.Hour, `{"level":"error","msg":"connect ECONNREFUSED db:5432"}`) + stamp(time.Hour, "TypeError: x is not a function") +
		stamp(time.Hour, "    at run (/srv/app.js:3:5)") + stamp(30*time.Minute, "2026-11-23T11:30:00.000Z [info]: fine")
	env := checks.Env{Now: func() time.Time { return benchNow }, Site: checks.SiteFacts{Connections: []checks.Connection{{Kind: "docker", Name: "main"}}},
		Handle: func(string, string) (checks.Handle, error) { return engine{text}, nil }}
	res := checktest.Run(t, env, Compose, map[string]any{"service": "backend"})
	matches := map[string]string{}
	for _, f := range res.Facts {
		if f.Name == "matches" {
			matches[f.Label] = f.String()
		}
	}
	if res.Level != checks.OK || factOf(res, "lines") != "4" || factOf(res, "errors") != "1" || matches["db_conn"] != "1" || matches["unhandled"] != "1" || factOf(res, "unparsed") != "0 %" {
		t.Errorf("%v %v %s", res.Level, res.Facts, res.Err)
	}
	if res := checktest.Run(t, env, Compose, map[string]any{"service": "backend", "max_bytes": "100B"}); res.Level != checks.Warn {
		t.Errorf("a log longer than the limit: %v", res.Level)
	}
}

func TestComposeWithoutAnEngineReadsTheSourceOfThatName(t *testing.T) {
	t.Parallel()
	src := logOf(t, at(time.Minute, "[error]: connect ECONNREFUSED 10.0.0.5:5432"))
	res := checktest.Run(t, envOf(src), Compose, map[string]any{"service": "app"})
	if res.Level != checks.OK || factOf(res, "errors") != "1" {
		t.Errorf("%v %s %s", res.Level, factOf(res, "errors"), res.Err)
	}
	if res := checktest.Run(t, envOf(src), Compose, map[string]any{"service": "other"}); res.Level != checks.Skipped {
		t.Errorf("neither engine nor source: %v", res.Level)
	}
}

func TestASourceIsFoundInAJSONLineWhoseStampComesLast(t *testing.T) {
	l := &line{text: []byte(`{"message":"authentication failed from 203.0.113.7","timestamp":"2026-11-23T03:00:00Z"}`)}
	l.end = len(l.text) - 2
	if got := sourceOf("ip", l.named()); got != "203.0.113.7" {
		t.Errorf("the source is %q", got)
	}
}
