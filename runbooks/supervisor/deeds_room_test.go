package supervisor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// TestTheRoomOfAStepThatIsGoneIsFreedWhenThatIsSeen: it was killed before it
// wrote its result.
func TestTheRoomOfAStepThatIsGoneIsFreedWhenThatIsSeen(t *testing.T) {
	folder, err := step.New(filepath.Join(t.TempDir(), "steps"), step.Intent{Module: "ok"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder.Path, "started.json"), []byte(`{"pid":1073741824,"start":1,"boot":"b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hostfs.Reserve(filepath.Join(folder.Path, "result.json"), 1<<10); err != nil {
		t.Fatal(err)
	}
	if s := (Steps{Root: filepath.Dir(folder.Path)}).Look(folder.Name()); s.State != runbooks.DeedGone {
		t.Errorf("%+v", s)
	}
	if left, _ := filepath.Glob(filepath.Join(folder.Path, ".result.json.*")); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}
