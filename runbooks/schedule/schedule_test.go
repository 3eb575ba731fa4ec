package schedule

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata"
)

// zones have every trick there is: no change, changes in either hemisphere, a
// missing and a repeated midnight, half hours, a day left out, 00:01.
var zones = []string{
	"UTC", "Europe/Paris", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe",
	"Pacific/Apia", "Asia/Kathmandu", "Africa/Cairo", "Asia/Beirut", "America/Havana", "Asia/Tehran",
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func due(t testing.TB, c Cadence, text string) Due {
	t.Helper()
	d, err := ParseDue(c, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var plans = map[Cadence][]string{
	Daily: {"", "02:30", "00:00", "23:59"}, Weekly: {"", "sun 02:30", "mon 00:00"}, Monthly: {"", "31 02:30", "1 00:00", "last 23:59"},
	Quarterly: {"", "3-31 02:30", "1-1 00:00", "last 12:00"}, Window: {"", "15 12:00"},
}

// TestEachPeriodIsDueExactlyOnceOverThirtyYears walks every period of every
// cadence in twelve zones: periods tile time, their names never repeat, each
// has its due instant inside, and every instant belongs to the period that
// contains it.
func TestEachPeriodIsDueExactlyOnceOverThirtyYears(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		z := zone(t, name)
		for cadence, dues := range plans {
			for _, text := range dues {
				p := Plan{Cadence: cadence, Zone: z}
				if text != "" {
					p.Due = due(t, cadence, text)
				}
				walk(t, fmt.Sprintf("%s %s %q", name, cadence, text), p)
			}
		}
	}
}

func walk(t *testing.T, what string, p Plan) {
	t.Helper()
	from := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
	until := from.AddDate(30, 0, 0)
	seen := map[string]bool{}
	for period := p.Period(from); period.Start.Before(until); {
		switch {
		case !period.Start.Before(period.End):
			t.Fatalf("%s: %s is empty", what, period.Name)
		case seen[period.Name]:
			t.Fatalf("%s: %s comes twice", what, period.Name)
		case period.Due.Before(period.Start) || period.Due.After(period.End):
			t.Fatalf("%s: %s from %v to %v is due at %v", what, period.Name, period.Start, period.End, period.Due)
		case p.Period(period.Start).Name != period.Name || p.Period(period.End.Add(-1)).Name != period.Name:
			t.Fatalf("%s: %s does not contain itself", what, period.Name)
		}
		seen[period.Name] = true
		next := p.Next(period)
		if !next.Start.Equal(period.End) {
			t.Fatalf("%s: %s ends %v, %s begins %v", what, period.Name, period.End, next.Name, next.Start)
		}
		if before := p.Previous(next); before.Name != period.Name {
			t.Fatalf("%s: before %s comes %s, not %s", what, next.Name, before.Name, period.Name)
		}
		period = next
	}
}

func TestNightsOnWhichClocksChange(t *testing.T) {
	for _, c := range []struct{ zone, at, due, start, want string }{
		{"Europe/Paris", "2026-03-29T12:00:00Z", "02:30", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"}, // 02:30 is skipped: 03:00
		{"Europe/Paris", "2026-10-25T12:00:00Z", "02:30", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"}, // the first of two
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z", "00:00", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"America/New_York", "2026-03-08T12:00:00Z", "02:00", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z"},
		{"Australia/Lord_Howe", "2026-10-03T20:00:00Z", "02:15", "2026-10-03T13:30:00Z", "2026-10-03T15:30:00Z"}, // half an hour
	} {
		p := Plan{Cadence: Daily, Due: due(t, Daily, c.due), Zone: zone(t, c.zone)}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		period := p.Period(at)
		if got := period.Start.UTC().Format(time.RFC3339); got != c.start {
			t.Errorf("%s on %s begins %s, want %s", c.zone, period.Name, got, c.start)
		}
		if got := period.Due.UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s %s on %s is due %s, want %s", c.zone, c.due, period.Name, got, c.want)
		}
	}
}

func TestTheDayASkippedDateLineLeavesOutIsNotDue(t *testing.T) {
	p := Plan{Cadence: Daily, Zone: zone(t, "Pacific/Apia")}
	thursday := p.Period(time.Date(2011, 12, 29, 20, 0, 0, 0, time.UTC).Add(-2 * time.Hour))
	if next := p.Next(thursday); thursday.Name != "2011-12-29" || next.Name != "2011-12-31" {
		t.Errorf("after %s comes %s", thursday.Name, next.Name)
	}
}

func TestMonthEndsAreClamped(t *testing.T) {
	z := zone(t, "Europe/Paris")
	for _, c := range []struct{ cadence, due, at, want string }{
		{"monthly", "31 18:00", "2026-02-10", "2026-02-28 18:00"}, {"monthly", "last 18:00", "2028-02-10", "2028-02-29 18:00"},
		{"monthly", "31 18:00", "2026-04-01", "2026-04-30 18:00"}, {"quarterly", "last 09:00", "2026-05-05", "2026-06-30 09:00"},
		{"quarterly", "2-30 09:00", "2026-01-01", "2026-02-28 09:00"}, {"weekly", "sun 12:00", "2026-11-23", "2026-11-29 12:00"},
		{"weekly", "mon 12:00", "2026-01-01", "2025-12-29 12:00"},
	} {
		at, err := time.ParseInLocation(time.DateOnly, c.at, z)
		if err != nil {
			t.Fatal(err)
		}
		p := Plan{Cadence: Cadence(c.cadence), Due: due(t, Cadence(c.cadence), c.due), Zone: z}
		if got := p.Period(at).Due.Format("2006-01-02 15:04"); got != c.want {
			t.Errorf("%s %s in %s is due %s, want %s", c.cadence, c.due, c.at, got, c.want)
		}
	}
}

func TestPeriodsAreNamedAsPeopleCallThem(t *testing.T) {
	at := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	for cadence, want := range map[Cadence]string{Daily: "2027-01-01", Weekly: "2026-W53", Monthly: "2027-01", Quarterly: "2027-Q1", Window: "2027-01", None: ""} {
		if got := (Plan{Cadence: cadence}).Period(at).Name; got != want {
			t.Errorf("%s: %q, want %q", cadence, got, want)
		}
	}
}

func TestDueTimesAreRefusedInAnotherCadencesForm(t *testing.T) {
	for _, c := range []struct {
		cadence Cadence
		text    string
	}{
		{Daily, "sun 12:00"}, {Daily, "25:00"}, {Daily, "12:5"}, {Daily, "noon"}, {Weekly, "12:00"}, {Weekly, "someday 12:00"},
		{Monthly, "32 12:00"}, {Monthly, "0 12:00"}, {Quarterly, "4-1 12:00"}, {Quarterly, "15 12:00"}, {None, "12:00"}, {Monthly, ""},
	} {
		if d, err := ParseDue(c.cadence, c.text); err == nil {
			t.Errorf("%s %q became %+v", c.cadence, c.text, d)
		}
	}
	if _, err := ParseCadence("hourly"); err == nil {
		t.Error("hourly is a cadence")
	}
}

func TestStatus(t *testing.T) {
	p := Plan{Cadence: Daily, Due: due(t, Daily, "12:00"), Grace: 4 * time.Hour}
	day := func(d, h int) time.Time { return time.Date(2026, 11, d, h, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name      string
		now, last time.Time
		state     State
		missed    int
		due       time.Time
	}{
		{"never done, early", day(23, 8), time.Time{}, Never, 0, day(23, 12)},
		{"never done, late", day(23, 17), time.Time{}, Overdue, 0, day(23, 12)},
		{"done today", day(23, 8), day(23, 7), Done, 0, day(24, 12)},
		{"done yesterday, early", day(23, 8), day(22, 23), DueNow, 0, day(23, 12)},
		{"done yesterday, in grace", day(23, 15), day(22, 23), DueNow, 0, day(23, 12)},
		{"done yesterday, late", day(23, 16), day(22, 23), Overdue, 0, day(23, 12)},
		{"missed two days", day(23, 8), day(20, 9), Overdue, 2, day(23, 12)},
		{"clock went back", day(22, 8), day(23, 7), Done, 0, day(23, 12)},
	} {
		s := p.Status(c.now, c.last)
		if s.State != c.state || s.Missed != c.missed || !s.Due.Equal(c.due) {
			t.Errorf("%s: %s, missed %d, due %v", c.name, s.State, s.Missed, s.Due)
		}
	}
	if s := p.Status(day(23, 8), day(20, 9)); !s.Since.Equal(day(21, 16)) {
		t.Errorf("overdue since %v, want the first missed day's grace", s.Since)
	}
	if s := (Plan{}).Status(day(23, 8), time.Time{}); s.State != Unbound {
		t.Errorf("a section without cadence is %s", s.State)
	}
}

func TestGraceOfDaysIsCountedOnTheCalendar(t *testing.T) {
	p := Plan{Cadence: Weekly, Due: due(t, Weekly, "sat 12:00"), Grace: 2 * 24 * time.Hour, Zone: zone(t, "Europe/Paris")}
	period := p.Period(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)) // clocks go forward on sunday
	if got := period.Overdue.Format("2006-01-02 15:04"); got != "2026-03-30 12:00" {
		t.Errorf("overdue %s", got)
	}
}

func FuzzParseDue(f *testing.F) {
	for c, texts := range plans {
		for _, text := range texts {
			f.Add(string(c), text)
		}
	}
	f.Fuzz(func(t *testing.T, cadence, text string) {
		d, err := ParseDue(Cadence(cadence), text)
		if err != nil {
			return
		}
		p := Plan{Cadence: Cadence(cadence), Due: d}
		period := p.Period(time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC))
		if period.Due.Before(period.Start) || period.Due.After(period.End) {
			t.Fatalf("%s %q is due %v, outside %v to %v", cadence, text, period.Due, period.Start, period.End)
		}
	})
}
