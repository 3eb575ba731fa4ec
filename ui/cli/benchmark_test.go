package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestTheBenchmarkIsWalkedToItsEnd on the sandbox: what a load would do is
// shown, and it is not begun without a second person; the first benchmark has
// nothing to be compared with.
func TestTheBenchmarkIsWalkedToItsEnd(t *testing.T) {
	site, _ := headlessDemo(t)
	w := walker{t, openAt(t, site, shippedSection(t, "benchmark"), "benchmark")}
	w.must(w.s.StartAll())
	if state := w.decided("tools"); state != runbooks.Passed {
		_, a := w.item("tools")
		t.Errorf("tools is %s: %s", state, a.Result.Err)
	}
	if err := w.s.Arm(t.Context(), "load-site"); err == nil {
		t.Error("nobody was told, and a load could be begun")
	}
	w.must(w.s.Confirm("told", map[string]string{"told": "the owner of the demo", "until": time.Now().Add(time.Hour).Format("2006-01-02 15:04")}))
	for _, id := range []string{"load-site", "load-api"} {
		w.must(w.s.Arm(t.Context(), id))
		it, a := w.item(id)
		if it.State != runbooks.Armed || a.Armed.Preview.Target != "127.0.0.1" || !strings.Contains(a.Armed.Preview.Note, "100 requests to http://127.0.0.1:") {
			t.Fatalf("%s is %s: %s %+v", id, it.State, a.Reason, a.Armed)
		}
		if err := w.s.Approve(id, a.Armed.Preview.Target, a.Armed.Hash); err == nil || !strings.Contains(err.Error(), "second") {
			t.Errorf("%s without a second person: %v", id, err)
		}
		w.must(w.s.Disarm(id, "nobody is there to sign"))
		w.must(w.s.Skip(id, "needs a second person", time.Time{}))
	}
	w.must(w.s.StartAll())
	if state := w.decided("compared"); state != runbooks.Errored {
		t.Errorf("the first one is compared: %s", state)
	}
	w.must(w.s.Acknowledge("compared", "the first benchmark"))
	w.must(w.s.Finish(""))
}
