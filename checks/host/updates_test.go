package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// seen is a history of looks, and of those at which openssl waited.
type seen struct{ looks, waited []checks.Sample }

func (s seen) Series(_, name, label string, _ time.Time) []checks.Sample {
	switch {
	case name == "waiting":
		return s.looks
	case label == "openssl":
		return s.waited
	}
	return nil
}

func (m *machine) updates(raw map[string]any, history checks.History) checks.Result {
	m.t.Helper()
	env := m.env()
	env.History = history
	c, problems := checks.NewCheck(Updates, "updates", raw, checks.Rules{})
	if len(problems) > 0 {
		m.t.Fatal(problems)
	}
	return checks.NewRunner(env, nil).Run(m.t.Context(), c)
}

func waiting(t *testing.T) *machine {
	m := debian(t)
	m.says("apt-get -s dist-upgrade", two+"Inst bash [5.2] (5.3 Debian:12.15/oldstable [amd64])\n")
	return m
}

func TestSecurityUpdatesAreCountedApart(t *testing.T) {
	t.Parallel()
	m := waiting(t)
	res := m.updates(nil, nil)
	if res.Level != checks.Warn || number(t, res, "security") != 2 || number(t, res, "waiting") != 3 {
		t.Errorf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	if res := m.updates(map[string]any{"packages": []any{"postgresql"}}, nil); res.Level != checks.OK || number(t, res, "security") != 0 {
		t.Errorf("others: %v %s %+v", res.Level, res.Err, res.Facts)
	}
	m.file("run/reboot-required", "")
	m.says("apt-get -s dist-upgrade", "")
	if res := m.updates(nil, nil); res.Level != checks.Warn {
		t.Errorf("a pending restart is %v", res.Level)
	}
}

// TestASecurityUpdateThatWaitsLongerThanAWeekFails by the history alone.
func TestASecurityUpdateThatWaitsLongerThanAWeekFails(t *testing.T) {
	t.Parallel()
	m := waiting(t)
	today := now(m.env())
	ago := func(days ...int) (all []checks.Sample) {
		for _, d := range days {
			all = append(all, checks.Sample{At: today.AddDate(0, 0, -d), Value: 1})
		}
		return all
	}
	if res := m.updates(nil, seen{ago(8, 1), ago(8, 1)}); res.Level != checks.Crit {
		t.Errorf("after eight days: %v %+v", res.Level, res.Facts)
	}
	if res := m.updates(nil, seen{ago(200, 90, 3), ago(200, 3)}); res.Level != checks.Warn {
		t.Errorf("another update of the same package, months ago: %v %+v", res.Level, res.Facts)
	}
}

func TestOldListsSayNothingOfUpdates(t *testing.T) {
	t.Parallel()
	m := waiting(t)
	stamp := filepath.Join(m.root, "var/lib/apt/periodic/update-success-stamp")
	old := now(m.env()).AddDate(0, 0, -9)
	must(t, os.Chtimes(stamp, old, old))
	if res := m.updates(nil, nil); res.Level != checks.Unknown {
		t.Errorf("lists of nine days ago give %v", res.Level)
	}
	must(t, os.Remove(stamp))
	if res := m.updates(nil, nil); res.Level != checks.Unknown {
		t.Errorf("no lists give %v", res.Level)
	}
}
