package retention_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/retention"
)

// guide runs a line of the guide as a shell would.
func guide(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v %s", line, err, out)
	}
	return string(out)
}

// TestTheGuidesCompressionLosesWhatIsStillWritten: a process that writes
// seldom keeps a file open that looks old. gzip puts another file in its place
// and what the process writes from then on is in neither.
func TestTheGuidesCompressionLosesWhatIsStillWritten(t *testing.T) {
	s := newShelf(t)
	scene := func(name string) *os.File {
		f, err := os.OpenFile(s.file(name, "before\n", 20), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	held := scene("guide.log")
	guide(t, "find "+s.dir+` -name "*.log" -mtime +7 -exec gzip {} \;`)
	if _, err := held.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	kept := guide(t, "cat "+s.dir+"/guide.log 2>/dev/null; gunzip -c "+s.dir+"/guide.log.gz")
	if kept != "before\n" {
		t.Fatalf("the guide's line kept %q: this scene proves nothing any more", kept)
	}

	held = scene("ours.log")
	s.does(retention.Compress, map[string]any{"glob": "*.log"}, nil)
	if _, err := held.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(s.dir, "ours.log")); err != nil || string(raw) != "before\nafter\n" {
		t.Errorf("%q %v", raw, err)
	}
}

// TestTheGuidesRetentionNeverMatches: the files that logrotate makes are named
// app.log.2.gz and app.log-20260901.gz, and the guide's pattern wants *.log.gz.
func TestTheGuidesRetentionNeverMatches(t *testing.T) {
	s := newShelf(t)
	s.file("app.log.2.gz", "x", 31)
	s.file("app.log-20260901.gz", "x", 80)
	guide(t, "find "+s.dir+` -name "*.log.gz" -mtime +30 -delete`)
	if got := s.names(); len(got) != 2 {
		t.Fatalf("the guide's line left %v: this scene proves nothing any more", got)
	}
	preview, _, _ := s.does(retention.Prune, nil, nil)
	if got := s.names(); len(got) != 0 || number(t, preview, "files") != 2 {
		t.Errorf("left are %v: %s", got, strings.Join(preview.Detail, "\n"))
	}
}
