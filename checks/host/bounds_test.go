package host

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// TestALockTableBeyondItsBoundIsUnknown: the line of the process that holds
// dpkg's lock stands behind the bound. Half of the table says that none does.
func TestALockTableBeyondItsBoundIsUnknown(t *testing.T) {
	t.Parallel()
	m := debian(t)
	other := "1: FLOCK  ADVISORY  WRITE 1 fd:00:7 0 EOF\n"
	m.file("proc/locks", strings.Repeat(other, maxFile/len(other)+1))
	res := m.preview(Upgrade, nil)
	if res.Level != checks.Unknown || res.Class != checks.Limit || !strings.Contains(res.Err, "proc/locks is larger than") {
		t.Errorf("%v %v: %s", res.Level, res.Class, res.Err)
	}
}
