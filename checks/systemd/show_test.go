package systemd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shown is what systemctl of systemd 252 writes of a service.
const shown = `MainPID=35
Result=success
ReloadResult=success
NRestarts=0
ExecMainStartTimestamp=Fri 2026-11-27 04:19:05 UTC
ExecMainExitTimestamp=
ExecMainCode=0
ExecMainStatus=0
ExecStart={ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; ; ignore_errors=no ; start_time=[Fri 2026-11-27 04:19:05 UTC] ; stop_time=[n/a] ; pid=33 ; code=exited ; status=0 }
Id=nginx.service
RequiredBy=
WantedBy=multi-user.target
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/nginx.service
UnitFileState=enabled
StateChangeTimestampMonotonic=711228578
ActiveEnterTimestamp=Fri 2026-11-27 04:19:05 UTC
CanReload=yes
NeedDaemonReload=no
ConditionResult=yes
ConditionTimestamp=Fri 2026-11-27 04:19:05 UTC
InvocationID=d2740535f5bd4f24890d4a49b84fe465
`

// answering is a host whose systemctl says so.
func answering(t *testing.T, out checks.Output) checks.Env {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	return checks.Env{Root: root, Exec: func(context.Context, checks.Call) (checks.Output, error) { return out, nil }}
}

func TestWhatSystemctlShowsIsReadOrRefused(t *testing.T) {
	replace := func(old, by string) string { return strings.Replace(shown, old, by, 1) }
	for name, c := range map[string]struct {
		out   checks.Output
		level checks.Level
		class checks.Class
		says  string
	}{
		"as it is":             {checks.Output{Stdout: []byte(shown)}, checks.OK, "", "running"},
		"a property is gone":   {checks.Output{Stdout: []byte(replace("NRestarts=0\n", ""))}, checks.Unknown, checks.Parse, "nothing of NRestarts"},
		"a flag is none":       {checks.Output{Stdout: []byte(replace("CanReload=yes", "CanReload=maybe"))}, checks.Unknown, checks.Parse, "CanReload"},
		"a time in a zone":     {checks.Output{Stdout: []byte(replace("04:19:05 UTC", "05:19:05 CET"))}, checks.Unknown, checks.Parse, "ExecMainStart"},
		"a count is none":      {checks.Output{Stdout: []byte(replace("NRestarts=0", "NRestarts=many"))}, checks.Unknown, checks.Parse, "NRestarts"},
		"nothing":              {checks.Output{}, checks.Unknown, checks.Parse, "nothing of Id"},
		"too much":             {checks.Output{Stdout: []byte(shown), Truncated: true}, checks.Unknown, checks.Limit, "too much"},
		"no bus for systemctl": {checks.Output{Code: 1, Stderr: []byte("Failed to connect to bus: Connection refused\n")}, checks.Unknown, checks.Other, "Connection refused"},
		"not for this user":    {checks.Output{Code: 1, Stderr: []byte("Failed to connect to bus: Permission denied\n")}, checks.Unknown, checks.Denied, "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			if res := unitIs(t, answering(t, c.out), bySystemd("nginx.service"), c.level, c.says); res.Class != c.class {
				t.Errorf("class %q, want %q", res.Class, c.class)
			}
		})
	}
}

func TestSpansAndInstants(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "": 0, "infinity": never, "26min 51.075105s": 1611075105, "1w 2d 3h": (9*24 + 3) * 3600e6, "15ms": 15e3, "7us": 7, "1y 1month": 31557600e6 + 2629800e6,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "5", "min", "1fortnight", "9999999999d"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	at := time.Date(2026, 11, 27, 4, 19, 5, 0, time.UTC)
	if got, err := parseInstant("Fri 2026-11-27 04:19:05 UTC"); err != nil || got != uint64(at.UnixMicro()) {
		t.Errorf("%v %v", got, err)
	}
}

func TestTheEarlierOfTwoClocksCounts(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	const second = uint64(1e6)
	for name, c := range map[string]struct {
		t    timer
		want time.Time
	}{
		"neither":               {timer{clock: never}, time.Time{}},
		"the calendar alone":    {timer{calendar: at.Add(time.Hour)}, at.Add(time.Hour)},
		"the clock alone":       {timer{clock: 160 * second}, at.Add(time.Minute)},
		"the clock, overdue":    {timer{clock: 40 * second}, at.Add(-time.Minute)},
		"the clock is earlier":  {timer{clock: 160 * second, calendar: at.Add(time.Hour)}, at.Add(time.Minute)},
		"the calendar is first": {timer{clock: 160 * second, calendar: at.Add(time.Second)}, at.Add(time.Second)},
	} {
		if got := c.t.next(at, 100*second); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzParseShow(f *testing.F) {
	f.Add(shown)
	f.Add("ExecStart={ argv[]=\nNextElapseUSecMonotonic=1e9y\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseShow(wanting("x.service"), text)
		if err != nil {
			return
		}
		if s, err := stateOf("x.service", p); err == nil && s.load == "" && s.enabled() {
			t.Errorf("%+v", s)
		}
	})
}
