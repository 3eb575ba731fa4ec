package secret

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

const (
	oldValue = "old-value-of-the-signing-key-0001"
	before   = "# production\r\nexport PORT=8080\n\nJWT_SECRET=\"" + oldValue + "\"  # signs sessions\nDB_PASSWORD=keep$me\nEMPTY=\nLAST='no newline'"
)

// scene is an environment file of a site, and everything that was said.
type scene struct {
	dir, file string
	env       checks.Env
	said      *bytes.Buffer
	now       time.Time
}

func newScene(t *testing.T, content string, change func(*checks.KeptSecret)) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir(), said: &bytes.Buffer{}, now: time.Date(2026, 5, 3, 2, 0, 0, 0, time.UTC)}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.file = filepath.Join(s.dir, ".env")
	s.write(t, s.file, content, 0o644)
	k := checks.KeptSecret{Name: "jwt", File: s.file, Key: "JWT_SECRET", New: filepath.Join(s.dir, "jwt.new"), Accept: "two-keys", Grace: 7 * 24 * time.Hour}
	if change != nil {
		change(&k)
	}
	s.env = checks.Env{
		Root: "/", Token: "opsdeck/test0001", Out: s.said, Now: func() time.Time { return s.now },
		Site: checks.SiteFacts{Secrets: map[string]checks.KeptSecret{"jwt": k}},
	}
	return s
}

func (s *scene) write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) content(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func check(t *testing.T, m *checks.Module) checks.Check {
	t.Helper()
	with := map[string]any{"name": "jwt"}
	if m == Grace {
		with = nil
	}
	c, problems := checks.NewCheck(m, "it", with, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (s *scene) preview(t *testing.T, m *checks.Module) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Preview(t.Context(), check(t, m), s.own(nil))
}

func (s *scene) act(ctx context.Context, t *testing.T, m *checks.Module, seen checks.Result) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Act(ctx, check(t, m), s.own(&seen))
}

func (s *scene) probe(t *testing.T, m *checks.Module, seen checks.Result) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Probe(t.Context(), check(t, m), s.own(&seen), checks.Rule{})
}

func (s *scene) own(seen *checks.Result) checks.Own {
	own := checks.Own{Token: s.env.Token, Out: s.said}
	if seen != nil {
		own.Before = seen.Facts
	}
	return own
}

func (s *scene) run(t *testing.T, m *checks.Module) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Run(t.Context(), check(t, m))
}

func level(t *testing.T, what string, res checks.Result, want checks.Level, says string) {
	t.Helper()
	all := strings.Join(append([]string{res.Note, res.Err}, res.Detail...), "\n")
	if res.Level != want || !strings.Contains(all, says) {
		t.Errorf("%s is %v, want %v with %q: %s %v", what, res.Level, want, says, all, res.Why)
	}
}

func TestASecretIsMadeForItsOwnerAloneAndNeverShown(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	seen := s.preview(t, Generate)
	level(t, "preview", seen, checks.OK, "mode 0600")
	level(t, "probe before", s.probe(t, Generate, seen), checks.Crit, "not there")
	res := s.act(t.Context(), t, Generate, seen)
	level(t, "generate", res, checks.OK, "86 characters")
	after := s.probe(t, Generate, seen)
	level(t, "probe", after, checks.OK, "")
	path := filepath.Join(s.dir, "jwt.new")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	value, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.silent(t, strings.TrimSpace(string(value)), seen, res, after)
	level(t, "a second one", s.preview(t, Generate), checks.Unknown, "is there already")
}

// silent asserts that no result and no output has a value.
func (s *scene) silent(t *testing.T, value string, results ...checks.Result) {
	t.Helper()
	for _, r := range results {
		all := cmp.Diff(checks.Result{}, r)
		if len(value) < 16 || strings.Contains(all, value) || strings.Contains(s.said.String(), value) {
			t.Errorf("the value is shown, or too short to tell")
		}
	}
}

func TestRotationKeepsEveryOtherByteAndTheOldValue(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	if os.Getuid() == 0 {
		if err := os.Chown(s.file, 4321, 4322); err != nil {
			t.Fatal(err)
		}
	}
	seen := s.preview(t, Rotate)
	level(t, "preview", seen, checks.OK, "was 0644")
	level(t, "probe before", s.probe(t, Rotate, seen), checks.Crit, "is what it was")
	res := s.act(t.Context(), t, Rotate, seen)
	level(t, "rotate", res, checks.OK, "rotated 2026-05-03")
	level(t, "probe", s.probe(t, Rotate, seen), checks.OK, "")
	got := s.content(t)
	lines, err := parse([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	at, err := find(lines, "JWT_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	value := lines[at].value()
	want := strings.Replace(before, `JWT_SECRET="`+oldValue+`"  # signs sessions`, "JWT_SECRET="+value+"  # signs sessions\nJWT_SECRET_OLD=\""+oldValue+`"`, 1)
	if got != want || value == oldValue || len(value) != 86 {
		t.Error(cmp.Diff(want, got))
	}
	info, err := os.Stat(s.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if stat := info.Sys().(*syscall.Stat_t); os.Getuid() == 0 && (stat.Uid != 4321 || stat.Gid != 4322) {
		t.Errorf("it belongs to %d:%d", stat.Uid, stat.Gid)
	}
	copied := filepath.Join(s.dir, "..env.before-opsdeck-test0001")
	content, err := os.ReadFile(copied)
	if info, _ := os.Stat(copied); err != nil || string(content) != before || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %q, %v", content, err)
	}
	s.silent(t, value, seen, res)
	s.silent(t, oldValue, seen, res)
	level(t, "another rotation in the grace period", s.preview(t, Rotate), checks.Unknown, "remove that first")
}

// TestTheGuidesRotationLogsEverybodyOut runs the guide's own lines: the file
// stays as it was, and the old secret it exports is empty.
func TestTheGuidesRotationLogsEverybodyOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	out, err := exec.Command("sh", "-c", `JWT_SECRET=$(head -c 48 /dev/urandom | base64 | tr -d '\n'); JWT_SECRET_OLD=$OLD_SECRET; printf '%s' "$JWT_SECRET_OLD"`).Output()
	if err != nil || len(out) != 0 || s.content(t) != before {
		t.Fatalf("the guide's lines left %q, %v", out, err)
	}
	level(t, "rotate", s.act(t.Context(), t, Rotate, s.preview(t, Rotate)), checks.OK, "")
	if !strings.Contains(s.content(t), "JWT_SECRET_OLD=\""+oldValue+"\"") {
		t.Error("the old value is not accepted any more")
	}
}

func TestRotationRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		change        func(*checks.KeptSecret)
		says          string
	}{
		{"a file that does not parse", "JWT_SECRET=abc\nwhat is this\n", nil, "line 2: neither a comment nor KEY=value"},
		{"a value over two lines", "JWT_SECRET=\"abc\ndef\"\n", nil, "line 1: a quoted value that does not end"},
		{"a key that is not there", "OTHER=1\n", nil, "does not set JWT_SECRET"},
		{"a key without a value", "JWT_SECRET=\n", nil, "does not set JWT_SECRET"},
		{"a key set twice", "JWT_SECRET=a\nJWT_SECRET=b\n", nil, "on line 1 and on line 2"},
		{"an application that takes one key", before, func(k *checks.KeptSecret) { k.Accept = "" }, "every session drops at once"},
		{"a password that was not set elsewhere", before, func(k *checks.KeptSecret) { k.Accept = "one-key" }, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tt.content, tt.change)
			level(t, "preview", s.preview(t, Rotate), checks.Unknown, tt.says)
			level(t, "rotate", s.act(t.Context(), t, Rotate, checks.Result{}), checks.Unknown, tt.says)
			if s.content(t) != tt.content {
				t.Error("the file was changed")
			}
		})
	}
}

func TestRotationRefusesLinksForeignFoldersAndAChangedFile(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	seen := s.preview(t, Rotate)
	s.write(t, s.file, before+"\nMORE=1\n", 0o600)
	level(t, "changed since", s.act(t.Context(), t, Rotate, seen), checks.Unknown, "not what the preview saw")
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	level(t, "open folder", s.preview(t, Rotate), checks.Unknown, "can be changed by others")
	if err := os.Rename(s.file, s.file+".real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.file+".real", s.file); err != nil {
		t.Fatal(err)
	}
	level(t, "link", s.preview(t, Rotate), checks.Unknown, "is a symbolic link, which is not followed")
}

func TestACancelledRotationChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	seen := s.preview(t, Rotate)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := s.act(ctx, t, Rotate, seen); res.Level == checks.OK || s.content(t) != before {
		t.Errorf("%v %s", res.Level, res.Note)
	}
}

// A kill between the record and the file leaves a record of a rotation that
// was not done.
func TestAKilledRotationIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	seen := s.preview(t, Rotate)
	s.write(t, filepath.Join(s.dir, "..env.JWT_SECRET.rotation"), `{"token":"opsdeck/test0001","due":"2026-05-10T02:00:00Z"}`, 0o600)
	level(t, "probe", s.probe(t, Rotate, seen), checks.Crit, "is what it was")
	level(t, "grace", s.run(t, Grace), checks.OK, "0 of 1")
}

func TestAPasswordIsTakenFromItsFileAndKeepsNoOldOne(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, func(k *checks.KeptSecret) { k.Key, k.Accept = "DB_PASSWORD", "one-key" })
	path := filepath.Join(s.dir, "jwt.new")
	s.write(t, path, "new-password-of-the-role-0002\n", 0o644)
	level(t, "readable by others", s.preview(t, Rotate), checks.Unknown, "can be read by others")
	s.write(t, path, "with $INTERPOLATION in it\n", 0o600)
	level(t, "not plain", s.preview(t, Rotate), checks.Unknown, "letters, digits")
	s.write(t, path, "new-password-of-the-role-0002\n", 0o600)
	seen := s.preview(t, Rotate)
	level(t, "rotate", s.act(t.Context(), t, Rotate, seen), checks.OK, "rotated")
	level(t, "probe", s.probe(t, Rotate, seen), checks.OK, "")
	if want := strings.Replace(before, "keep$me", "new-password-of-the-role-0002", 1); s.content(t) != want {
		t.Error(cmp.Diff(want, s.content(t)))
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the value's own file stays: %v", err)
	}
}

func TestTheOldValueIsRemovedAfterItsGraceAndMissedBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t, before, nil)
	level(t, "nothing rotated", s.run(t, Grace), checks.OK, "0 of 1")
	level(t, "nothing to remove", s.preview(t, Remove), checks.Unknown, "nothing is to be removed")
	level(t, "rotate", s.act(t.Context(), t, Rotate, s.preview(t, Rotate)), checks.OK, "")
	s.now = s.now.Add(6 * 24 * time.Hour)
	level(t, "within", s.run(t, Grace), checks.OK, "1 of 1")
	level(t, "too early", s.preview(t, Remove), checks.Unknown, "grace period ends 2026-05-10")
	s.now = s.now.Add(2 * 24 * time.Hour)
	level(t, "over", s.run(t, Grace), checks.Warn, "")
	s.now = s.now.Add(8 * 24 * time.Hour)
	level(t, "long over", s.run(t, Grace), checks.Crit, "")
	seen := s.preview(t, Remove)
	level(t, "preview", seen, checks.OK, "still holds the old value")
	level(t, "probe before", s.probe(t, Remove, seen), checks.Crit, "still there")
	level(t, "remove", s.act(t.Context(), t, Remove, seen), checks.OK, "gone")
	level(t, "probe", s.probe(t, Remove, seen), checks.OK, "")
	level(t, "removed", s.run(t, Grace), checks.OK, "0 of 1")
	if strings.Contains(s.content(t), "_OLD") || !strings.HasSuffix(s.content(t), "LAST='no newline'") {
		t.Errorf("the file has other lines than before")
	}
}

func TestAnOldValueOfUnknownAgeIsUnknown(t *testing.T) {
	t.Parallel()
	s := newScene(t, "JWT_SECRET=a\nJWT_SECRET_OLD=b\n", nil)
	level(t, "grace", s.run(t, Grace), checks.Unknown, "no record says since when")
	level(t, "remove", s.preview(t, Remove), checks.Unknown, "nobody recorded")
	s.write(t, filepath.Join(s.dir, "..env.JWT_SECRET.rotation"), "{}", 0o600)
	level(t, "grace", s.run(t, Grace), checks.Unknown, "not the record of a rotation")
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	level(t, "no file", s.run(t, Grace), checks.Unknown, "no such file")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{before, "A='b' c\n", "export A = 1 # x\n", "A=\"b\\\"c\"\n", "=\n", "A=#\n", "A='bA='#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parse([]byte(text))
		if err != nil {
			return
		}
		if got := string(without(lines, -1)); got != text {
			t.Errorf("%q became %q", text, got)
		}
		for i, l := range lines {
			if l.key == "" || l.value() == "" { // rotate refuses an empty value
				continue
			}
			if l.start > l.end || l.end > len(l.text) {
				t.Fatalf("value of %q at %d:%d", l.text, l.start, l.end)
			}
			again, err := parse(rotated(lines, i, "new", ""))
			if err != nil || again[i].value() != "new" {
				t.Errorf("%q rotated: %v", l.text, err)
			}
		}
	})
}
