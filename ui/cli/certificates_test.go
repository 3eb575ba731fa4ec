package cli_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestTheCertificatesAreRenewedOnTheSandbox walks the section to its end: a
// real certbot tries out and makes the renewal of a certificate that ends soon,
// and the server serves the new one, which then holds.
func TestTheCertificatesAreRenewedOnTheSandbox(t *testing.T) {
	site, _ := headlessDemo(t)
	needsCertbot(t, site)
	w := walker{t, openAt(t, site, shippedSection(t, "certificates"), "certificates")}
	w.must(w.s.Start("expiry"))
	if state := w.decided("expiry"); state != runbooks.Warned {
		_, a := w.item("expiry")
		t.Fatalf("a certificate of 12 days is %s: %s %s", state, a.Result.Note, a.Result.Err)
	}
	w.must(w.s.Start("timer"))
	w.decided("timer") // by a host that systemd runs or not
	w.must(w.s.Start("served"))
	if state := w.decided("served"); state != runbooks.Passed {
		t.Errorf("before the renewal, what is served is %s", state)
	}
	w.does("dry-run")
	w.does("renew")
	w.must(w.s.Skip("reload", "the deploy hook told the server", time.Time{}))
	for _, id := range []string{"expiry", "served"} {
		w.must(w.s.Retry(id))
		until(t, id+" is asked again", func() bool {
			it, a := w.item(id)
			return it.State.Decided() && it.Attempts.Len() == 2 && a.Result != nil
		})
		if it, a := w.item(id); it.State != runbooks.Passed {
			t.Errorf("after the renewal %s is %s: %s %s", id, it.State, a.Result.Note, a.Result.Err)
		}
	}
	w.does("tell")
	w.must(w.s.Finish(""))
}

// needsCertbot skips on a machine that could not give the sandbox one.
func needsCertbot(t *testing.T, site string) {
	t.Helper()
	written, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), "\ncertbot:") {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("the sandbox has no certbot")
		}
		t.Skip("the sandbox has no certbot on this machine")
	}
}
