package calendar

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// systemd answers as systemctl of systemd 252 does; the calendar is worked out
// by the real systemd-analyze.
func systemd(t *testing.T, list, show string) checks.Exec {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	real := command.NewExec()
	return func(ctx context.Context, call checks.Call) (checks.Output, error) {
		switch {
		case call.Argv[0] != "systemctl":
			return real(ctx, call)
		case call.Argv[1] == "list-timers":
			return checks.Output{Stdout: []byte(list)}, nil
		}
		return checks.Output{Stdout: []byte(show)}, nil
	}
}

const timerList = `[{"next":1796720400000000,"left":1,"last":0,"passed":0,"unit":"backup.timer","activates":"backup.service"},
{"next":1796522400000000,"left":1,"last":1,"passed":1,"unit":"day.timer","activates":"day.service"},
{"next":0,"left":0,"last":1,"passed":1,"unit":"boot.timer","activates":"boot.service"},
{"next":0,"left":0,"last":1,"passed":1,"unit":"mono.timer","activates":"mono.service"}]`

const timerProperties = `Id=backup.timer
TimersCalendar={ OnCalendar=Sun *-*-* 01:30:00 UTC ; next_elapse=Sun 2026-12-06 01:30:00 UTC }
TimersCalendar={ OnCalendar=*-*-* 12:00:00 UTC ; next_elapse=Sat 2026-12-05 12:00:00 UTC }
RandomizedDelayUSec=0

Id=day.timer
TimersCalendar={ OnCalendar=*-*-* 00:15:00 UTC ; next_elapse=n/a }
RandomizedDelayUSec=1h 30min

Id=boot.timer
TimersCalendar={ OnCalendar=2020-01-01 00:00:00 UTC ; next_elapse=n/a }
RandomizedDelayUSec=0

Id=mono.timer
RandomizedDelayUSec=0
`

func TestTimersAreAskedForThatNight(t *testing.T) {
	root := tree(t, map[string]string{"run/systemd/system/": ""})
	r := run(t, checks.Env{Root: root, Exec: systemd(t, timerList, timerProperties)}, december(0, 0).AddDate(0, 0, -3), checks.Rules{}, nil)
	want := []string{
		"00:15 systemd day.service (up to 1 h 30 m later) day.timer", // may elapse in the window
		"01:30 systemd backup.service backup.timer",
	}
	if diff := cmp.Diff(want, rows(t, r)); diff != "" || r.Level != checks.Warn || value(t, r, "unread") != fact.NumberValue(0).JSON() {
		t.Errorf("%s %s %q\n%s", r.Level, r.Err, r.Detail, diff)
	}
	if !strings.Contains(strings.Join(r.Detail, "\n"), "mono.timer runs at intervals") {
		t.Errorf("detail %q", r.Detail)
	}
}

func TestTimersThatCannotBeListedAreNamed(t *testing.T) {
	root := tree(t, map[string]string{"run/systemd/system/": ""})
	for name, c := range map[string]struct{ list, show, want string }{
		"garbage":       {"timers:", "", "systemctl list-timers"},
		"one too few":   {timerList, "Id=backup.timer\n", "describes 1 of 4"},
		"not calendars": {`[{"unit":"a.timer"}]`, "Id=a.timer\nTimersCalendar={ OnCalendar=whenever ; x }\n", "a.timer: systemd-analyze calendar ends with 1"},
	} {
		r := run(t, checks.Env{Root: root, Exec: systemd(t, c.list, c.show)}, december(0, 0), checks.Rules{}, nil)
		if r.Level != checks.Warn || value(t, r, "unread") != fact.NumberValue(1).JSON() || !strings.Contains(strings.Join(r.Detail, "\n"), c.want) {
			t.Errorf("%s: %s %s %q", name, r.Level, r.Err, r.Detail)
		}
	}
}

func TestElapsesAreReadInUTC(t *testing.T) {
	const text = `  Original form: *-*-* 06:00
Normalized form: *-*-* 06:00:00
    Next elapse: Sun 2026-12-06 06:00:00 CET
       (in UTC): Sun 2026-12-06 05:00:00 UTC
       From now: 1 week 5 days left

  Original form: 2020-01-01
Normalized form: 2020-01-01 00:00:00
    Next elapse: never
`
	got, err := parseElapses(text, 2)
	if want := time.Date(2026, 12, 6, 5, 0, 0, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "Next elapse: Sun 2026-12-06 06:00:00 CET", text[:60]} {
		if at, err := parseElapses(bad, 1); err == nil {
			t.Errorf("%q is read as %v", bad, at)
		}
	}
	for text, want := range map[string]time.Duration{"0": 0, "1h 30min": 90 * time.Minute, "1d 500ms": 24*time.Hour + 500*time.Millisecond} {
		if got, err := parseTimespan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}
