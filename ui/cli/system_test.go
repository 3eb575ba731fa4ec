package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
	"github.com/advanced-lms/opsdeck/ui/screen"
)

// client is a command line that does one thing at an item.
func (i *installed) client(item, verb string) []string {
	return []string{"USER=root", "LOGNAME=root", "SUDO_USER=root", i.path("client"), i.path("run", "s.sock"), i.path("runbooks", "guarded.md"), "guarded", item, verb}
}

// does has somebody do one thing at an item, in a login of its own.
func (i *installed) does(who *user.User, item, verb string) string {
	i.t.Helper()
	out, err := i.as(who, i.client(item, verb)...)
	if err != nil {
		i.t.Fatalf("%s: %s %s: %v %s", who.Username, verb, item, err, out)
	}
	return out
}

// refused has somebody try, and expects to hear why not.
func (i *installed) refused(who *user.User, item, verb, why string) {
	i.t.Helper()
	if out, err := i.as(who, i.client(item, verb)...); err == nil || !strings.Contains(out, why) {
		i.t.Errorf("%s: %s %s was not refused for %q: %v %s", who.Username, verb, item, why, err, out)
	}
}

// opsdeck runs the program as somebody, who has no home to keep anything in,
// and returns its exit code.
func (i *installed) opsdeck(who *user.User, args ...string) (said, code string) {
	i.t.Helper()
	out, err := i.as(who, append([]string{i.path("opsdeck"), "--site", i.path("opsdeck.yaml"), "--runbooks", i.path("runbooks")}, args...)...)
	if err != nil {
		return out, exitOf(err)
	}
	return out, "0"
}

// TestTwoPeopleAtAnInstalledSupervisor: the supervisor runs as a user of its
// own, as init --system says; ada and bob come over ssh. What is dangerous
// needs both of them, and neither can touch the record.
func TestTwoPeopleAtAnInstalledSupervisor(t *testing.T) {
	i := install(t)
	i.oneAloneCannot()
	i.bothCan()
	i.droppedLineEndsNothing()
	t.Run("who did it is the kernel's word", i.actorsAreVerified)
	t.Run("the files are closed", i.filesAreClosed)
	t.Run("the record is told", i.recordIsTold)
	t.Run("the deck and doctor need no state", i.nothingIsKept)
}

func (i *installed) oneAloneCannot() {
	i.folder("runbooks", 0o777, false)
	i.refused(i.ada, "act", "arm", "runbooks can be changed by others")
	i.folder("runbooks", 0o755, false)
	if out := i.does(i.ada, "act", "arm"); !strings.Contains(out, `"armed"`) || !strings.Contains(out, `"uid":`+i.ada.Uid) {
		i.t.Errorf("arming: %s", out)
	}
	i.refused(i.ada, "act", "approve", "a second person must sign first")
	i.refused(i.ada, "act", "sign", "another person signs")
	i.refused(i.eve, "act", "state", "lets only members of its group in")
}

func (i *installed) bothCan() {
	i.does(i.bob, "act", "sign")
	i.refused(i.bob, "act", "approve", "another login identity than "+i.bob.Username)
	i.does(i.ada, "act", "approve")
	for _, who := range []*user.User{i.ada, i.bob} {
		if out := i.does(who, "act", "wait"); !strings.Contains(out, string(runbooks.Passed)) {
			i.t.Errorf("%s sees %s", who.Username, out)
		}
	}
	effects, err := os.ReadFile(i.path("own", "effects"))
	if err != nil || strings.TrimSpace(string(effects)) != i.service.Username {
		i.t.Errorf("it was done by %q, %v", effects, err)
	}
}

// droppedLineEndsNothing: ada's ssh client dies while the action runs. It goes
// on, and bob sees its end.
func (i *installed) droppedLineEndsNothing() {
	t := i.t
	i.does(i.ada, "long", "arm")
	i.does(i.bob, "long", "sign")
	line := strings.Join(i.client("long", "approve"), " ") + " && " + strings.Join(i.client("long", "wait"), " ")
	ada := i.command(i.ada, line)
	ada.Args = append([]string{ada.Args[0], "-tt"}, ada.Args[1:]...)
	if err := ada.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the action runs", func() bool { return exists(i.path("own", "began")) })
	if err := ada.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ada.Wait()
	if out := i.does(i.bob, "long", "state"); !strings.Contains(out, string(runbooks.Running)) {
		t.Errorf("after the line dropped bob sees %s", out)
	}
	i.file("own/release", 0o644, i.uid, "")
	if out := i.does(i.bob, "long", "wait"); !strings.Contains(out, string(runbooks.Passed)) {
		t.Errorf("bob sees %s", out)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (i *installed) actorsAreVerified(t *testing.T) {
	whose := map[runbooks.EventKind]*user.User{
		runbooks.ActionArmed{}.Kind(): i.ada, runbooks.ActionConfirmed{}.Kind(): i.ada, runbooks.Signed{}.Kind(): i.bob,
	}
	seen := map[runbooks.EventKind]int{}
	c := &supervisor.Client{Socket: i.path("run", "s.sock"), Version: "test"}
	for e, err := range c.Events(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		want, known := whose[e.Kind]
		if !known {
			continue
		}
		seen[e.Kind]++
		if e.Actor.Name != want.Username || e.Actor.Claimed {
			t.Errorf("%s is by %v, want %s", e.Kind, e.Actor, want.Username)
		}
	}
	for kind := range whose {
		if seen[kind] != 2 {
			t.Errorf("%d events %s, want 2", seen[kind], kind)
		}
	}
}

// filesAreClosed has both try to read and to write every file of the service;
// that the try itself works is seen at the site file.
func (i *installed) filesAreClosed(t *testing.T) {
	var all []string
	for _, dir := range []string{"state", "own"} {
		if err := filepath.WalkDir(i.path(dir), func(path string, _ os.DirEntry, err error) error {
			all = append(all, path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if journal := i.path("state", "shared", "journal.db"); !strings.Contains(strings.Join(all, " "), journal) {
		t.Fatalf("there is no %s among %q", journal, all)
	}
	all = append(all, i.path("password"), i.path("opsdeck"), i.path("act.sh"), i.path("runbooks"), i.path("runbooks", "guarded.md"), i.path("opsdeck.yaml"))
	try := "for f in " + strings.Join(all, " ") + "; do " +
		`case $f in *opsdeck|*.sh|*runbooks*) ;; *) { ls "$f" && cat "$f"; } >/dev/null 2>&1 && echo "read $f";; esac; ` +
		`{ true >> "$f" || true > "$f/new"; } 2>/dev/null && echo "write $f"; done; true`
	for _, who := range []*user.User{i.ada, i.bob} {
		if out, err := i.as(who, try); err != nil || out != "read "+i.path("opsdeck.yaml") {
			t.Errorf("%s can: %v %s", who.Username, err, out)
		}
	}
}

func (i *installed) recordIsTold(t *testing.T) {
	if out, code := i.opsdeck(i.bob, "history"); code != "0" || !strings.Contains(out, i.ada.Username) || strings.Contains(out, "claimed") {
		t.Errorf("history: exit %s: %s", code, out)
	}
	if out, code := i.opsdeck(i.bob, "show", "last"); code != "0" || strings.Count(out, string(runbooks.Passed)) != 2 {
		t.Errorf("show: exit %s: %s", code, out)
	}
	told, code := i.opsdeck(i.bob, "report", "last")
	if code != "0" || !strings.Contains(told, "not verified here") {
		t.Errorf("report: exit %s: %s", code, told)
	}
	if !strings.Contains(told, "| Driver away | the line of "+i.ada.Username+" was gone from ") {
		t.Errorf("the report does not tell that the line dropped: %s", told)
	}
	out, code := i.opsdeck(i.bob, "verify")
	if code != "3" || strings.Contains(out, "intact") || !strings.Contains(out, "sudo -u "+i.service.Username) {
		t.Errorf("verify: exit %s: %s", code, out)
	}
	if out, code := i.opsdeck(i.bob, "verify", "--state", i.path("state")); code != "3" || !strings.Contains(out, "permission denied") {
		t.Errorf("verify of the closed files: exit %s: %s", code, out)
	}
	service := exec.Command(i.path("opsdeck"), "--site", i.path("opsdeck.yaml"), "--state", i.path("state"), "verify")
	service.SysProcAttr = i.asService()
	verified, err := service.CombinedOutput()
	if err != nil {
		t.Errorf("verify as the service: %v %s", err, verified)
	}
	if head := regexp.MustCompile(`head (\d+) ([0-9a-f]{64})`).FindStringSubmatch(string(verified)); head == nil || !strings.Contains(told, "event "+head[1]+", "+head[2]) {
		t.Errorf("the report pins another head than %q: %s", head, told)
	}
}

// adHocIsTaken: what a pane proposes is taken from whoever may walk runs here,
// and nothing that only looks like it.
func (i *installed) adHocIsTaken(t *testing.T) {
	source, err := markdown.AdHoc(runbooks.AdHoc{Use: "pg.terminate", Title: "terminate pid 4711", With: map[string]any{"sessions": []string{"4711@2026-11-23T02:52:01Z"}, "reason": "stuck"}})
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`pg-terminate-[0-9a-f]{16}`).FindString(string(source))
	i.file("proposed.md", 0o644, 0, string(source))
	if out, code := i.opsdeck(i.bob, "run", section, "--file", i.path("proposed.md")); code != "3" || !strings.Contains(out, "pending") {
		t.Errorf("what a pane proposes: exit %s: %s", code, out)
	}
	i.file("altered.md", 0o644, 0, string(source)+"\n- [ ] and one thing more\n")
	if out, code := i.opsdeck(i.bob, "run", section, "--file", i.path("altered.md")); code != "73" || !strings.Contains(out, "is not a runbook of this supervisor") {
		t.Errorf("what only looks like it: exit %s: %s", code, out)
	}
}

func (i *installed) nothingIsKept(t *testing.T) {
	if out, code := i.opsdeck(i.bob, "run", "look"); code != "0" || !strings.Contains(out, string(runbooks.Completed)) {
		t.Errorf("a check that the supervisor runs: exit %s: %s", code, out)
	}
	if out, code := i.opsdeck(i.bob, "run", "brought", "--file", i.path("bobs.md")); code != "73" || !strings.Contains(out, "is not a runbook of this supervisor") {
		t.Errorf("a runbook of bob's own: exit %s: %s", code, out)
	}
	i.adHocIsTaken(t)
	out, _ := i.opsdeck(i.bob, "doctor", "--json")
	var found []struct{ Level, What, Says string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("doctor: %v %s", err, out)
	}
	says := map[string]string{}
	for _, f := range found {
		says[f.What] += f.Level + " " + f.Says + "\n"
	}
	for what, want := range map[string]string{"supervisor": "ok " + i.service.Username + " serves", "signatures": "a second person, who signs through", "secret": "the supervisor's alone", "pg.ping": "only the supervisor can have"} {
		if !strings.Contains(says[what], want) {
			t.Errorf("doctor says of %s: %q, want %q", what, says[what], want)
		}
	}
	deck := i.command(i.ada, "exec", i.path("opsdeck"), "--site", i.path("opsdeck.yaml"), "--runbooks", i.path("runbooks"))
	term := screen.Start(t, 100, 30, []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, append([]string{deck.Args[0], "-tt"}, deck.Args[1:]...)...)
	term.WaitFor("RUNBOOK")
	term.Send("4z")
	term.WaitFor("unfinished: guarded")
	if shown := term.Screen(); !strings.Contains(shown, i.ada.Username) || strings.Contains(shown, "claimed") {
		t.Errorf("the deck of %s:\n%s", i.ada.Username, shown)
	}
	term.Send("q")
	if code := term.Wait(); code != 0 {
		t.Errorf("the deck: exit %d", code)
	}
}
