package civil

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func window(t testing.TB, days, start string, length time.Duration, zoneName string) Window {
	t.Helper()
	w, err := ParseWindow(days, start, length, 7*24*time.Hour, length/5, zone(t, zoneName))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// nights are the spring and autumn nights of twelve zones with every trick
// there is, the night after each, and ordinary ones where no clock is changed.
// Offsets are in the expected times, so that nothing depends on the code under
// test.
var nights = []struct {
	zone, day, start string
	length           time.Duration
	opens, closes    string
	notes            string // m: missing, s: shortened, r: repeated
}{
	{"UTC", "2026-03-29", "02:00", 2 * time.Hour, "02:00+00:00", "04:00+00:00", ""},
	{"UTC", "2026-10-25", "02:00", 2 * time.Hour, "02:00+00:00", "04:00+00:00", ""},
	{"UTC", "2026-02-28", "23:00", 2 * time.Hour, "23:00+00:00", "01:00+00:00", ""},
	{"UTC", "2028-02-29", "00:00", 24 * time.Hour, "00:00+00:00", "00:00+00:00", ""},

	{"Europe/Paris", "2026-03-29", "02:00", 2 * time.Hour, "03:00+02:00", "04:00+02:00", "ms"},
	{"Europe/Paris", "2026-03-29", "02:00", time.Hour, "03:00+02:00", "04:00+02:00", "m"}, // swallowed: held after the gap
	{"Europe/Paris", "2026-03-29", "01:00", 2 * time.Hour, "01:00+01:00", "03:00+02:00", "s"},
	{"Europe/Paris", "2026-03-30", "02:00", 2 * time.Hour, "02:00+02:00", "04:00+02:00", ""},
	{"Europe/Paris", "2026-10-25", "02:00", 2 * time.Hour, "02:00+02:00", "03:00+01:00", "r"},
	{"Europe/Paris", "2026-10-25", "02:30", 30 * time.Minute, "02:30+02:00", "02:00+01:00", "r"},
	{"Europe/Paris", "2026-10-25", "01:00", 90 * time.Minute, "01:00+02:00", "02:30+02:00", ""},
	{"Europe/Paris", "2026-10-25", "03:00", 2 * time.Hour, "03:00+01:00", "05:00+01:00", ""},

	{"America/New_York", "2026-03-08", "02:00", 2 * time.Hour, "03:00-04:00", "04:00-04:00", "ms"},
	{"America/New_York", "2026-03-08", "02:30", 2 * time.Hour, "03:00-04:00", "04:30-04:00", "ms"},
	{"America/New_York", "2026-11-01", "01:00", 2 * time.Hour, "01:00-04:00", "02:00-05:00", "r"},
	{"America/New_York", "2026-11-01", "02:00", 2 * time.Hour, "02:00-05:00", "04:00-05:00", ""},

	{"America/Sao_Paulo", "2018-11-04", "00:00", 2 * time.Hour, "01:00-02:00", "02:00-02:00", "ms"}, // no midnight
	{"America/Sao_Paulo", "2018-11-03", "23:00", 2 * time.Hour, "23:00-03:00", "01:00-02:00", "s"},
	{"America/Sao_Paulo", "2019-02-16", "23:00", 2 * time.Hour, "23:00-02:00", "00:00-03:00", "r"}, // 23:00 twice
	{"America/Sao_Paulo", "2026-10-25", "02:00", 2 * time.Hour, "02:00-03:00", "04:00-03:00", ""},

	{"America/St_Johns", "2011-03-13", "00:00", time.Hour, "00:00-03:30", "01:01-02:30", "s"}, // 00:01 becomes 01:01: a minute is left
	{"America/St_Johns", "2026-03-08", "02:00", 2 * time.Hour, "03:00-02:30", "04:00-02:30", "ms"},
	{"America/St_Johns", "2026-11-01", "01:30", time.Hour, "01:30-02:30", "01:30-03:30", "r"},
	{"America/St_Johns", "2026-11-02", "01:30", time.Hour, "01:30-03:30", "02:30-03:30", ""},

	{"Australia/Lord_Howe", "2026-10-04", "02:00", 2 * time.Hour, "02:30+11:00", "04:00+11:00", "ms"}, // half an hour
	{"Australia/Lord_Howe", "2026-04-05", "01:30", time.Hour, "01:30+11:00", "02:00+10:30", "r"},
	{"Australia/Lord_Howe", "2026-04-05", "02:00", time.Hour, "02:00+10:30", "03:00+10:30", ""},
	{"Australia/Lord_Howe", "2026-10-04", "02:00", 30 * time.Minute, "02:30+11:00", "03:00+11:00", "m"},

	{"Pacific/Apia", "2011-12-29", "22:00", 4 * time.Hour, "22:00-10:00", "00:00+14:00", "s"}, // the 30th does not exist
	{"Pacific/Apia", "2011-12-31", "02:00", 2 * time.Hour, "02:00+14:00", "04:00+14:00", ""},
	{"Pacific/Apia", "2012-04-01", "03:00", 2 * time.Hour, "03:00+14:00", "04:00+13:00", "r"},
	{"Pacific/Apia", "2026-10-25", "02:00", 2 * time.Hour, "02:00+13:00", "04:00+13:00", ""},

	{"Asia/Kathmandu", "2026-03-29", "02:00", 2 * time.Hour, "02:00+05:45", "04:00+05:45", ""},
	{"Asia/Kathmandu", "2026-10-25", "02:00", 2 * time.Hour, "02:00+05:45", "04:00+05:45", ""},
	{"Asia/Kathmandu", "1986-01-01", "00:00", time.Hour, "00:15+05:45", "01:00+05:45", "ms"},
	{"Asia/Kathmandu", "2026-12-31", "23:30", time.Hour, "23:30+05:45", "00:30+05:45", ""},

	{"Africa/Cairo", "2026-04-24", "00:00", 2 * time.Hour, "01:00+03:00", "02:00+03:00", "ms"},
	{"Africa/Cairo", "2026-10-29", "23:00", 2 * time.Hour, "23:00+03:00", "00:00+02:00", "r"},
	{"Africa/Cairo", "2026-10-30", "00:00", 2 * time.Hour, "00:00+02:00", "02:00+02:00", ""},
	{"Africa/Cairo", "2026-04-23", "22:00", 2 * time.Hour, "22:00+02:00", "01:00+03:00", ""},

	{"Asia/Beirut", "2026-03-29", "00:00", time.Hour, "01:00+03:00", "02:00+03:00", "m"},
	{"Asia/Beirut", "2026-10-24", "23:30", time.Hour, "23:30+03:00", "23:30+02:00", "r"},
	{"Asia/Beirut", "2026-10-25", "00:30", time.Hour, "00:30+02:00", "01:30+02:00", ""},
	{"Asia/Beirut", "2026-03-30", "00:00", time.Hour, "00:00+03:00", "01:00+03:00", ""},

	{"America/Havana", "2026-03-08", "00:30", time.Hour, "01:00-04:00", "01:30-04:00", "ms"},
	{"America/Havana", "2026-11-01", "00:00", 2 * time.Hour, "00:00-04:00", "01:00-05:00", "r"},
	{"America/Havana", "2026-11-01", "01:00", 2 * time.Hour, "01:00-05:00", "03:00-05:00", ""},
	{"America/Havana", "2026-10-31", "23:30", time.Hour, "23:30-04:00", "00:30-04:00", ""},

	{"Asia/Tehran", "2022-03-22", "00:00", 2 * time.Hour, "01:00+04:30", "02:00+04:30", "ms"},
	{"Asia/Tehran", "2022-09-21", "23:00", 2 * time.Hour, "23:00+04:30", "00:00+03:30", "r"},
	{"Asia/Tehran", "2026-03-22", "00:00", 2 * time.Hour, "00:00+03:30", "02:00+03:30", ""},
	{"Asia/Tehran", "2022-09-22", "00:00", 2 * time.Hour, "00:00+03:30", "02:00+03:30", ""},
}

func TestNightsOnWhichClocksChange(t *testing.T) {
	for _, n := range nights {
		w := window(t, "daily", n.start, n.length, n.zone)
		noon, err := time.ParseInLocation("2006-01-02 15:04", n.day+" 12:00", w.Zone)
		if err != nil {
			t.Fatal(err)
		}
		o, ok := w.on(DateOf(noon))
		if !ok {
			t.Errorf("%s %s: no opening", n.zone, n.day)
			continue
		}
		notes := ""
		for _, flag := range []struct {
			set  bool
			name string
		}{{o.Missing, "m"}, {o.Shortened > 0, "s"}, {o.Repeated, "r"}} {
			if flag.set {
				notes += flag.name
			}
		}
		const form = "15:04-07:00"
		got := []string{o.Start.Format(form), o.End.Format(form), notes}
		if diff := cmp.Diff([]string{n.opens, n.closes, n.notes}, got); diff != "" {
			t.Errorf("%s %s %s for %v:\n%s", n.zone, n.day, n.start, n.length, diff)
		}
		if len(o.Notes()) != len(notes) {
			t.Errorf("%s %s: %d notes for %q: %q", n.zone, n.day, len(o.Notes()), notes, o.Notes())
		}
	}
}

func TestTheDayThatAZoneLeavesOutHasNoOpening(t *testing.T) {
	w := window(t, "last fri", "02:00", 2*time.Hour, "Pacific/Apia") // 2011-12-30
	o := w.Next(time.Date(2011, 12, 1, 0, 0, 0, 0, w.Zone))
	if got := o.Start.Format(time.DateOnly); got != "2012-01-27" {
		t.Errorf("the opening after november is on %s", got)
	}
}

var anyZone = rapid.SampledFrom([]string{
	"UTC", "Europe/Paris", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe",
	"Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo", "Asia/Beirut", "America/Havana", "Asia/Tehran",
})

func anyWindow(t *rapid.T) Window {
	zone, err := time.LoadLocation(anyZone.Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	length := time.Duration(rapid.IntRange(1, 24*60).Draw(t, "length")) * time.Minute
	w := Window{
		Days:   anyDays(t),
		Start:  time.Duration(rapid.IntRange(0, 24*60-1).Draw(t, "start")) * time.Minute,
		Length: length, Reserve: length / 4, Notice: 7 * 24 * time.Hour, Zone: zone,
	}
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

func anyDays(t *rapid.T) Days {
	text := rapid.SampledFrom([]string{
		"daily", "mon", "sun", "first sun", "2nd tue", "third wed", "4th sat", "last fri", "last", "1", "15", "30", "31",
	}).Draw(t, "days")
	d, err := ParseDays(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func anyInstant(t *rapid.T) time.Time {
	from := time.Date(2008, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	until := time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return time.Unix(rapid.Int64Range(from, until).Draw(t, "at"), 0)
}

func TestOpeningsNeverOverlapAndNeverLastLongerThanAnnounced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		at := anyInstant(t)
		before := w.Next(at)
		for range 6 {
			o := w.Next(before.End)
			switch {
			case o.IsZero() || !before.Start.Before(before.End):
				t.Fatalf("%v at %v: empty: %+v", w, at, before)
			case o.Start.Before(before.End):
				t.Fatalf("%v: %v..%v overlaps %v", w, before.Start, before.End, o.Start)
			case o.Length() > w.Length || o.Length()+o.Shortened != w.Length:
				t.Fatalf("%v: %v..%v is longer than announced", w, o.Start, o.End)
			case o.Abort.Before(o.Start) || o.Abort.After(o.End) || !o.Notice.Before(o.Start):
				t.Fatalf("%v: abort %v, notice %v of %v..%v", w, o.Abort, o.Notice, o.Start, o.End)
			case !w.Days.Has(DateOf(o.Start)) || !o.Missing && wallTime(o.Start).Sub(DateOf(o.Start).UTC()) != w.Start:
				t.Fatalf("%v: opens at %v", w, o.Start)
			}
			before = o
		}
	})
}

// TestNextAgreesWithAt holds Next and At to each other around
// both ends of an opening.
func TestNextAgreesWithAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow(t)
		at := anyInstant(t)
		o := w.Next(at)
		if at.Before(o.Start) != !o.Contains(at) {
			t.Fatalf("%v at %v: next is %v..%v", w, at, o.Start, o.End)
		}
		for instant, inside := range map[time.Time]bool{o.Start: true, o.End.Add(-1): true, o.Abort.Add(-1): true} {
			if got, ok := w.At(instant); ok != inside || got != o {
				t.Fatalf("%v: at %v inside is %v, opening %v", w, instant, ok, got)
			}
		}
		if got, ok := w.At(o.Start.Add(-1)); ok && got == o {
			t.Fatalf("%v: open before %v", w, o.Start)
		}
	})
}

func TestEveryMonthHasExactlyOne(t *testing.T) {
	for _, days := range []string{"first sun", "2nd tue", "third wed", "4th sat", "last fri", "1", "31", "last"} {
		rapid.Check(t, func(t *rapid.T) {
			w := anyWindow(t)
			w.Days, _ = ParseDays(days) // the words are constants
			month := DateOf(anyInstant(t)).AddMonths(0)
			if name := w.Zone.String(); name == "Pacific/Apia" && month.Year == 2011 && month.Month == 12 {
				return // a day is left out
			}
			from, until := month.Instant(0, w.Zone), month.AddMonths(1).Instant(0, w.Zone)
			n := 0
			for at := from.Add(-24 * time.Hour); ; {
				o := w.Next(at)
				if !o.Start.Before(until) {
					break
				}
				if !o.Start.Before(from) {
					n++
				}
				at = o.End
			}
			if n != 1 {
				t.Fatalf("%v has %d openings in %v", w, n, month)
			}
		})
	}
}

func TestNoticeIsGivenWholeCalendarDaysAhead(t *testing.T) {
	w := window(t, "first sun", "02:00", 2*time.Hour, "Europe/Paris")
	o := w.Next(time.Date(2026, 3, 30, 0, 0, 0, 0, w.Zone)) // 5 april; the clocks went forward on 29 march at 02:00
	if got, want := o.Notice.Format(time.RFC3339), "2026-03-29T03:00:00+02:00"; got != want {
		t.Errorf("notice until %s, want %s", got, want)
	}
	w.Notice = 36 * time.Hour
	if got, want := w.Next(o.Start).Notice.Format(time.RFC3339), "2026-04-03T14:00:00+02:00"; got != want {
		t.Errorf("notice of 36 h until %s, want %s", got, want)
	}
}

func TestBudgetCountsElapsedTimeOnTheAutumnNight(t *testing.T) {
	w, err := ParseWindow("last sun", "02:00", 2*time.Hour, 0, 25*time.Minute, zone(t, "Europe/Paris"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC) // 02:00 CEST
	o, ok := w.At(start)
	if !ok || !o.Start.Equal(start) {
		t.Fatalf("at %v: %+v", start, o)
	}
	for _, c := range []struct {
		after, estimate time.Duration
		want            Budget
	}{
		{-time.Hour, time.Hour, Budget{0, 2 * time.Hour, 155 * time.Minute, 0, 0, false, checks.OK}},
		{-time.Hour, 3 * time.Hour, Budget{0, 2 * time.Hour, 155 * time.Minute, 0, time.Hour, false, checks.Crit}},
		{30 * time.Minute, 90 * time.Minute, Budget{30 * time.Minute, 90 * time.Minute, 65 * time.Minute, 0.25, 0, false, checks.OK}},
		{time.Hour, 0, Budget{time.Hour, time.Hour, 35 * time.Minute, 0.5, 0, false, checks.Warn}},
		{time.Hour, time.Hour + time.Second, Budget{time.Hour, time.Hour, 35 * time.Minute, 0.5, time.Second, false, checks.Crit}},
		{105 * time.Minute, 0, Budget{105 * time.Minute, 15 * time.Minute, -10 * time.Minute, 0.875, 0, true, checks.Warn}},
		{2 * time.Hour, 0, Budget{2 * time.Hour, 0, -25 * time.Minute, 1, 0, true, checks.Crit}},
		{3 * time.Hour, time.Minute, Budget{3 * time.Hour, 0, -85 * time.Minute, 1.5, 61 * time.Minute, true, checks.Crit}},
	} {
		if diff := cmp.Diff(c.want, o.Budget(start.Add(c.after), c.estimate)); diff != "" {
			t.Errorf("%v after the start, estimate %v:\n%s", c.after, c.estimate, diff)
		}
	}
}

func TestWindowMistakesAreNamed(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		days, start             string
		length, notice, reserve time.Duration
		want                    string
	}{
		{"first snu", "02:00", h, 0, 0, `days: "snu" is not a weekday, did you mean "sun"?`},
		{"frist sun", "02:00", h, 0, 0, `days: "frist" does not say which weekday of the month, did you mean "first"?`},
		{"xyzzy sun", "02:00", h, 0, 0, `days: "xyzzy" does not say which weekday of the month (first, second, third, fourth or last)`},
		{"5th sun", "02:00", h, 0, 0, `days: not every month has a fifth weekday (write "last")`},
		{"dialy", "02:00", h, 0, 0, `days: "dialy" is not a day, did you mean "daily"?`},
		{"32", "02:00", h, 0, 0, `days: 32 is not a day of the month (1 to 31)`},
		{"", "02:00", h, 0, 0, `days: "" is not a day (write "first sun", "sun", "2nd tue", "last fri", "daily" or "15")`},
		{"sun", "24:00", h, 0, 0, `start: "24:00" is not a time of day (write 12:00)`},
		{"sun", "+2:00", h, 0, 0, `start: "+2:00" is not a time of day (write 12:00)`},
		{"sun", "02:00", 0, 0, 0, `length: 0 s is no time at all`},
		{"sun", "02:00", 25 * h, 0, 0, `length: 25 h is longer than a day`},
		{"sun", "02:00", h, -24 * h, 0, `notice: -24 h would come after the window`},
		{"sun", "02:00", h, 0, h, `reserve: 1 h leaves nothing of a window of 1 h`},
	} {
		_, err := ParseWindow(c.days, c.start, c.length, c.notice, c.reserve, nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q %q: %v\nwant %s", c.days, c.start, err, c.want)
		}
	}
	if o := (Window{}).Next(time.Unix(0, 0)); !o.IsZero() {
		t.Errorf("the zero window opens: %+v", o)
	}
}

// FuzzParseDays holds that what is read is written the same way again.
func FuzzParseDays(f *testing.F) {
	for _, seed := range []string{"first sun", "SUN", "2nd  tuesday", "last fri", "daily", "15", "last", "31", "0", "fifth mon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDays(text)
		if err != nil {
			return
		}
		again, err := ParseDays(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is read as %q, and that as %q: %v", text, d, again, err)
		}
	})
}
