package logs

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// TestTheGuidesCountOfTheLastHourCountsTheWholeFile: one number goes through
// the tail as it is, and right after a rotation the hour is in another file.
func TestTheGuidesCountOfTheLastHourCountsTheWholeFile(t *testing.T) {
	t.Parallel()
	grep := func(path string) string {
		out, err := exec.Command("sh", "-c", "grep -c ERROR "+path+" | tail -100").Output()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	old := logOf(t, append(repeated(200, func(i int) string { return at(5*time.Hour-time.Duration(i)*time.Second, "ERROR yesterday's news") }),
		at(10*time.Minute, "INFO NO_ERROR"))...)
	if got := grep(old.Paths[0]); got != "201" {
		t.Fatalf("the guide's line counts %s: this scene proves nothing any more", got)
	}
	if res := count(t, old, nil); res.Level != checks.OK || factOf(res, "count") != "0" {
		t.Errorf("%v, counted %s", res.Level, factOf(res, "count"))
	}

	rotated := logOf(t, at(time.Minute, "INFO all is well"))
	write(t, rotated.Paths[0]+".1", repeated(60, func(i int) string { return at(30*time.Minute-time.Duration(i)*time.Second, "ERROR cannot save quiz") })...)
	if got := grep(rotated.Paths[0]); got != "0" {
		t.Fatalf("the guide's line counts %s: this scene proves nothing any more", got)
	}
	if res := count(t, rotated, nil); res.Level != checks.Crit || factOf(res, "count") != "60" {
		t.Errorf("%v, counted %s", res.Level, factOf(res, "count"))
	}
}
