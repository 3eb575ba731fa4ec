package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestALogOfTheDemoIsRotated by the item of the weekly round: the preview is
// shown, confirmed and recorded, and it is the demo's log and no other.
func TestALogOfTheDemoIsRotated(t *testing.T) {
	if _, err := exec.LookPath("logrotate"); err != nil || os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("needs logrotate and root: %v", err)
		}
		t.Skip("needs logrotate and root")
	}
	site, _ := headlessDemo(t)
	w := walker{t, openAt(t, site, shippedSection(t, "weekly"), "weekly")}
	w.does("rotate")
	log := filepath.Join(filepath.Dir(site), "log", "mail.log")
	if got, err := os.ReadFile(log + ".1"); err != nil || !strings.Contains(string(got), "mail to user") {
		t.Errorf("%q %v", got, err)
	}
	state, err := os.ReadFile(filepath.Join(filepath.Dir(site), "rotation", "status"))
	if err != nil || strings.Count(string(state), "\n") != 2 {
		t.Errorf("%s %v", state, err)
	}
}

// TestWithoutSystemdTheCertificatesAreWalkedToTheirEnd: what cannot be known
// there is not green, and does not stand in the way.
func TestWithoutSystemdTheCertificatesAreWalkedToTheirEnd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("systemd runs this host")
	}
	site, _ := headlessDemo(t)
	w := walker{t, openAt(t, site, shippedSection(t, "certificates"), "certificates")}
	w.must(w.s.StartAll())
	if state := w.decided("timer"); state != runbooks.Errored {
		t.Errorf("the timer is %s", state)
	}
	if _, a := w.item("timer"); !strings.Contains(a.Reason, "systemd does not run this host") && (a.Result == nil || !strings.Contains(a.Result.Err, "systemd does not run this host")) {
		t.Errorf("%+v", a)
	}
	err := w.s.Arm(t.Context(), "reload")
	it, a := w.item("reload")
	if said := a.Reason; err != nil {
		said += err.Error()
	} else if it.State == runbooks.Armed || !strings.Contains(said, "systemd does not run this host") {
		t.Errorf("the reload is %s: %s", it.State, said)
	}
}
