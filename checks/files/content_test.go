package files

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestFamily(t *testing.T) {
	t.Parallel()
	checktest.Family(t, Family())
}

const text = "#!/bin/sh\nset -eu\npassword=hunter2\nset -x\n"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// root is a tree with a script in it and one of each kind that is no file.
func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "job")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chmod(path, 0o755))
	must(t, os.Symlink("job", filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	big, err := os.Create(filepath.Join(dir, "big"))
	must(t, err)
	must(t, big.Truncate(maxFile+1))
	must(t, big.Close())
	return dir
}

func TestScenes(t *testing.T) {
	t.Parallel()
	dir := root(t)
	self := map[bool]string{true: "0", false: "1"}[os.Getuid() == 0]
	tests := []struct {
		name  string
		with  map[string]any
		level checks.Level
		class checks.Class
		says  string
	}{
		{"as expected", map[string]any{"path": "/job", "contains": []any{"set -eu"}, "absent": []any{"yourdomain"}, "matches": "^set -", "mode": "0755"}, checks.OK, "", "mode 0755"},
		{"nothing expected", map[string]any{"path": "/job"}, checks.OK, "", ""},
		{"missing", map[string]any{"path": "/no"}, checks.Crit, "", "there is no /no"},
		{"a text is not in it", map[string]any{"path": "/job", "contains": []any{"set -eu", "pipefail"}}, checks.Crit, "", `no "pipefail" in it`},
		{"a text is in it that may not", map[string]any{"path": "/job", "absent": []any{"hunter2"}}, checks.Crit, "", `"hunter2" in line 3`},
		{"nothing matches", map[string]any{"path": "/job", "matches": "^et"}, checks.Crit, "", "nothing matches"},
		{"changed", map[string]any{"path": "/job", "sha256": strings.Repeat("0", 64)}, checks.Crit, "", "changed: sha256 "},
		{"another mode", map[string]any{"path": "/job", "mode": "0644"}, checks.Warn, "", "mode 0755 instead of 0644"},
		{"another owner", map[string]any{"path": "/job", "owner": "nobody"}, checks.Warn, "", "instead of nobody"},
		{"the owner by number", map[string]any{"path": "/job", "owner": self}, map[bool]checks.Level{true: checks.OK, false: checks.Warn}[self == "0"], "", ""},
		{"by a link", map[string]any{"path": "/link", "contains": []any{"set"}}, checks.OK, "", ""},
		{"a link where none may be", map[string]any{"path": "/link", "follow": false}, checks.Unknown, checks.Other, "symbolic link"},
		{"a named pipe", map[string]any{"path": "/fifo"}, checks.Unknown, checks.Other, "not a regular file"},
		{"a directory", map[string]any{"path": "/dir"}, checks.Unknown, checks.Other, "not a regular file"},
		{"too large to be sure", map[string]any{"path": "/big", "absent": []any{"x"}}, checks.Unknown, checks.Limit, "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := checktest.Run(t, checks.Env{Root: dir}, Content, tt.with)
			if res.Level != tt.level || res.Class != tt.class || !strings.Contains(res.Note, tt.says) {
				t.Errorf("level %v, class %q: %q %s", res.Level, res.Class, res.Note, res.Err)
			}
			if seen := strings.Join(res.Detail, "\n"); tt.name != "a text is in it that may not" && strings.Contains(seen+res.Note, "hunter2") {
				t.Errorf("the file's content is shown: %s", seen)
			}
		})
	}
}

// TestAFileOfTheSiteFileBringsItsExpectations: a shipped runbook names it and
// knows neither its path nor its hash.
func TestAFileOfTheSiteFileBringsItsExpectations(t *testing.T) {
	t.Parallel()
	env := checks.Env{Root: root(t), Site: checks.SiteFacts{Files: map[string]checks.ExpectedFile{
		"job":     {Name: "job", With: map[string]any{"path": "/job", "sha256": strings.Repeat("0", 64)}},
		"reader":  {Name: "reader", With: map[string]any{"path": "/job", "contains": "set -eu", "mode": "0755"}},
		"damaged": {Name: "damaged", With: map[string]any{"path": "job"}, Origin: "site:3:5"},
	}}}
	for _, tt := range []struct {
		with  map[string]any
		level checks.Level
		says  string
	}{
		{map[string]any{"file": "job"}, checks.Crit, "changed: sha256"},
		{map[string]any{"file": "reader"}, checks.OK, "mode 0755"},
		{map[string]any{"file": "nowhere"}, checks.Skipped, `"nowhere" under files`},
		{map[string]any{"file": "damaged"}, checks.Unknown, "site:3:5"},
		{nil, checks.Unknown, "neither a path nor a file"},
	} {
		if res := checktest.Run(t, env, Content, tt.with); res.Level != tt.level || !strings.Contains(res.Note+res.Err, tt.says) {
			t.Errorf("%v: %v %q %q", tt.with, res.Level, res.Note, res.Err)
		}
	}
}

func TestASocketIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	defer l.Close()
	if res := checktest.Run(t, checks.Env{Root: dir}, Content, map[string]any{"path": "/s"}); res.Level != checks.Unknown {
		t.Errorf("level %v: %s", res.Level, res.Note)
	}
}

// TestWhatMayNotBeReadIsUnknown runs itself as another user if it is root.
func TestWhatMayNotBeReadIsUnknown(t *testing.T) {
	dir := os.Getenv("FILES_DENIED")
	if dir == "" && os.Getuid() == 0 {
		dir, err := os.MkdirTemp("", "denied")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		must(t, os.Chmod(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "closed"), []byte("x"), 0o600))
		self := filepath.Join(dir, "self")
		binary, err := os.ReadFile(os.Args[0])
		must(t, err)
		must(t, os.WriteFile(self, binary, 0o600))
		must(t, os.Chmod(self, 0o755))
		cmd := exec.Command(self, "-test.run=^TestWhatMayNotBeReadIsUnknown$")
		cmd.Env = append(os.Environ(), "FILES_DENIED="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if dir == "" {
		dir = t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "closed"), []byte("x"), 0))
	}
	res := checktest.Run(t, checks.Env{Root: dir}, Content, map[string]any{"path": "/closed"})
	if res.Level != checks.Unknown || res.Class != checks.Denied {
		t.Errorf("level %v, class %q: %s", res.Level, res.Class, res.Note)
	}
}

func TestTheAgeIsThatOfTheLastWrite(t *testing.T) {
	t.Parallel()
	dir := root(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(dir, "job"), at, at))
	env := checks.Env{Root: dir, Now: func() time.Time { return at.Add(26 * time.Hour) }}
	res := checktest.Run(t, env, Content, map[string]any{"path": "/job", "matches": "set"})
	if f, _ := res.Fact("age", ""); f.Dur() != 26*time.Hour {
		t.Errorf("the age is %v", f)
	}
	if f, _ := res.Fact("matches", ""); f.Num != 2 {
		t.Errorf("%v matches", f)
	}
}

func TestExpectationsThatMeanNothingDoNotBind(t *testing.T) {
	t.Parallel()
	for _, with := range []map[string]any{
		{"path": "job"}, {"path": "/job", "matches": "("}, {"path": "/job", "sha256": "abc"},
		{"path": "/job", "mode": 420}, {"path": "/job", "mode": "rwx"},
	} {
		if _, problems := checks.NewCheck(Content, "job", with, checks.Rules{}); len(problems) == 0 {
			t.Errorf("%v binds", with)
		}
	}
}
