package calendar

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFiringsOfAnEntry(t *testing.T) {
	zone := paris(t)
	utc := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC) }
	autumn := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		spec       string
		start, end time.Time
		want       string // in UTC
	}{
		{"30 2 * * *", utc(28, 1, 0), utc(28, 3, 0), "01:30"},
		{"30 2 * * *", utc(28, 1, 30).Add(time.Second), utc(28, 3, 0), ""}, // it is over
		{"0 4 * * *", utc(28, 1, 0), utc(28, 3, 0), ""},                    // the end is not in it
		{"*/20 2-3 * * *", utc(28, 1, 0), utc(28, 2, 0), "01:00 01:20 01:40"},
		{"5-59/25 2 * * *", utc(28, 1, 0), utc(28, 2, 0), "01:05 01:30 01:55"},
		{"0 2 28 * mon", utc(28, 1, 0), utc(28, 2, 0), "01:00"},  // day or weekday
		{"0 2 */2 * mon", utc(28, 1, 0), utc(28, 2, 0), ""},      // both
		{"0 2 * mar sat", utc(28, 1, 0), utc(28, 2, 0), "01:00"}, // 28 march 2026
		{"0 2 * * 5-7", utc(28, 1, 0), utc(28, 2, 0), "01:00"},
		{"0 2 * * 7", utc(29, 0, 0), utc(29, 2, 0), "01:00"}, // sunday, and in the gap
		{"30 2 * * *", utc(29, 1, 0), utc(29, 2, 0), "01:00"},
		{"30 2 * * *", utc(29, 0, 0), utc(29, 1, 0), ""},
		{"30 2 * * *", autumn, autumn.Add(2 * time.Hour), "00:30 01:30"}, // twice
		{"0~30 2 28 * *", utc(28, 1, 29), utc(28, 2, 0), "01:29 01:30"},  // any of them
	} {
		spec, err := parseCronSpec(strings.Fields(c.spec))
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		var got []string
		for _, at := range spec.firings(c.start, c.end, zone) {
			got = append(got, at.UTC().Format("15:04"))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s from %v:\n%s", c.spec, c.start, diff)
		}
	}
}

func TestWhatIsNoCronTimeIsRefused(t *testing.T) {
	for _, text := range []string{"60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "*/x * * * *", "a * * * *", ", * * * *", "-1 * * * *", "* * * *"} {
		if spec, err := parseCronSpec(strings.Fields(text)); err == nil {
			t.Errorf("%q is read as %+v", text, spec)
		}
	}
}

// FuzzParseCrontab holds that no crontab makes the parser fall over and that
// every line is an entry, a bad line or nothing.
func FuzzParseCrontab(f *testing.F) {
	for _, seed := range []string{"0 2 * * * root x\n", "@daily root x", "A=b\nCRON_TZ=UTC\n*/5 * 1,2-4/2 jan-mar sun root x y", "# x\n\n@reboot root z", "0\t2 * *  * x"} {
		f.Add(seed, "")
		f.Add(seed, "owner")
	}
	start := time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, content, owner string) {
		entries, bad := parseCrontab(content, owner)
		if len(entries)+len(bad) > strings.Count(content, "\n")+1 {
			t.Fatalf("%d entries and %d bad lines of %q", len(entries), len(bad), content)
		}
		for _, e := range entries {
			if e.command == "" || e.user == "" {
				t.Fatalf("%+v of %q", e, content)
			}
			e.spec.firings(start, start.Add(time.Hour), time.UTC)
		}
	})
}

// FuzzTimers holds that no output of systemd's makes the parsers fall over.
func FuzzTimers(f *testing.F) {
	f.Add("Id=a.timer\nTimersCalendar={ OnCalendar=*-*-* 06:00:00 ; next_elapse=n/a }\nRandomizedDelayUSec=1h 30min")
	f.Add("    Next elapse: Sun 2026-12-06 06:00:00 UTC\n")
	f.Fuzz(func(t *testing.T, text string) {
		if found, err := parseTimer(text); err == nil && found.delay < 0 {
			t.Fatalf("%q: %+v", text, found)
		}
		if at, err := parseElapses(text, 1); err != nil && !at.IsZero() {
			t.Fatalf("%q: %v with %v", text, at, err)
		}
	})
}
