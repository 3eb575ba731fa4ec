package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/git"
)

// TestDependabotIsAskedWhatItProposes, and that it stops in silence when as
// many proposals are open as may be.
func TestDependabotIsAskedWhatItProposes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.MkdirAll(s.dir+"/.github", 0o755); err != nil {
		t.Fatal(err)
	}
	s.sh(s.dir, "for p in a b; do git push -q origin main:dependabot/npm_and_yarn/backend/$p-1.0.0; done; git push -q origin main:dependabot/npm_and_yarn/frontend/c-1.0.0")
	guide := "version: 2\nupdates:\n  - package-ecosystem: npm\n    directory: /backend\n    schedule: {interval: weekly}\n    open-pull-requests-limit: 10\n"
	for _, c := range []struct {
		name, file string
		with       map[string]any
		level      checks.Level
		says       string
	}{
		{"none", "", nil, checks.Crit, "entry"},
		{"the guide's", guide, nil, checks.OK, ""},
		{"for another directory", strings.ReplaceAll(guide, "/backend", "/frontend"), nil, checks.Crit, "entry"},
		{"by a pattern", strings.ReplaceAll(guide, "directory: /backend", `directories: ["/back*"]`), nil, checks.OK, ""},
		{"too seldom", strings.ReplaceAll(guide, "weekly", "monthly"), nil, checks.Crit, "often"},
		{"more often", strings.ReplaceAll(guide, "weekly", "daily"), nil, checks.OK, ""},
		{"full", strings.ReplaceAll(guide, "10", "2"), nil, checks.Warn, "full"},
		{"security updates only", strings.ReplaceAll(guide, "10", "0"), nil, checks.OK, ""},
		{"without docker", guide, map[string]any{"wanted": []any{"docker"}}, checks.Warn, "absent"},
		{"of version 1", "version: 1\n", nil, checks.Unknown, "version is 1"},
		{"no YAML", "version: [", nil, checks.Unknown, "dependabot.yml"},
	} {
		path := filepath.Join(s.dir, ".github", "dependabot.yml")
		if c.file == "" {
			os.Remove(path) //nolint:errcheck // it may not be there
		} else if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		res := checktest.Run(t, s.env, git.Dependabot, c.with)
		why := res.Err
		for _, b := range res.Why {
			why += b.Fact
		}
		if res.Level != c.level || !strings.Contains(why, c.says) {
			t.Errorf("%s: %v, want %v: %s", c.name, res.Level, c.level, why)
		}
	}
	s.sh(s.dir, "rm .github/dependabot.yml; mkdir .github/dependabot.yml")
	if res := checktest.Run(t, s.env, git.Dependabot, nil); res.Level != checks.Unknown {
		t.Errorf("unreadable: %v", res.Level)
	}
}

func FuzzDependabot(f *testing.F) {
	f.Add([]byte("version: 2\nupdates: [{package-ecosystem: npm, directory: /}]\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if file, err := git.ParseDependabotForTest(raw); err == nil && file.Version != 2 {
			t.Error("another version is taken")
		}
	})
}
