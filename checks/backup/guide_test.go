package backup

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// TestTheGuidesSizeOfAnEmptyBackupIsNotZero: a dump that failed before its
// first byte is a gzip file of twenty bytes, and du shows the block it takes.
func TestTheGuidesSizeOfAnEmptyBackupIsNotZero(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, newest, zip(t, nil), time.Hour)
	out, err := exec.Command("sh", "-c", "du -h "+dir+"/db_backup_20261123*.sql.gz").Output()
	if err != nil || strings.HasPrefix(string(out), "0") || !strings.Contains(string(out), newest) {
		t.Fatalf("the guide's line says %q %v: this scene proves nothing any more", out, err)
	}
	if res := run(t, Integrity, envOf(dir), nil); res.Level != checks.Crit {
		t.Errorf("%v: %s %s", res.Level, res.Note, res.Err)
	}
}
