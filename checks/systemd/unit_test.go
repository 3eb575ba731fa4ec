package systemd

import (
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

func unitIs(t *testing.T, env checks.Env, with map[string]any, level checks.Level, says string) checks.Result {
	t.Helper()
	res := checktest.Run(t, env, Unit, with)
	why := ""
	for _, b := range res.Why {
		why += b.Rule + "\n"
	}
	if said := res.Note + "\n" + strings.Join(res.Detail, "\n") + "\n" + res.Err + "\n" + why; res.Level != level || !strings.Contains(said, says) {
		t.Errorf("%v, want %v with %q:\n%s", res.Level, level, says, said)
	}
	return res
}

func bySystemd(name string) map[string]any { return map[string]any{"unit": name} }

const daemon = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/kill -HUP $MAINPID\n[Install]\nWantedBy=multi-user.target\n"

func TestAServiceThatRuns(t *testing.T) {
	m := needMachine(t)
	m.unit(t, "good.service", daemon)
	m.do(t, "systemctl", "enable", "--now", "good.service")
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		res := unitIs(t, env, bySystemd("good.service"), checks.OK, "active (running), enabled")
		if f, ok := res.Fact("restarts", ""); !ok || f.Num != 0 {
			t.Errorf("restarts %+v", f)
		}
		if f, ok := res.Fact("since", ""); !ok || time.Since(f.Instant()) > time.Minute {
			t.Errorf("since %+v", f)
		}
		if f, ok := res.Fact("last", ""); ok {
			t.Errorf("a service has elapsed: %+v", f)
		}
	})
}

func TestServicesThatAreNotWell(t *testing.T) {
	m := needMachine(t)
	m.unit(t, "idle.service", daemon)
	m.do(t, "systemctl", "enable", "idle.service")
	m.unit(t, "unasked.service", daemon)
	m.do(t, "systemctl", "start", "unasked.service")
	m.unit(t, "broken.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n[Install]\nWantedBy=multi-user.target\n")
	m.do(t, "systemctl", "enable", "broken.service")
	m.try(t, "systemctl", "start", "broken.service")
	m.unit(t, "restless.service", "[Service]\nRestart=always\nRestartSec=50ms\nExecStart=/bin/sh -c 'echo x >>/run/restless; test $(wc -l </run/restless) -gt 2 && exec sleep infinity; exit 1'\n[Install]\nWantedBy=multi-user.target\n")
	m.unit(t, "edited.service", daemon)
	m.do(t, "systemctl", "enable", "--now", "edited.service")
	m.unit(t, "nonsense.service", "[Service]\nType=whatever\n")
	m.do(t, "systemctl", "mask", "--runtime", "systemd-update-utmp.service")
	t.Cleanup(func() { m.do(t, "systemctl", "unmask", "--runtime", "systemd-update-utmp.service") })
	m.do(t, "systemctl", "enable", "--now", "restless.service") // last: reading units disturbs the restarts
	awaits(t, func() bool {
		return strings.TrimSpace(m.do(t, "systemctl", "show", "-P", "NRestarts", "restless.service")) == "2"
	})
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		unitIs(t, env, bySystemd("idle.service"), checks.Crit, "active == false")
		unitIs(t, env, bySystemd("unasked.service"), checks.Crit, "enabled == false")
		res := unitIs(t, env, bySystemd("broken.service"), checks.Crit, "failed == true")
		if f, ok := res.Fact("exit", ""); !ok || f.Num != 3 {
			t.Errorf("exit %+v", f)
		}
		unitIs(t, env, bySystemd("restless.service"), checks.Warn, "restarts > 0")
		unitIs(t, env, bySystemd("absent.service"), checks.Crit, "systemd has no absent.service")
		unitIs(t, env, bySystemd("nonsense.service"), checks.Crit, "loaded == false")
		unitIs(t, env, bySystemd("systemd-update-utmp.service"), checks.Crit, "is masked")
	})
	m.write(t, "etc/systemd/system/edited.service", daemon+"# changed\n")
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		unitIs(t, env, bySystemd("edited.service"), checks.Warn, "daemon_reload == true")
	})
}

func awaits(t *testing.T, is func() bool) {
	t.Helper()
	for range 100 {
		if is() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("it did not come to be within 10 s")
}

// timed writes a timer and the service that it starts. All timers of a test are
// written before one is started: systemd looks at them anew when it reads units.
func (m *machine) timed(t *testing.T, name, when, service string) {
	t.Helper()
	m.unit(t, name+".service", service)
	m.unit(t, name+".timer", "[Timer]\n"+when+"\n[Install]\nWantedBy=timers.target\n")
}

const (
	works = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
	fails = "[Service]\nType=oneshot\nExecStart=/bin/false\n"
	daily = "OnCalendar=daily\n"
	now   = "OnActiveSec=50ms\nAccuracySec=1ms\n"
)

// elapsed starts a timer and waits until it has elapsed and its service ended.
func (m *machine) elapsed(t *testing.T, timer string) {
	t.Helper()
	m.do(t, "systemctl", "enable", "--now", timer)
	awaits(t, func() bool {
		return strings.TrimSpace(m.do(t, "systemctl", "show", "-P", "LastTriggerUSec", timer)) != ""
	})
	awaits(t, func() bool {
		return strings.TrimSpace(m.do(t, "systemctl", "show", "-P", "SubState", timer)) != "running"
	})
}

func TestTimers(t *testing.T) {
	m := needMachine(t)
	m.timed(t, "ran", daily+now, works)
	m.timed(t, "young", daily, works)
	m.timed(t, "spent", now, works)
	m.timed(t, "hours", "OnUnitActiveSec=2h\n"+now, works)
	m.timed(t, "passed-over", daily+now, "[Unit]\nConditionPathExists=/nowhere\n"+works)
	m.timed(t, "off", daily, works)
	m.do(t, "systemctl", "enable", "--now", "young.timer")
	for _, name := range []string{"ran", "spent", "hours", "passed-over"} {
		m.elapsed(t, name+".timer")
	}
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		res := unitIs(t, env, bySystemd("ran.timer"), checks.OK, "active (waiting), enabled, next")
		midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		if f, ok := res.Fact("next", ""); !ok || !f.Instant().Equal(midnight) {
			t.Errorf("next %+v, want %v", f, midnight)
		}
		if f, ok := res.Fact("last", ""); !ok || f.Dur() > time.Minute || f.Dur() < -time.Second {
			t.Errorf("last %+v", f)
		}
		res = unitIs(t, env, bySystemd("hours.timer"), checks.OK, "next")
		if f, ok := res.Fact("next", ""); !ok || time.Until(f.Instant()) > 2*time.Hour+time.Minute || time.Until(f.Instant()) < 118*time.Minute {
			t.Errorf("next by the monotonic clock %+v", f)
		}
		res = unitIs(t, env, bySystemd("young.timer"), checks.Warn, "triggered == false")
		if f, ok := res.Fact("result", ""); ok {
			t.Errorf("a service that did not run has the result %+v", f)
		}
		unitIs(t, env, bySystemd("spent.timer"), checks.Crit, "scheduled == false")
		unitIs(t, env, bySystemd("passed-over.timer"), checks.Warn, "a condition in")
		unitIs(t, env, bySystemd("off.timer"), checks.Crit, "active == false")
		late := env
		late.Now = func() time.Time { return time.Now().Add(26 * time.Hour) }
		unitIs(t, late, bySystemd("ran.timer"), checks.Warn, "last > 25h")
	})
}

// TestAnActiveTimerWhoseServiceFailsIsNotWell: the guide's own command exits
// with 0 and says "active" of it.
func TestAnActiveTimerWhoseServiceFailsIsNotWell(t *testing.T) {
	m := needMachine(t)
	m.timed(t, "certbot", daily+now, fails)
	m.elapsed(t, "certbot.timer")
	if out, code := m.try(t, "systemctl", "status", "--no-pager", "certbot.timer"); code != 0 || !strings.Contains(out, "active (waiting)") {
		t.Fatalf("the guide's way notices it by now: %d %s", code, out)
	}
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		res := unitIs(t, env, bySystemd("certbot.timer"), checks.Crit, "result_ok == false")
		if f, ok := res.Fact("result", ""); !ok || f.Text != "exit-code" {
			t.Errorf("result %+v", f)
		}
	})
}

// TestASnapCallsItOtherwise: the guide's name alone would be red.
func TestASnapCallsItOtherwise(t *testing.T) {
	m := needMachine(t)
	const snap = "snap.certbot.renew"
	m.timed(t, snap, daily+now, works)
	m.elapsed(t, snap+".timer")
	with := map[string]any{"unit": "certbot.timer", "or": []string{snap + ".timer"}}
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		unitIs(t, env, bySystemd("certbot.timer"), checks.Crit, "no certbot.timer")
		if res := unitIs(t, env, with, checks.OK, "waiting"); res.Target != snap+".timer" {
			t.Errorf("target %q", res.Target)
		}
	})
	m.unit(t, "certbot.timer", "[Timer]\nOnCalendar=daily\nUnit=snap.certbot.renew.service\n")
	if res := unitIs(t, m.env(), with, checks.OK, "certbot.timer is here too, inactive (dead)"); res.Target != snap+".timer" {
		t.Errorf("target %q", res.Target)
	}
}

func TestAHostWithoutSystemdIsUnknown(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/1/comm", "runit\n")
	res := unitIs(t, checks.Env{Root: root}, bySystemd("certbot.timer"), checks.Unknown, "systemd does not run this host: process 1 is runit")
	if res.Class != checks.Missing {
		t.Errorf("class %q", res.Class)
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	for _, name := range []string{"nginx", "nginx.socket", "-H.service", "ng*.service", "a b.timer", "../x.service", ".timer"} {
		if _, problems := checks.NewCheck(Unit, "x", bySystemd(name), checks.Rules{}); len(problems) == 0 {
			t.Errorf("%q is taken", name)
		}
	}
	if _, problems := checks.NewCheck(Reload, "x", bySystemd("certbot.timer"), checks.Rules{}); len(problems) == 0 {
		t.Error("a timer is to be reloaded")
	}
	if _, problems := checks.NewCheck(Unit, "x", map[string]any{"unit": `dev-disk\x2did@1.service`, "or": []string{"?"}}, checks.Rules{}); len(problems) != 1 {
		t.Errorf("%v", problems)
	}
}
