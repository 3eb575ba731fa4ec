package calendar

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func paris(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// tree is a host's root with the given files; a name that ends in "*" is
// executable, one that ends in "/" a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		mode := os.FileMode(0o644)
		if bare, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = bare, 0o755
		}
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// localtime is the file that makes a zone the host's.
func localtime(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("/usr/share/zoneinfo", name))
	if err != nil {
		t.Skipf("no zone database: %v", err)
	}
	return string(content)
}

func run(t *testing.T, env checks.Env, now time.Time, rules checks.Rules, with map[string]any) checks.Result {
	t.Helper()
	return runModule(t, Window, env, now, rules, with)
}

func runModule(t *testing.T, m *checks.Module, env checks.Env, now time.Time, rules checks.Rules, with map[string]any) checks.Result {
	t.Helper()
	raw := map[string]any{"days": "first sun", "start": "02:00"}
	for k, v := range with {
		raw[k] = v
	}
	c, problems := checks.NewCheck(m, "window", raw, rules)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	env.Now = func() time.Time { return now }
	if env.Site.Zone == nil {
		env.Site.Zone = paris(t)
	}
	return checks.NewRunner(env, clean.NewRedactor()).Run(t.Context(), c)
}

func value(t *testing.T, r checks.Result, name string) any {
	t.Helper()
	f, ok := r.Fact(name, "")
	if !ok {
		t.Fatalf("no fact %s in %+v", name, r.Facts)
	}
	return f.JSON()
}

// rows are a result's conflicts as "when who command source".
func rows(t *testing.T, r checks.Result) []string {
	t.Helper()
	table, ok := r.Table("conflicts")
	if !ok {
		t.Fatalf("no table of conflicts: %+v", r)
	}
	var list []string
	for _, row := range table.Rows {
		at := time.UnixMilli(int64(row[0].Num)).UTC().Format("15:04")
		list = append(list, strings.Join([]string{at, row[2].Text, row[3].Text, row[4].Text}, " "))
	}
	return list
}

func TestModulesKeepTheirPromises(t *testing.T) { checktest.Family(t, Family()) }

// The opening is on 6 december 2026, 02:00 to 04:00 CET: 01:00 to 03:00 UTC.
func december(hour, minute int) time.Time {
	return time.Date(2026, 12, 6, hour, minute, 0, 0, time.UTC)
}

func TestAQuietNightIsOK(t *testing.T) {
	root := tree(t, map[string]string{"etc/debian_version": "12.0", "etc/crontab": "SHELL=/bin/sh\n# nightly\n17 5 * * * root echo\n@reboot root echo up\n"})
	r := run(t, checks.Env{Root: root}, december(0, 0), checks.Rules{}, map[string]any{"reserve": "25m"})
	if r.Level != checks.OK {
		t.Fatalf("%s: %s %v", r.Level, r.Err, r.Why)
	}
	got := []any{value(t, r, "inside"), value(t, r, "next_start"), value(t, r, "until_start"), value(t, r, "length"), value(t, r, "notice_by"), value(t, r, "conflicts"), value(t, r, "unread")}
	hour := fact.DurValue(time.Hour).JSON()
	want := []any{false, "2026-12-06T02:00:00.000+01:00", hour, fact.DurValue(2 * time.Hour).JSON(), "2026-11-29T02:00:00.000+01:00", fact.NumberValue(0).JSON(), fact.NumberValue(0).JSON()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, ok := r.Fact("remaining", ""); ok {
		t.Error("time is left of a window that is closed")
	}
}

func TestInsideTheWindowItsTimeIsJudged(t *testing.T) {
	root := tree(t, nil)
	gate := checks.Rules{Fail: checks.Rule{Text: "inside == false or to_abort < 0s"}}
	for _, c := range []struct {
		now   time.Time
		rules checks.Rules
		want  checks.Level
	}{
		{december(1, 30), checks.Rules{}, checks.OK},
		{december(2, 0), checks.Rules{}, checks.Warn}, // half of it is spent
		{december(2, 30), gate, checks.Warn},
		{december(2, 40), gate, checks.Crit}, // past the abort point
		{december(3, 0), gate, checks.Crit},  // over
	} {
		if r := run(t, checks.Env{Root: root}, c.now, c.rules, nil); r.Level != c.want {
			t.Errorf("%v: %s %s %v, want %s", c.now, r.Level, r.Err, r.Why, c.want)
		}
	}
	r := run(t, checks.Env{Root: root}, december(1, 30), checks.Rules{}, nil)
	if got := []any{value(t, r, "remaining"), value(t, r, "to_abort"), value(t, r, "planned_within")}; !cmp.Equal(got, []any{
		fact.DurValue(90 * time.Minute).JSON(), fact.DurValue(65 * time.Minute).JSON(), fact.DurValue(28*24*time.Hour - 30*time.Minute).JSON(),
	}) {
		t.Errorf("remaining, to_abort, planned_within: %v", got)
	}
}

func TestAWindowTooFarOffWarns(t *testing.T) {
	r := run(t, checks.Env{Root: tree(t, nil)}, time.Date(2011, 12, 1, 12, 0, 0, 0, time.UTC), checks.Rules{},
		map[string]any{"days": "last fri", "timezone": "Pacific/Apia"}) // that friday does not exist there
	if r.Level != checks.Warn || len(r.Why) != 1 || r.Why[0].Fact != "planned_within" {
		t.Errorf("%s %s %v", r.Level, r.Err, r.Why)
	}
}

func TestWhatFiresInTheWindowIsListed(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/localtime":      localtime(t, "Europe/Paris"),
		"etc/debian_version": "12.0",
		"etc/crontab": `17 * * * * root cd / && run-parts --report /etc/cron.hourly
25 2 * * * root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 2 * * 7 root test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.weekly )
`,
		"etc/cron.daily/logrotate*": "#!/bin/sh\n", "etc/cron.daily/.placeholder": "", "etc/cron.daily/README": "not executable",
		"etc/cron.weekly/man-db*":         "#!/bin/sh\n",
		"etc/cron.hourly/.placeholder":    "",
		"etc/cron.d/e2scrub":              "30 3 * * 0 root test -e /run/lacking || e2scrub_all\n10 3 * * * root [ -d /etc/cron.d ] || never\n",
		"etc/cron.d/lms":                  "MAILTO=ops\n0 3 * * sun-mon postgres pg_dump --password=hunter22 lms\x1b[2J\n59 3 1-7 * * app purge\n0 4 * * * app late\n",
		"etc/cron.d/lms.bak":              "* * * * * root never\n",
		"var/spool/cron/crontabs/deploy":  "*/20 2-3 * dec * ./sync\n@hourly ./pulse\n",
		"var/spool/cron/crontabs/gardner": "CRON_TZ=America/New_York\n0 21 * * sat ./west\n",
	})
	r := run(t, checks.Env{Root: root}, december(0, 0), checks.Rules{}, nil)
	want := []string{
		"01:00 deploy ./sync /var/spool/cron/crontabs/deploy:1",
		"01:00 deploy ./pulse /var/spool/cron/crontabs/deploy:2",
		"01:25 root /etc/cron.daily/logrotate /etc/crontab:2",
		"01:47 root /etc/cron.weekly/man-db /etc/crontab:3",
		"02:00 postgres pg_dump --password=[redacted] lms /etc/cron.d/lms:2",
		"02:00 gardner ./west /var/spool/cron/crontabs/gardner:2",
		"02:30 root test -e /run/lacking || e2scrub_all /etc/cron.d/e2scrub:1",
		"02:59 app purge /etc/cron.d/lms:3",
	}
	got := rows(t, r)
	for i := range got {
		if strings.Contains(got[i], "pg_dump") {
			if strings.Contains(got[i], "hunter22") || strings.ContainsRune(got[i], '\x1b') {
				t.Errorf("not cleaned: %q", got[i])
			}
			got[i] = want[4]
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Level != checks.Warn || value(t, r, "conflicts") != fact.NumberValue(len(want)).JSON() || value(t, r, "unread") != fact.NumberValue(0).JSON() {
		t.Errorf("%s %s %v", r.Level, r.Err, r.Facts)
	}
	if !slices.ContainsFunc(r.Detail, func(s string) bool { return strings.Contains(s, "/etc/cron.hourly, where nothing is") }) {
		t.Errorf("detail %q", r.Detail)
	}
}

func TestAnacronTakesTheDailyJobsOver(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/sbin/anacron*": "", "etc/anacrontab": "SHELL=/bin/sh\n1\t5\tcron.daily\trun-parts /etc/cron.daily\n",
		"etc/crontab":       "25 1 * * * root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n",
		"etc/cron.daily/a*": "",
	})
	r := run(t, checks.Env{Root: root}, december(0, 0), checks.Rules{}, nil)
	if len(rows(t, r)) != 0 || !strings.Contains(strings.Join(r.Detail, "\n"), "1 jobs of /etc/anacrontab") {
		t.Errorf("rows %v, detail %q", rows(t, r), r.Detail)
	}
}

func TestWhatCannotBeReadIsNeverTakenForNothing(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a folder in a crontab's place": {map[string]string{"etc/crontab/": ""}, "/etc/crontab"},
		"a line that is no entry":       {map[string]string{"etc/crontab": "0 25 * * * root x\n"}, `/etc/crontab:1: "25" is not a hour`},
		"an unknown nickname":           {map[string]string{"etc/cron.d/x": "\n@dayly root x\n"}, `/etc/cron.d/x:2: "@dayly" is not a time`},
		"a zone that is none":           {map[string]string{"etc/cron.d/x": "CRON_TZ=Mars\n0 9 * * * root x\n"}, `/etc/cron.d/x:2: CRON_TZ names no zone: "Mars"`},
		"a zone file of garbage":        {map[string]string{"etc/localtime": "garbage"}, "/etc/localtime"},
		"a crontab beyond all bounds":   {map[string]string{"etc/crontab": strings.Repeat("#\n", maxCrontab)}, "larger than 256 KiB"},
		"timers without commands":       {map[string]string{"run/systemd/system/": ""}, "systemd timers: commands are not available"},
	} {
		r := run(t, checks.Env{Root: tree(t, c.files)}, december(0, 0), checks.Rules{}, nil)
		if r.Level != checks.Warn || value(t, r, "unread") != fact.NumberValue(1).JSON() || !strings.Contains(strings.Join(r.Detail, "\n"), c.want) {
			t.Errorf("%s: %s %s, detail %q", name, r.Level, r.Err, r.Detail)
		}
	}
}

func TestCrontabsOfOthersAreNamedAsNotRead(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("giving up permissions needs root")
		}
		t.Skip("giving up permissions needs root")
	}
	root := tree(t, map[string]string{"var/spool/cron/crontabs/root": "0 2 * * * x\n"})
	for dir := root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "var/spool/cron/crontabs"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := runModule(t, asNobody(Window), checks.Env{Root: root}, december(0, 0), checks.Rules{}, nil)
	if r.Level != checks.Warn || !slices.Contains(r.Detail, "careful: not read, may hold more: /var/spool/cron/crontabs: permission denied") {
		t.Errorf("%s %s, detail %q", r.Level, r.Err, r.Detail)
	}
}

// asNobody is a module that runs without root's permissions on files.
func asNobody(m *checks.Module) *checks.Module {
	masked := *m
	masked.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
		return m.Run(ctx, env, args)
	}
	return &masked
}

func TestAWindowThatNobodyCanPlaceIsUnknown(t *testing.T) {
	c, problems := checks.NewCheck(Window, "window", map[string]any{"days": "daily", "start": "02:00"}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	env := checks.Env{Root: t.TempDir(), Now: func() time.Time { return december(0, 0) }}
	if r := checks.NewRunner(env, nil).Run(t.Context(), c); r.Level != checks.Unknown || r.Class != checks.Unconfigured {
		t.Errorf("no zone: %s %s", r.Level, r.Err)
	}
	if r := run(t, checks.Env{}, december(0, 0), checks.Rules{}, nil); r.Level != checks.Unknown || r.Class != checks.Unconfigured {
		t.Errorf("no root: %s %s", r.Level, r.Err)
	}
	if r := run(t, checks.Env{Root: t.TempDir()}, december(0, 0), checks.Rules{}, nil); r.Level != checks.Unknown || r.Class != checks.Missing {
		t.Errorf("no host: %s %s", r.Level, r.Err)
	}
	if r := run(t, checks.Env{Root: tree(t, nil)}, december(0, 0), checks.Rules{}, map[string]any{"length": "20m"}); r.Level != checks.Unknown || !strings.Contains(r.Err, "leaves nothing") {
		t.Errorf("a reserve longer than the window: %s %s", r.Level, r.Err)
	}
}

func TestMistakesInParametersAreSeenAtLoad(t *testing.T) {
	for _, raw := range []map[string]any{
		{"days": "first snu", "start": "02:00"}, {"days": "sun", "start": "2am"}, {"days": "sun", "start": "02:00", "timezone": "Local"}, {"start": "02:00"},
	} {
		if _, problems := checks.NewCheck(Window, "w", raw, checks.Rules{}); len(problems) != 1 {
			t.Errorf("%v: %v", raw, problems)
		}
	}
}
