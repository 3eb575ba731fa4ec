package scan_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/scan"
)

// TestTheGuidesInjectionTestAttacksProduction: its line asks nobody whether the
// address is the one that users are on, and --batch answers every question.
func TestTheGuidesInjectionTestAttacksProduction(t *testing.T) {
	t.Parallel()
	need(t, "sqlmap")
	var attacks atomic.Int64
	production := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.ContainsAny(r.URL.Query().Get("id"), "'\"()") {
			attacks.Add(1)
		}
		w.Write([]byte("a course")) //nolint:errcheck // the client may have gone
	}))
	defer production.Close()
	target := production.URL + "/api/courses?id=1"
	out, err := exec.Command("sqlmap", "-u", target, "--batch", "--output-dir", t.TempDir()).CombinedOutput()
	if attacks.Load() == 0 {
		t.Fatalf("the guide's line attacked nobody (%v): this scene proves nothing any more\n%s", err, out)
	}
	attacks.Store(0)
	s := allowedScan(t, "sqlmap", target)
	s.Staging = false
	e := env(t, s)
	if res := checks.NewRunner(e, nil).Preview(t.Context(), check(t, scan.Run), own(e)); res.Level != checks.Unknown || attacks.Load() != 0 {
		t.Errorf("the preview is %v, %d attacks", res.Level, attacks.Load())
	}
	if res := act(t, scan.Run, e); res.Level != checks.Unknown || attacks.Load() != 0 {
		t.Errorf("it is %v: %s, %d attacks", res.Level, res.Err, attacks.Load())
	}
}
