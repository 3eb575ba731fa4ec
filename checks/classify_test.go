package checks_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// TestAFileOverItsLimitIsUnknownForItsSize: half a file is no data.
func TestAFileOverItsLimitIsUnknownForItsSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &checks.Module{Name: "reads", Timeout: checks.DefaultTimeout, Run: func(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
		_, err := hostfs.Read(path, 9)
		return checks.Findings{}, err
	}}
	res := checks.NewRunner(checks.Env{}, nil).Run(t.Context(), checks.Check{ID: "reads", Module: m})
	if res.Level != checks.Unknown || res.Class != checks.Limit {
		t.Errorf("%v %v: %s", res.Level, res.Class, res.Err)
	}
}
