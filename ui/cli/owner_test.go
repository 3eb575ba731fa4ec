package cli_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// strangersUID is nobody's on every Linux.
const strangersUID = 65534

// asRoot skips where files cannot be given to other users.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
		t.Fatal("files have to be given to another user: run as root")
	}
	t.Skip("needs root to give files to another user")
}

// lure writes a file, makes it executable and gives it to an owner.
func lure(t *testing.T, path, content string, uid int) string {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o755), os.Chown(path, uid, -1)); err != nil {
		t.Fatal(err)
	}
	return path
}

// inFolder runs the real program in a folder.
func inFolder(t *testing.T, dir, home string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said strings.Builder
	cmd := exec.Command(built(t), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

// aTrap is a site file that runs a script as nginx, gives a secret of root's to a
// listener, and has the real nginx open a log: each leaves a trace.
type aTrap struct {
	dir, site, home string
	traces          []string
	heard           *atomic.Int32
}

func trap(t *testing.T, mode os.FileMode, folderUID int) aTrap {
	t.Helper()
	a := aTrap{dir: t.TempDir(), home: t.TempDir(), heard: new(atomic.Int32)}
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { a.heard.Add(1) }))
	t.Cleanup(listener.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("root-only\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ran, opened := filepath.Join(a.dir, "ran"), filepath.Join(a.dir, "opened")
	a.traces = []string{ran, opened}
	script := lure(t, filepath.Join(a.dir, "run.sh"), "touch "+ran+"\n", strangersUID)
	a.site = lure(t, filepath.Join(a.dir, "opsdeck.yaml"), fmt.Sprintf(`schema: 1
site: theirs
nginx: {binary: /bin/bash, config: %s}
services:
  - {id: script, use: config.nginx}
  - {id: leak, use: http.get, with: {url: "%s/${file:%s}"}}
`, script, listener.URL, token), strangersUID)
	conf := "error_log " + opened + ";\nevents {}\n"
	if modules, _ := filepath.Glob("/usr/lib/nginx/modules/*.so"); len(modules) > 0 {
		raw, err := os.ReadFile(modules[0])
		if err != nil {
			t.Fatal(err)
		}
		conf = "load_module " + lure(t, filepath.Join(a.dir, "theirs.so"), string(raw), strangersUID) + ";\n" + conf
	}
	conf = lure(t, filepath.Join(a.dir, "nginx.conf"), conf, strangersUID)
	lure(t, filepath.Join(a.dir, "real.yaml"), "schema: 1\nsite: theirs\nnginx: {config: "+conf+"}\nservices: [{id: n, use: config.nginx}]\n", strangersUID)
	if err := errors.Join(os.Chown(a.dir, folderUID, -1), os.Chmod(a.dir, mode)); err != nil {
		t.Fatal(err)
	}
	return a
}

// untouched fails if anything of the trap went off.
func (a aTrap) untouched(t *testing.T, what string) {
	t.Helper()
	for _, trace := range a.traces {
		if _, err := os.Stat(trace); err == nil {
			t.Errorf("%s: %s was made", what, trace)
			os.Remove(trace)
		}
	}
	if n := a.heard.Swap(0); n > 0 {
		t.Errorf("%s: the listener got %d requests with root's secret", what, n)
	}
}

// TestASiteFileOfSomebodyElseSteersNothing: root runs opsdeck in a folder of
// nobody, and in one like /tmp, where nobody has put a site file.
func TestASiteFileOfSomebodyElseSteersNothing(t *testing.T) {
	asRoot(t)
	for name, folder := range map[string]struct {
		mode os.FileMode
		uid  int
	}{"a folder of nobody": {0o755, strangersUID}, "a folder like /tmp": {0o777 | os.ModeSticky, 0}} {
		t.Run(name, func(t *testing.T) {
			a := trap(t, folder.mode, folder.uid)
			own := filepath.Join(a.home, ".config", "opsdeck")
			if err := os.MkdirAll(own, 0o755); err != nil {
				t.Fatal(err)
			}
			lure(t, filepath.Join(own, "opsdeck.yaml"), "schema: 1\nsite: own\n", 0)
			real := filepath.Join(a.dir, "real.yaml")
			for _, args := range [][]string{
				{"triage"}, {"triage", "--json"}, {"run", "daily"}, {"doctor"}, {"supervise"},
				{"--site", a.site, "triage"}, {"--site", real, "check", "config.nginx"},
			} {
				what := strings.Join(args, " ")
				code, stdout, stderr := inFolder(t, a.dir, a.home, args...)
				if code != 65 || stdout != "" && args[0] != "supervise" {
					t.Errorf("%s: exit %d, wrote %q; want 65 and nothing", what, code, stdout)
				}
				for _, want := range []string{"refusing ", "nobody (65534)", "mode ", "hint: "} {
					if !strings.Contains(stderr, want) {
						t.Errorf("%s: %q is not in %q", what, want, stderr)
					}
				}
				a.untouched(t, what)
			}
		})
	}
}

func TestLintReportsAFileOfSomebodyElse(t *testing.T) {
	asRoot(t)
	a := trap(t, 0o755, 0)
	code, stdout, _ := inFolder(t, a.home, a.home, "lint", a.site)
	for _, want := range []string{a.site + ":1:1 error S112 refusing ", "belongs to user nobody (65534), not to root (mode 0755)", `the line "nobody" in /etc/opsdeck/trusted-owners`} {
		if code != 65 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, %q is not in %q", code, want, stdout)
		}
	}
	book := lure(t, filepath.Join(a.dir, "book.md"), "# A book\n", strangersUID)
	if code, stdout, _ := inFolder(t, a.home, a.home, "lint", book); code != 65 || !strings.Contains(stdout, book+":1:1 error owner refusing ") {
		t.Errorf("exit %d, %q", code, stdout)
	}
}

// TestRunbooksOfSomebodyElseAreRefused: nothing is taken in their place.
func TestRunbooksOfSomebodyElseAreRefused(t *testing.T) {
	asRoot(t)
	home, books := t.TempDir(), t.TempDir()
	site := lure(t, filepath.Join(home, "opsdeck.yaml"), "schema: 1\nsite: own\n", 0)
	book := lure(t, filepath.Join(books, "daily.md"), "# Daily\n", strangersUID)
	for _, args := range [][]string{
		{"--site", site, "--runbooks", books, "run", "daily"}, {"--site", site, "--runbooks", books, "due"}, {"--site", site, "run", "daily", "--file", book},
	} {
		code, stdout, stderr := inFolder(t, home, home, args...)
		if code != 65 || stdout != "" || !strings.Contains(stderr, "refusing "+book) {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// TestASiteFileOfRootMayNotUseAStrangersFiles: what it names is held to the rule.
func TestASiteFileOfRootMayNotUseAStrangersFiles(t *testing.T) {
	asRoot(t)
	a := trap(t, 0o755, 0)
	token := lure(t, filepath.Join(a.dir, "token"), "s3cret-of-theirs\n", strangersUID)
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(a.dir, "nginx.conf")
	for name, c := range map[string]struct {
		text, says string
		code       int
	}{
		"a secret's file":        {"vars: {a: \"${file:" + token + "}\"}\n", "refusing " + token, 65},
		"a program":              {"nginx: {binary: " + filepath.Join(a.dir, "run.sh") + ", config: /etc/hostname}\n", "refusing to run", 3},
		"a script":               {"nginx: {binary: /bin/bash, config: " + filepath.Join(a.dir, "run.sh") + "}\n", "refusing to run", 3},
		"nginx's configuration":  {"nginx: {config: " + conf + "}\n", "refusing to run", 3},
		"nginx's included files": {"nginx: {config: " + lure(t, filepath.Join(a.dir, "own.conf"), "include "+conf+";\n", 0) + "}\n", "refusing to run", 3},
	} {
		t.Run(name, func(t *testing.T) {
			site := lure(t, filepath.Join(a.home, "opsdeck.yaml"), "schema: 1\nsite: own\n"+c.text+"services: [{id: n, use: config.nginx}]\n", 0)
			code, stdout, stderr := inFolder(t, a.home, a.home, "--site", site, "check", "config.nginx")
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
			a.untouched(t, name)
		})
	}
}

// TestTheFirstLineNamesTheSiteFile: on stderr, so that standard output begins
// with the worst; not where a program reads.
func TestTheFirstLineNamesTheSiteFile(t *testing.T) {
	home := t.TempDir()
	site := filepath.Join(home, "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"triage", "due", "history"} {
		if _, _, stderr := inFolder(t, home, home, command); !strings.HasPrefix(stderr, "site file "+site+"\n") {
			t.Errorf("%s: stderr is %q", command, stderr)
		}
	}
	for _, args := range [][]string{{"triage", "--json"}, {"triage", "--nagios"}} {
		if _, _, stderr := inFolder(t, home, home, args...); stderr != "" {
			t.Errorf("%q: stderr is %q", args, stderr)
		}
	}
}

func TestDoctorSaysThatRootIsNotNeeded(t *testing.T) {
	asRoot(t)
	home := t.TempDir()
	if _, stdout, stderr := inFolder(t, home, home, "doctor"); !strings.Contains(stdout, "root, which is not needed") {
		t.Errorf("%s%s", stdout, stderr)
	}
}
