package cli_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestDoctorWaitsForChecksThatCompareTwoSamples: what they need is there after a
// few seconds, so it is no reason to end with 3.
func TestDoctorWaitsForChecksThatCompareTwoSamples(t *testing.T) {
	w := newWard(t, "")
	collecting := func(more ...string) (n int) {
		t.Helper()
		args := append([]string{"doctor", "--json", "--site", w.siteFile(), "--state", w.dir + "/state"}, more...)
		out, err := exec.Command(w.bin, args...).Output()
		var findings []struct{ Level, What, Says string }
		if jsonErr := json.Unmarshal(out, &findings); jsonErr != nil {
			t.Fatalf("%v %v: %s", err, jsonErr, out)
		}
		for _, f := range findings {
			if strings.Contains(f.Says, "collecting") {
				n++
			}
		}
		return n
	}
	if n := collecting("--wait", "0"); n == 0 {
		t.Error("without waiting all checks had data: this test shows nothing")
	}
	if n := collecting(); n != 0 {
		t.Errorf("%d checks have no data yet", n)
	}
}
