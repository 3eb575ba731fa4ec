package policy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/host"
	"github.com/advanced-lms/opsdeck/checks/npm"
	"github.com/advanced-lms/opsdeck/checks/policy"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// kept is a real history in which a check looked at the given hours ago.
type kept struct {
	*journal.History
	t *testing.T
}

func keep(t *testing.T) kept {
	t.Helper()
	h, err := journal.OpenHistory(t.Context(), t.TempDir(), 10*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept{h, t}
}

func (k kept) record(check, fact, label string, value float64, hours ...float64) {
	k.t.Helper()
	for _, ago := range hours {
		k.Record(check, fact, label, checks.Sample{At: now.Add(-time.Duration(ago * float64(time.Hour))), Value: value})
	}
	if err := k.Flush(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

func judge(t *testing.T, h checks.History, raw map[string]any) checks.Result {
	t.Helper()
	return checktest.Run(t, checks.Env{History: h, Now: func() time.Time { return now }}, policy.SLA, raw)
}

// TestWhatASourceIsReadByIsKept: a look that is not in the history would be
// none, and a fact that is not would be no finding.
func TestWhatASourceIsReadByIsKept(t *testing.T) {
	t.Parallel()
	registry, err := checks.NewRegistry(npm.Family(), host.Family())
	if err != nil {
		t.Fatal(err)
	}
	for check, facts := range policy.ReadBy() {
		m, ok := registry.Lookup(check)
		if !ok {
			t.Errorf("there is no module %s", check)
			continue
		}
		for _, name := range facts {
			if spec, ok := m.FactSpec(name); !ok || !spec.Growth && !spec.Usual {
				t.Errorf("%s keeps no history of %s", check, name)
			}
		}
	}
}

func TestAFindingIsHeldAgainstTheTimeOfItsClass(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rank  float64
		hours []float64
		want  checks.Level
	}{
		"critical, 23 h":              {4, []float64{23, 1}, checks.OK},
		"critical, 25 h":              {4, []float64{25, 1}, checks.Crit},
		"high, 47 h":                  {3, []float64{47, 1}, checks.OK},
		"high, 49 h":                  {3, []float64{49, 1}, checks.Crit},
		"moderate, six days":          {2, []float64{150, 1}, checks.OK},
		"moderate, eight days":        {2, []float64{190, 1}, checks.Warn},
		"low, thirty days":            {1, []float64{720, 1}, checks.OK},
		"low, 32 days":                {1, []float64{32 * 24, 1}, checks.Warn},
		"critical, since the look":    {4, []float64{0.5}, checks.OK},
		"the time runs between looks": {4, []float64{30}, checks.Crit},
	} {
		h := keep(t)
		h.record("npm.audit", "dependencies", "backend", 120, tt.hours...)
		h.record("npm.audit", "rank", "backend lodash GHSA-1", tt.rank, tt.hours...)
		if res := judge(t, h, nil); res.Level != tt.want {
			t.Errorf("%s: %v, want %v: %s", name, res.Level, tt.want, res.Note)
		}
	}
}

func TestWhatIsNotFoundAnyMoreIsClosed(t *testing.T) {
	t.Parallel()
	h := keep(t)
	h.record("npm.audit", "dependencies", "backend", 120, 100, 50, 1)
	h.record("npm.audit", "rank", "backend lodash GHSA-1", 4, 100, 50)
	res := judge(t, h, nil)
	if open, _ := res.Fact("open_critical", ""); res.Level != checks.OK || open.Num != 0 {
		t.Errorf("%v, %v open: %s", res.Level, open.Num, res.Err)
	}
}

func TestEachSourceHasItsClasses(t *testing.T) {
	t.Parallel()
	h := keep(t)
	h.record("npm.outdated", "outdated", "web", 3, 200, 1)
	h.record("npm.outdated", "behind", "web major", 3, 200, 1)
	h.record("npm.outdated", "behind", "web minor", 2, 200, 1)
	h.record("npm.outdated", "behind", "web patch", 1, 200, 1)
	h.record("runtime.version", "line", "", 24, 50, 1)
	h.record("runtime.version", "behind", "24.1.0", 1, 50, 1)
	h.record("pkg.updates", "waiting", "", 1, 300, 1)
	h.record("pkg.updates", "pending", "openssl", 1, 300, 1)
	res := judge(t, h, nil)
	for name, want := range map[string]float64{"open_high": 1, "overdue_high": 1, "open_medium": 2, "overdue_medium": 2, "open_low": 2, "overdue_low": 0, "open_critical": 0} {
		if got, ok := res.Fact(name, ""); !ok || got.Num != want {
			t.Errorf("%s is %v, want %v", name, got.Num, want)
		}
	}
	table, _ := res.Table("findings")
	if len(table.Rows) != 5 || table.Rows[1][3].Text != "openssl" {
		t.Errorf("the oldest does not come first in its class: %v", table.Rows)
	}
	if res := judge(t, h, map[string]any{"medium": "30d", "high": "30d"}); res.Level != checks.OK {
		t.Errorf("with a time of its own: %v", res.Level)
	}
}

func TestWhatNobodyLookedAtIsUnknown(t *testing.T) {
	t.Parallel()
	stale := keep(t)
	stale.record("npm.audit", "dependencies", "backend", 120, 300)
	stale.record("npm.audit", "rank", "backend lodash GHSA-1", 4, 300)
	for name, h := range map[string]checks.History{"no history": nil, "an empty one": keep(t), "a look two weeks ago": stale} {
		if res := judge(t, h, nil); res.Level != checks.Unknown || res.Class != checks.NoData {
			t.Errorf("%s: %v %v", name, res.Level, res.Class)
		}
	}
}

func TestAHistoryThatCannotBeReadIsNoCleanOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, err := journal.OpenHistory(t.Context(), dir, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "history.db")); err != nil {
		t.Fatal(err)
	}
	if res := judge(t, h, nil); res.Level != checks.Unknown {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}
