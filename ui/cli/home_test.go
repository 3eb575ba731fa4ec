package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// bare runs the shipped program in a folder, with this environment and no other.
func bare(t *testing.T, dir string, env []string, args ...string) (said, code string) {
	t.Helper()
	cmd := exec.Command(built(t), args...)
	cmd.Dir, cmd.Env = dir, env
	return outcome(cmd)
}

// outcome runs a command and gives what it said and its exit code.
func outcome(cmd *exec.Cmd) (said, code string) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), exitOf(err)
	}
	return string(out), "0"
}

// needRoot skips a test that only root can make, and fails it where everything
// is required.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
		t.Fatal(why + ": run as root")
	}
	t.Skip(why + ", which needs root")
}

// smallSite is the site file of a site that has a name and nothing else.
func smallSite(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opsdeck.yaml")
	if err := os.WriteFile(path, []byte("schema: 1\nsite: lms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// doctorSays are the doctor's findings on one subject.
func doctorSays(t *testing.T, out, what string) string {
	t.Helper()
	var found []struct{ Level, What, Says string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("doctor: %v: %s", err, out)
	}
	says := ""
	for _, f := range found {
		if f.What == what {
			says += f.Level + " " + f.Says + "\n"
		}
	}
	return says
}

func TestWithoutHOMETheStateIsInTheHomeOfTheUserDatabase(t *testing.T) {
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Skip("the user of this test has no entry in /etc/passwd")
	}
	site := smallSite(t)
	for _, env := range [][]string{nil, {"HOME="}, {"HOME=dana"}, {"XDG_STATE_HOME=state"}} {
		out, _ := bare(t, t.TempDir(), env, "--site", site, "doctor", "--json")
		if want := me.HomeDir + "/.local/state/opsdeck/lms"; !strings.Contains(doctorSays(t, out, "state"), want) {
			t.Errorf("with %q the state is %q, want %s", env, doctorSays(t, out, "state"), want)
		}
	}
}

func TestDoctorNamesWhatIsIgnoredOfTheEnvironment(t *testing.T) {
	out, _ := bare(t, t.TempDir(), []string{"HOME=" + t.TempDir(), "XDG_CONFIG_HOME=config"}, "--site", smallSite(t), "doctor", "--json")
	if says := doctorSays(t, out, "environment"); !strings.Contains(says, "warn XDG_CONFIG_HOME=config is a relative path") {
		t.Errorf("doctor says %q", says)
	}
}

// TestClientAndSupervisorHaveOneStateDirectory: the client stands in a folder,
// its supervisor in /. A run is recorded by the one and read by the other.
func TestClientAndSupervisorHaveOneStateDirectory(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	site := smallSite(t)
	for _, c := range []struct {
		name  string
		env   []string
		flags []string
		want  string
	}{
		{"a relative XDG_STATE_HOME", []string{"HOME=" + home, "XDG_STATE_HOME=state"}, nil, filepath.Join(home, ".local/state/opsdeck/lms")},
		{"a relative --state", nil, []string{"--state", "kept"}, filepath.Join(dir, "kept", "lms")},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"--site", site}, c.flags...)
			out, code := bare(t, dir, c.env, append(args, "run", "--file", runbookFile(t), "look")...)
			if code != "0" {
				t.Fatalf("run: exit %s: %s", code, out)
			}
			if out, code := bare(t, dir, c.env, append(args, "history")...); code != "0" || !strings.Contains(out, "look") {
				t.Errorf("history: exit %s: %s", code, out)
			}
			if !exists(filepath.Join(c.want, "journal.db")) || exists(filepath.Join(dir, "state")) {
				t.Errorf("the record is not in %s", c.want)
			}
		})
	}
}

func runbookFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "look.md")
	text := "---\nrunbook: look\nschema: 1\n---\n# Look\n```yaml section\nid: look\ncadence: none\n```\n" +
		"- [ ] Up\n```yaml check\nid: up\nuse: sys.uptime\nwarn: up < 1ms\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAUserWithoutAHomeNamesTheStateDirectory: nothing is kept in the folder
// that the user happens to stand in.
func TestAUserWithoutAHomeNamesTheStateDirectory(t *testing.T) {
	const unknown = 54321
	needRoot(t, "a process of another user is started")
	program, err := os.Open(built(t)) // its folder is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	dir, err := os.MkdirTemp("", "opsdeck-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, unknown, unknown); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, string) {
		cmd := exec.Command("/proc/self/fd/3", args...)
		cmd.Dir, cmd.Env, cmd.ExtraFiles = dir, []string{}, []*os.File{program}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unknown, Gid: unknown}}
		return outcome(cmd)
	}
	for _, command := range []string{"history", "due", "triage", "doctor", "supervise"} {
		if out, code := run(command); code != "73" || !strings.Contains(out, "--state DIR") || !strings.Contains(out, "HOME") {
			t.Errorf("%s: exit %s: %s", command, code, out)
		}
	}
	if out, code := run("history", "--state", dir); code != "0" {
		t.Errorf("with --state: exit %s: %s", code, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the working directory: %v, %v", left, err)
	}
}
