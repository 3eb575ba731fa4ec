package host

import (
	"context"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var before = []fact.Fact{fact.Word("boot_id", bootA)}

func TestThePreviewOfARebootShowsWhatItHits(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.file("run/reboot-required", "*** System restart required ***\n")
	m.file("run/reboot-required.pkgs", "linux-image-amd64\nlibc6\n")
	m.says("systemctl list-units", "nginx.service loaded failed failed A web server\n")
	res := m.preview(Reboot, nil)
	if res.Level != checks.OK || res.Target != "lms1" || res.Fingerprint != bootA {
		t.Errorf("%v %q %q %s", res.Level, res.Target, res.Fingerprint, res.Err)
	}
	for _, part := range []string{"logged in: root pts/0", "asked for by: linux-image-amd64, libc6", "failed before the reboot: nginx.service", "ends this console"} {
		if !hasDetail(res, part) {
			t.Errorf("no %q in %q", part, res.Detail)
		}
	}
	if number(t, res, "users") != 1 || number(t, res, "failed_units") != 1 || number(t, res, "reboot_required") != 1 {
		t.Errorf("%+v", res.Facts)
	}
	if m.has("systemctl reboot") || m.has("shutdown") {
		t.Error("the preview reboots")
	}
}

func TestAPreviewThatCannotTellIsUnknown(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{"proc/sys/kernel/random/boot_id": "x", "proc/uptime": "soon", "proc/sys/kernel/hostname": ""} {
		m := newMachine(t)
		m.file(name, broken)
		if res := m.preview(Reboot, nil); res.Level != checks.Unknown {
			t.Errorf("%s: %v", name, res.Level)
		}
	}
	m := newMachine(t)
	m.lacks("systemctl")
	m.lacks("who")
	if res := m.preview(Reboot, nil); res.Level != checks.OK || !hasDetail(res, "no systemd") || !hasDetail(res, "not known who") {
		t.Errorf("%v %q", res.Level, res.Detail)
	}
	m = newMachine(t)
	m.ends("systemctl is-system-running", 1, "offline\n", "")
	if res := m.preview(Reboot, nil); res.Level != checks.OK || !hasDetail(res, "as in a container") {
		t.Errorf("%v %q", res.Level, res.Detail)
	}
}

// TestARebootNeverSaysItIsDone: only the next boot can.
func TestARebootNeverSaysItIsDone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx, cancel := context.WithCancel(t.Context())
	m.does("systemctl reboot", func(checks.Call) (checks.Output, error) {
		cancel() // the shutdown ends us
		return checks.Output{}, nil
	})
	if res := m.act(ctx, Reboot, nil, before); res.Level != checks.Unknown || !m.has("systemctl reboot") {
		t.Errorf("%v %s; ran %q", res.Level, res.Err, m.ran)
	}
	if res := m.probe(Reboot, before); res.Level != checks.Crit {
		t.Errorf("in the same boot the probe says %v", res.Level)
	}
	m.file("proc/sys/kernel/random/boot_id", bootB)
	m.file("proc/uptime", "42.5 1\n")
	res := m.probe(Reboot, before)
	if f, _ := res.Fact("up", ""); res.Level != checks.OK || f.Dur().Seconds() != 42.5 {
		t.Errorf("in the next boot the probe says %v after %v: %s", res.Level, f, res.Err)
	}
}

func TestWithoutSystemdShutdownIsAsked(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.lacks("systemctl")
	ctx, cancel := context.WithCancel(t.Context())
	m.does("shutdown -r +0", func(checks.Call) (checks.Output, error) { cancel(); return checks.Output{}, nil })
	if res := m.act(ctx, Reboot, nil, before); res.Level != checks.Unknown || !m.has("shutdown -r +0") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
}

func TestARefusedRebootSaysWhy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.ends("systemctl reboot", 1, "", "Call to Reboot failed: Interactive authentication required.\n")
	if res := m.act(t.Context(), Reboot, nil, before); res.Level != checks.Unknown || res.Class != checks.Denied {
		t.Errorf("%v %q %s", res.Level, res.Class, res.Err)
	}
	m.ends("systemctl reboot", 1, "", "Failed to connect to bus: No such file or directory\n")
	if res := m.act(t.Context(), Reboot, nil, before); res.Level != checks.Unknown || res.Class != checks.Other {
		t.Errorf("%v %q %s", res.Level, res.Class, res.Err)
	}
}

func TestARebootNeedsTheBootThatWasConfirmed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for name, facts := range map[string][]fact.Fact{"none": nil, "another": {fact.Word("boot_id", bootB)}} {
		if res := m.act(t.Context(), Reboot, nil, facts); res.Level != checks.Unknown {
			t.Errorf("%s: %v", name, res.Level)
		}
	}
	if len(m.ran) > 0 {
		t.Errorf("it ran %q", m.ran)
	}
	if res := m.probe(Reboot, nil); res.Level != checks.Unknown || res.Class != checks.NoData {
		t.Errorf("the probe says %v %q", res.Level, res.Class)
	}
}
