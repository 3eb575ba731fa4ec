package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// TestASecondWriterIsToldWhoDrives: "run" waits a little for the journal and
// then exits 73 with the name of whoever holds it; readers are not held up.
func TestASecondWriterIsToldWhoDrives(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: held\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(dir, "state", "held"), journal.Holder{User: "dana", Host: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	event, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "dana"}, "x", "", 0, runbooks.Noted{Text: "driving"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(event); err != nil {
		t.Fatal(err)
	}
	defer j.Release()
	out, err := exec.Command(built(t), "--site", site, "--state", filepath.Join(dir, "state"), "run", "daily").CombinedOutput()
	if exitOf(err) != "73" || !strings.Contains(string(out), "being written by dana, pid") {
		t.Errorf("exit %v: %s", err, out)
	}
	out, err = exec.Command(built(t), "--site", site, "--state", filepath.Join(dir, "state"), "verify").Output() // the site file is named on standard error
	if err != nil || !strings.HasPrefix(string(out), "intact and witnessed") {
		t.Errorf("verify beside a writer: %v: %s", err, out)
	}
}
