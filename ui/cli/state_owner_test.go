package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A stateTrap is a way to the state directory of the site lms on which nobody
// has put a link to a folder of root.
type stateTrap struct {
	victim string
	env    []string
	flags  []string
}

// homeTrap is a home of nobody, and with it the folder of states.
func homeTrap(t *testing.T) stateTrap {
	t.Helper()
	home := t.TempDir()
	victim := victimOf(t)
	states := filepath.Join(home, ".local", "state", "opsdeck")
	if err := errors.Join(os.MkdirAll(states, 0o755), os.Symlink(victim, filepath.Join(states, "lms"))); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "-R", "-h", "nobody", home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return stateTrap{victim: victim, env: []string{"HOME=" + home}}
}

// sharedTrap is a folder like /tmp in which nobody was first with --state's.
func sharedTrap(t *testing.T) stateTrap {
	t.Helper()
	shared, victim := t.TempDir(), victimOf(t)
	given := filepath.Join(shared, "ops")
	link := filepath.Join(given, "lms")
	if err := errors.Join(os.Mkdir(given, 0o755), os.Symlink(victim, link), os.Lchown(link, strangersUID, -1),
		os.Chown(given, strangersUID, -1), os.Chmod(shared, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	return stateTrap{victim: victim, env: []string{"HOME=" + t.TempDir()}, flags: []string{"--state", given}}
}

func victimOf(t *testing.T) string {
	t.Helper()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.Mkdir(victim, 0o755), os.Chmod(victim, 0o755)); err != nil {
		t.Fatal(err)
	}
	return victim
}

func (s stateTrap) untouched(t *testing.T, what string) {
	t.Helper()
	info, err := os.Stat(s.victim)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%s: the victim has mode %v, %v", what, info.Mode(), err)
	}
	if made, err := os.ReadDir(s.victim); err != nil || len(made) > 0 {
		t.Errorf("%s: in the victim: %v, %v", what, made, err)
	}
}

// TestNothingIsKeptWhereSomebodyElseChoseTheFolder: root runs opsdeck with a home
// of nobody, and with a state directory in a folder like /tmp.
func TestNothingIsKeptWhereSomebodyElseChoseTheFolder(t *testing.T) {
	needRoot(t, "files are given to another user")
	for name, trap := range map[string]func(*testing.T) stateTrap{"a home of nobody": homeTrap, "a folder like /tmp": sharedTrap} {
		t.Run(name, func(t *testing.T) {
			s, site := trap(t), smallSite(t)
			step := t.TempDir()
			for _, command := range [][]string{
				{"run", "--file", runbookFile(t), "look"}, {"supervise"}, {"step", step},
				{"triage"}, {"history"}, {"due"}, {"doctor"}, {"report", "run-1"},
			} {
				what := command[0]
				args := append(append([]string{"--site", site}, s.flags...), command...)
				out, code := bare(t, t.TempDir(), s.env, args...)
				if code != "73" {
					t.Errorf("%s: exit %s, want 73: %s", what, code, out)
				}
				for _, want := range []string{"the state directory: refusing ", "nobody (65534)", "mode ", "--state"} {
					if !strings.Contains(out, want) {
						t.Errorf("%s: %q is not in %q", what, want, out)
					}
				}
				s.untouched(t, what)
			}
			args := append(append([]string{"--site", site}, s.flags...), "verify") // it may read any record
			bare(t, t.TempDir(), s.env, args...)
			s.untouched(t, "verify")
			inTerminal(t, s.env, append(append([]string{"--site", site}, s.flags...), "--color", "never")...)
			s.untouched(t, "the deck")
		})
	}
}

// inTerminal runs the deck in a terminal of script(1) until it ends.
func inTerminal(t *testing.T, env []string, args ...string) {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a terminal is needed: install script of bsdutils")
		}
		return
	}
	cmd := exec.Command(script, "-qec", built(t)+" "+strings.Join(args, " "), "/dev/null")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm"}, env...)
	if out, code := outcome(cmd); code != "73" || !strings.Contains(out, "the state directory: refusing ") {
		t.Errorf("the deck: exit %s: %s", code, out)
	}
}

// TestAStateDirectoryBelowAPrivateFolderIsMade: in a folder like /tmp, too, what
// is below root's own folder is root's choice.
func TestAStateDirectoryBelowAPrivateFolderIsMade(t *testing.T) {
	shared := t.TempDir()
	given := filepath.Join(shared, "mine", "ops")
	if err := errors.Join(os.Mkdir(filepath.Join(shared, "mine"), 0o755), os.Chmod(shared, 0o755)); err != nil {
		t.Fatal(err)
	}
	out, code := bare(t, t.TempDir(), []string{"HOME=" + t.TempDir()}, "--site", smallSite(t), "--state", given, "run", "--file", runbookFile(t), "look")
	if info, err := os.Stat(filepath.Join(given, "lms")); code != "0" || err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("exit %s: %v, %v: %s", code, info, err, out)
	}
}
