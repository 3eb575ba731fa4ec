package web

import (
	"os"
	"os/exec"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// TestTheGuidesCurlIsContentWithAnyAnswer: curl without a word about the
// status ends with 0 on a 503, and on a 200 that says "degraded".
func TestTheGuidesCurlIsContentWithAnyAnswer(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	srv := site(t)
	for page, with := range map[string]map[string]any{
		"/fail": {},
		"/liar": {"expect": map[string]any{"json": map[string]any{"$.status": "ok"}}},
	} {
		if out, err := exec.Command(curl, "-s", srv.URL+page).CombinedOutput(); err != nil {
			t.Fatalf("the guide's line fails by now (%v %s): this scene proves nothing any more", err, out)
		}
		with["url"] = srv.URL + page
		if res := checktest.Run(t, env(), Get, with); res.Level != checks.Crit {
			t.Errorf("%s: %v %s", page, res.Level, res.Note)
		}
	}
}
