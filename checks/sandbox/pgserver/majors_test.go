package pgserver

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMajorVersionIsFoundBelowItsRootOrNamedAsMissing(t *testing.T) {
	root := t.TempDir()
	t.Setenv("OPSDECK_PG_MAJORS", root)
	for version, sub := range map[int]string{7: "7/native/bin", 8: "8/bin"} {
		want := fakeBinaries(t, filepath.Join(root, sub))
		if got, err := Major(version); got != want || err != nil {
			t.Errorf("version %d: %q, %v; want %q", version, got, err, want)
		}
	}
	_, err := Major(9)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no PostgreSQL 9: run .ci/postgres-majors") {
		t.Errorf("a missing version gives %v", err)
	}
}
