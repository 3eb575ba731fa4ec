package calendar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// guideJob is the guide's own line, as the site file wants it.
var guideJob = checks.CronJob{Name: "db-maintenance", Command: "/usr/local/bin/db-maintenance.sh", Schedule: "0 3 * * *", User: "root", Log: "/var/log/db-maintenance.log", Success: "Completed"}

const guideLine = "0 3 * * * root /usr/local/bin/db-maintenance.sh\n"

// job runs cron.present on a tree in which a cron runs, at noon of the first
// of december; the job's log was written at 03:05 and is age older than that.
func job(t *testing.T, files map[string]string, age time.Duration, j checks.CronJob) checks.Result {
	t.Helper()
	all := map[string]string{"etc/debian_version": "12.0", "proc/7/comm": "cron\n", "etc/localtime": localtime(t, "Europe/Paris")}
	for name, content := range files {
		all[name] = content
	}
	root := tree(t, all)
	now := december(12, 0)
	written := december(3, 5).Add(-age)
	for _, name := range []string{j.Log, j.Log + ".1"} {
		if err := os.Chtimes(filepath.Join(root, name), written, written); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	env := checks.Env{Root: root, Now: func() time.Time { return now }, Site: checks.SiteFacts{Cron: map[string]checks.CronJob{j.Name: j}}}
	return checktest.Run(t, env, Present, map[string]any{"job": j.Name})
}

func TestCronPresentScenes(t *testing.T) {
	const log = "var/log/db-maintenance.log"
	good := "=== Started ===\nVACUUM\n=== Completed: Tue ===\n"
	for name, c := range map[string]struct {
		files map[string]string
		age   time.Duration
		want  checks.Level
		says  string
	}{
		"it ran last night":                {map[string]string{"etc/crontab": guideLine, log: good}, 0, checks.OK, ""},
		"a user's own crontab":             {map[string]string{"var/spool/cron/crontabs/root": "0 3 * * * /usr/local/bin/db-maintenance.sh\n", log: good}, 0, checks.OK, ""},
		"its log was rotated since":        {map[string]string{"etc/crontab": guideLine, log: "", log + ".1": good}, 0, checks.OK, ""},
		"it did not run for two nights":    {map[string]string{"etc/crontab": guideLine, log: good}, 24 * time.Hour, checks.Warn, ""},
		"it runs twice":                    {map[string]string{"etc/crontab": guideLine, "etc/cron.d/lms": guideLine, log: good}, 0, checks.Warn, ""},
		"it ran and failed":                {map[string]string{"etc/crontab": guideLine, log: good + "ERROR: deadlock\n"}, 0, checks.Crit, ""},
		"nobody runs it":                   {map[string]string{"etc/crontab": "", log: good}, 0, checks.Crit, ""},
		"the line is commented out":        {map[string]string{"etc/crontab": "#" + guideLine, log: good}, 0, checks.Crit, ""},
		"another script of a like name":    {map[string]string{"etc/crontab": strings.ReplaceAll(guideLine, ".sh", ".sh.bak"), log: good}, 0, checks.Crit, ""},
		"at another time":                  {map[string]string{"etc/crontab": strings.Replace(guideLine, "3", "5", 1), log: good}, 0, checks.Crit, "another time"},
		"as another user":                  {map[string]string{"etc/crontab": strings.Replace(guideLine, "root", "www-data", 1), log: good}, 0, checks.Crit, "another time or user"},
		"in a file that cron leaves out":   {map[string]string{"etc/cron.d/lms.cron": guideLine, log: good}, 0, checks.Crit, ""},
		"in a file whose last line is cut": {map[string]string{"etc/cron.d/lms": strings.TrimSpace(guideLine), log: good}, 0, checks.Crit, "does not end"},
		"no cron runs":                     {map[string]string{"etc/crontab": guideLine, "proc/7/comm": "sshd\n", log: good}, 0, checks.Crit, ""},
		"no log at all":                    {map[string]string{"etc/crontab": guideLine}, 0, checks.Unknown, ""},
		"an empty log":                     {map[string]string{"etc/crontab": guideLine, log: "\n"}, 0, checks.Unknown, ""},
		"a log from the future":            {map[string]string{"etc/crontab": guideLine, log: good}, -48 * time.Hour, checks.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := job(t, c.files, c.age, guideJob)
			if said := strings.Join(r.Detail, "\n"); r.Level != c.want || !strings.Contains(said, c.says) {
				t.Errorf("%v, want %v with %q: %s %+v\n%s", r.Level, c.want, c.says, r.Err, r.Why, said)
			}
		})
	}
}

func TestACrontabThatAnybodyMayWriteIsNotRead(t *testing.T) {
	root := tree(t, map[string]string{"etc/debian_version": "12.0", "proc/7/comm": "cron\n", "etc/cron.d/lms": guideLine})
	if err := os.Chmod(filepath.Join(root, "etc/cron.d/lms"), 0o666); err != nil {
		t.Fatal(err)
	}
	env := checks.Env{Root: root, Site: checks.SiteFacts{Cron: map[string]checks.CronJob{"db-maintenance": guideJob}}}
	if r := checktest.Run(t, env, Present, map[string]any{"job": "db-maintenance"}); r.Level != checks.Crit || !strings.Contains(strings.Join(r.Detail, "\n"), "may write it") {
		t.Errorf("%+v", r)
	}
}

// TestALineInACrontabNobodyMayReadIsUnknown: "missing" would be a guess.
func TestALineInACrontabNobodyMayReadIsUnknown(t *testing.T) {
	r := job(t, map[string]string{"etc/crontab/": ""}, 0, guideJob)
	if r.Level != checks.Unknown || r.Class != checks.Denied {
		t.Errorf("%+v", r)
	}
}

func TestASiteWithoutTheJobDoesNotHaveIt(t *testing.T) {
	r := checktest.Run(t, checks.Env{Root: tree(t, nil)}, Present, map[string]any{"job": "db-maintenance"})
	if r.Level != checks.Skipped {
		t.Errorf("%+v", r)
	}
}

// TestTheGuidesWeeklyJobFailsWithoutAPassForEightDays: its log has no time in
// it and is read by nobody.
func TestTheGuidesWeeklyJobFailsWithoutAPassForEightDays(t *testing.T) {
	weekly := checks.CronJob{Name: "verify-backup", Command: "/usr/local/bin/verify-backup.sh", Schedule: "0 4 * * 0", Log: "/var/log/backup-verify.log", Success: "PASSED"}
	line := "0 4 * * sun root /usr/local/bin/verify-backup.sh >> /var/log/backup-verify.log 2>&1\n"
	for name, c := range map[string]struct {
		last string
		age  time.Duration
		want checks.Level
	}{
		"passed last sunday": {"Backup verification PASSED\n", 5 * 24 * time.Hour, checks.OK},
		"failed last sunday": {"Backup verification PASSED\nBackup verification FAILED\n", 5 * 24 * time.Hour, checks.Crit},
		"none for long":      {"Backup verification PASSED\n", 9 * 24 * time.Hour, checks.Crit},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"etc/crontab": line, "proc/7/comm": "cron\n", "var/log/backup-verify.log": c.last})
			now := december(12, 0)
			at := now.Add(-c.age)
			if err := os.Chtimes(filepath.Join(root, weekly.Log), at, at); err != nil {
				t.Fatal(err)
			}
			env := checks.Env{Root: root, Now: func() time.Time { return now }, Site: checks.SiteFacts{Cron: map[string]checks.CronJob{weekly.Name: weekly}}}
			rules := checks.Rules{Warn: checks.Rule{Text: "lines > 1"}, Fail: checks.Rule{Text: "present == false or daemon == false or passed == false or last_run > 8d"}}
			check, problems := checks.NewCheck(Present, "weekly", map[string]any{"job": weekly.Name}, rules)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if r := checktest.RunCheck(t, checks.NewRunner(env, nil), check); r.Level != c.want {
				t.Errorf("%v, want %v: %s %+v", r.Level, c.want, r.Err, r.Why)
			}
		})
	}
}

// TestClockChangesThatHitAJobAreCounted: 02:30 is skipped in march and comes
// twice in october; the guide's 03:00 in Paris is neither.
func TestClockChangesThatHitAJobAreCounted(t *testing.T) {
	for schedule, want := range map[string]int{"30 2 * * *": 2, "0 3 * * *": 0, "0 4 * * 0": 0} {
		spec, err := scheduleOf(schedule)
		if err != nil {
			t.Fatal(err)
		}
		if got := spec.clockChanges(december(0, 0), december(0, 0).AddDate(1, 0, 0), paris(t)); len(got) != want {
			t.Errorf("%s: %v, want %d", schedule, got, want)
		}
	}
}

// TestTheGuidesNightlyJobCollidesWithItsOwnWindow: 03:00 lies between 02:00
// and 04:00.
func TestTheGuidesNightlyJobCollidesWithItsOwnWindow(t *testing.T) {
	root := tree(t, map[string]string{"etc/crontab": guideLine, "etc/localtime": localtime(t, "Europe/Paris")})
	r := run(t, checks.Env{Root: root}, december(12, 0), checks.Rules{}, nil)
	if r.Level != checks.Warn || !strings.Contains(strings.Join(rows(t, r), "\n"), "db-maintenance.sh") {
		t.Errorf("%v %v", r.Level, rows(t, r))
	}
}

func FuzzRuns(f *testing.F) {
	f.Add("cd / && /usr/local/bin/x.sh >> /var/log/x 2>&1", "/usr/local/bin/x.sh")
	f.Add("x", "")
	f.Fuzz(func(t *testing.T, command, want string) {
		if runs(command, want) && !strings.Contains(strings.Join(strings.Fields(command), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%q runs %q", command, want)
		}
	})
}

// TestALineWithoutProofOfARunIsNeverOK: rules leave out what is not known.
func TestALineWithoutProofOfARunIsNeverOK(t *testing.T) {
	bare := guideJob
	bare.Log, bare.Success = "", ""
	if r := job(t, map[string]string{"etc/crontab": guideLine}, 0, bare); r.Level != checks.Unknown || r.Class != checks.Unconfigured {
		t.Errorf("%+v", r)
	}
	half := guideJob
	half.Success = ""
	if r := job(t, map[string]string{"etc/crontab": guideLine, "var/log/db-maintenance.log": "x\n"}, 0, half); r.Level != checks.Unknown {
		t.Errorf("%+v", r)
	}
}
