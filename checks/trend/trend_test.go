package trend_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/trend"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

func TestConformance(t *testing.T) { checktest.Family(t, trend.Family()) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// past is a history of one series: a value for each of the last days, four
// samples each.
type past func(daysAgo int) (float64, bool)

func (p past) Series(_, _, _ string, since time.Time) []checks.Sample {
	var all []checks.Sample
	for ago := 400; ago >= 0; ago-- {
		for hour := range 4 {
			at := now.AddDate(0, 0, -ago).Add(time.Duration(hour-4) * time.Hour)
			if v, ok := p(ago); ok && !at.Before(since) {
				all = append(all, checks.Sample{At: at, Value: v})
			}
		}
	}
	return all
}

func env(p past) checks.Env { return checks.Env{Now: func() time.Time { return now }, History: p} }

const gib = 1 << 30

var disk = map[string]any{"check": "sys.disk", "fact": "free", "label": "/", "unit": "bytes"}

func TestGrowth(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	falling := func(perDay, left float64) past {
		return func(ago int) (float64, bool) {
			return (left + perDay*float64(ago) + noise.Float64()*0.2*perDay) * gib, true
		}
	}
	for _, c := range []struct {
		name  string
		past  past
		raw   map[string]any
		level checks.Level
		days  float64 // about; 0: none
	}{
		{"a year", falling(1, 365), nil, checks.OK, 365},
		{"half a year", falling(1, 150), nil, checks.Warn, 150},
		{"a quarter", falling(2, 100), nil, checks.Crit, 50},
		{"full", func(int) (float64, bool) { return 0, true }, nil, checks.Crit, 0},
		{"it shrinks", func(ago int) (float64, bool) { return float64(500-ago) * gib, true }, nil, checks.OK, 0},
		{"it stands", func(int) (float64, bool) { return 100 * gib, true }, nil, checks.OK, 0},
		{"towards a limit above", func(ago int) (float64, bool) { return float64(400-ago) * gib, true }, map[string]any{"limit": 500.0 * gib}, checks.Warn, 100},
		{"a month of days that is not one", func(ago int) (float64, bool) { return 1, ago < 20 }, nil, checks.Unknown, 0},
		{"two days a month apart", func(ago int) (float64, bool) { return 1, ago == 0 || ago == 60 }, nil, checks.Unknown, 0},
		{"nothing", func(int) (float64, bool) { return 0, false }, nil, checks.Unknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := map[string]any{}
			for _, m := range []map[string]any{disk, c.raw} {
				for k, v := range m {
					raw[k] = v
				}
			}
			res := checktest.Run(t, env(c.past), trend.Growth, raw)
			if res.Level != c.level {
				t.Fatalf("%v, want %v: %s %s", res.Level, c.level, res.Note, res.Err)
			}
			f, ok := res.Fact("days_left", "")
			if days := f.Dur().Hours() / 24; c.days > 0 && (!ok || math.Abs(days-c.days) > c.days/10) {
				t.Errorf("%v days left, want about %v: %s", days, c.days, res.Note)
			}
			if c.level == checks.Unknown && res.Class != checks.NoData {
				t.Errorf("class %s", res.Class)
			}
		})
	}
	if res := checktest.Run(t, checks.Env{}, trend.Growth, disk); res.Level != checks.Unknown {
		t.Errorf("without a history: %v", res.Level)
	}
}

// TestACleanUpIsNoTrend: the linear mean of a series that fell by a third on one
// day says that it shrinks.
func TestACleanUpIsNoTrend(t *testing.T) {
	size := past(func(ago int) (float64, bool) {
		v := 300 + float64(90-ago) // grows by 1 GiB a day
		if ago <= 40 {
			v -= 150 // VACUUM FULL forty days ago
		}
		return v * gib, true
	})
	first, last := 300.0, 300+90-150.0
	if mean := (last - first) / 90; mean >= 0 {
		t.Fatalf("the mean is %v a day: the scene proves nothing", mean)
	}
	res := checktest.Run(t, env(size), trend.Growth, map[string]any{"check": "pg.dbsize", "fact": "size", "unit": "bytes", "limit": 300.0 * gib})
	left, _ := res.Fact("days_left", "")
	jumps, _ := res.Fact("jumps", "")
	if days := left.Dur().Hours() / 24; res.Level != checks.Crit || math.Abs(days-60) > 5 || jumps.Num != 1 || !strings.Contains(strings.Join(res.Detail, " "), "jumped by -15") {
		t.Errorf("%v, %v days, %v jumps: %s %v", res.Level, days, jumps.Num, res.Note, res.Detail)
	}
}

func TestChange(t *testing.T) {
	steps := func(recent float64) past {
		return func(ago int) (float64, bool) {
			if ago < 7 {
				return recent, true
			}
			return 200, true
		}
	}
	p95 := map[string]any{"check": "api", "fact": "p95", "unit": "duration"}
	for _, c := range []struct {
		name  string
		past  past
		level checks.Level
	}{
		{"as before", steps(210), checks.OK}, {"a quarter slower", steps(250), checks.Warn}, {"twice as slow", steps(400), checks.Crit}, {"quicker", steps(50), checks.OK},
		{"from nothing", func(ago int) (float64, bool) { return 0, true }, checks.Unknown},
		{"new", func(ago int) (float64, bool) { return 1, ago < 9 }, checks.Unknown},
		{"not of late", func(ago int) (float64, bool) { return 1, ago > 9 }, checks.Unknown},
	} {
		if res := checktest.Run(t, env(c.past), trend.Change, p95); res.Level != c.level {
			t.Errorf("%s: %v, want %v: %s %s", c.name, res.Level, c.level, res.Note, res.Err)
		}
	}
}

// TestTheRealStoreKeepsWhatIsProjected goes through the file that opsdeck keeps.
func TestTheRealStoreKeepsWhatIsProjected(t *testing.T) {
	h, err := journal.OpenHistory(t.Context(), t.TempDir(), 400*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	today := time.Now()
	for ago := 60; ago >= 0; ago-- {
		h.Record("sys.disk", "free", "/", checks.Sample{At: today.AddDate(0, 0, -ago), Value: float64(100+ago) * gib})
	}
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := checktest.Run(t, checks.Env{Now: time.Now, History: h}, trend.Growth, disk)
	if left, _ := res.Fact("days_left", ""); res.Level != checks.Warn || math.Abs(left.Dur().Hours()/24-100) > 3 {
		t.Errorf("%v %s %s", res.Level, res.Note, res.Err)
	}
}
