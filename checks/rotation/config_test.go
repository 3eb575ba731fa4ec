package rotation

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

// needsLogrotate skips without it.
func needsLogrotate(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/logrotate", "/usr/bin/logrotate"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
		t.Fatal("needs logrotate")
	}
	t.Skip("needs logrotate")
	return ""
}

// host is a folder with a configuration, a state and a log of its own. Paths
// in it are the machine's: logrotate knows no other root.
type host struct {
	t              *testing.T
	dir, main, own string
	state, log     string
	env            checks.Env
}

const goodBlock = `%s/log/*.log {
    daily
    rotate 30
    missingok
    compress
    delaycompress
    notifempty
    sharedscripts
    postrotate
        kill -USR1 $(cat /run/app.pid)
    endscript
}
`

func newHost(t *testing.T, block string) *host {
	t.Helper()
	needsLogrotate(t)
	h := &host{t: t, dir: t.TempDir()}
	h.main, h.own = h.path("logrotate.conf"), h.path("conf.d/advanced-lms")
	h.state, h.log = h.path("status"), h.path("log/app.log")
	for _, dir := range []string{"conf.d", "log"} {
		if err := os.Mkdir(h.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write(h.main, "weekly\nrotate 4\ninclude "+h.path("conf.d")+"\n")
	h.write(h.own, strings.ReplaceAll(block, "%s", h.dir))
	h.write(h.log, "a line\n")
	h.rotated(10 * time.Hour)
	h.env = checks.Env{Root: "/", Exec: command.NewExec(), Site: checks.SiteFacts{Logrotate: checks.Logrotate{
		Main: h.main, State: h.state, Config: h.own, Origin: "opsdeck.yaml:1",
		Expect: []string{"daily", "rotate 30", "missingok", "compress", "delaycompress", "notifempty"},
	}}}
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// rotated says in the state file that the log was rotated so long ago.
func (h *host) rotated(ago time.Duration) {
	h.t.Helper()
	zone, err := hostZone("/")
	if err != nil {
		h.t.Fatal(err)
	}
	at := time.Now().Add(-ago).In(zone)
	h.write(h.state, fmt.Sprintf("logrotate state -- version 2\n%q %s\n", h.log, at.Format("2006-1-2-15:4:5")))
}

func (h *host) run() checks.Result {
	h.t.Helper()
	return checktest.Run(h.t, h.env, Config, nil)
}

func (h *host) wants(level checks.Level, says string) {
	h.t.Helper()
	r := h.run()
	if said := strings.Join(r.Detail, "\n") + r.Err; r.Level != level || !strings.Contains(said, says) {
		h.t.Errorf("%v, want %v with %q: %s %+v\n%s", r.Level, level, says, r.Err, r.Why, said)
	}
}

func TestAGoodConfigurationIsOK(t *testing.T) { newHost(t, goodBlock).wants(checks.OK, "") }

func TestConfigurationsThatAreNot(t *testing.T) {
	replace := func(old, by string) string { return strings.Replace(goodBlock, old, by, 1) }
	for name, c := range map[string]struct {
		block string
		want  checks.Level
		says  string
	}{
		"no missingok":               {replace("    missingok\n", ""), checks.Warn, `no "missingok"`},
		"keeps fewer":                {replace("rotate 30", "rotate 3"), checks.Warn, `no "rotate 30"`},
		"the next log is another's":  {replace("    daily\n", "    daily\n    create 0640 bin bin\n"), checks.Warn, "the next one to bin"},
		"a directive is misspelled":  {replace("rotate 30", "rotat 30"), checks.Crit, "unknown option 'rotat'"},
		"a block has no end":         {strings.TrimSuffix(goodBlock, "}\n"), checks.Crit, "has no end"},
		"a script has no end":        {replace("    endscript\n", ""), checks.Crit, "no endscript"},
		"nothing is in it":           {"# nothing\n", checks.Crit, "has no block"},
		"compose restarts a service": {replace("kill -USR1 $(cat /run/app.pid)", "docker-compose restart backend > /dev/null 2>&1"), checks.Crit, "restarts or stops"},
		"systemd restarts a service": {replace("kill -USR1 $(cat /run/app.pid)", "systemctl restart nginx"), checks.Crit, "restarts or stops"},
		"a failure is hidden":        {replace("app.pid)", "app.pid) || true"), checks.Crit, "hides"},
	} {
		t.Run(name, func(t *testing.T) { newHost(t, c.block).wants(c.want, c.says) })
	}
}

func TestALogThatIsNotRotatedInTimeWarns(t *testing.T) {
	h := newHost(t, goodBlock)
	h.rotated(25 * time.Hour)
	h.wants(checks.OK, "")
	h.rotated(27 * time.Hour)
	h.wants(checks.Warn, "last rotated")
	h.rotated(-72 * time.Hour)
	h.wants(checks.Crit, "in the future") // logrotate itself calls it an error
	h.write(h.log, "")                    // notifempty: nothing to rotate
	h.rotated(27 * time.Hour)
	h.wants(checks.OK, "")
}

func TestAStateThatCannotBeUnderstoodIsUnknown(t *testing.T) {
	h := newHost(t, goodBlock)
	h.write(h.state, "something else\n")
	h.wants(checks.Unknown, "")
}

func TestAPartThatIsNotIncludedIsNeverRun(t *testing.T) {
	h := newHost(t, goodBlock)
	h.write(h.main, "weekly\n")
	h.wants(checks.Crit, "has no block")
}

func TestAHostWithoutLogrotateDoesNotHaveIt(t *testing.T) {
	r := checktest.Run(t, checks.Env{Root: t.TempDir()}, Config, nil)
	if r.Level != checks.Skipped {
		t.Errorf("%+v", r)
	}
}

// TestTwoThatRemoveTheSameLogsAreNamed: file.prune and logrotate.
func TestTwoThatRemoveTheSameLogsAreNamed(t *testing.T) {
	h := newHost(t, goodBlock)
	h.env.Site.Allow.RemoveUnder = []string{h.path("log")}
	h.wants(checks.OK, "one of them should decide")
}

// TestTheGuidesDebugRunPassesWhatLogrotateWillIgnore: exit 0 of the debug run,
// which the guide takes for a pass, says nothing of a misspelled directive.
func TestTheGuidesDebugRunPassesWhatLogrotateWillIgnore(t *testing.T) {
	h := newHost(t, strings.Replace(goodBlock, "rotate 30", "rotat 30", 1))
	if out, err := exec.Command(needsLogrotate(t), "-d", "-s", h.state, h.own).CombinedOutput(); err != nil {
		t.Fatalf("the guide's way notices it by now: %v\n%s", err, out)
	}
	h.wants(checks.Crit, "unknown option")
}

// TestTheGuidesHookHidesThatNothingReopened: the guide's postrotate fails, as
// it does where cron has no project, logrotate calls it a success, and the
// service goes on writing to the rotated file.
func TestTheGuidesHookHidesThatNothingReopened(t *testing.T) {
	hook := "/nonexistent/docker-compose restart backend > /dev/null 2>&1 || true"
	h := newHost(t, strings.Replace(goodBlock, "kill -USR1 $(cat /run/app.pid)", hook, 1))
	writer, err := os.OpenFile(h.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	before := h.run()
	if out, err := exec.Command(needsLogrotate(t), "-f", "-s", h.path("scratch-status"), h.own).CombinedOutput(); err != nil {
		t.Fatalf("logrotate sees the failure by now: %v\n%s", err, out)
	}
	if _, err := writer.WriteString("lost\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(h.log + ".1"); err != nil || !strings.Contains(string(got), "lost") {
		t.Fatalf("the writer is not at the rotated file: %q %v", got, err)
	}
	for _, name := range []string{"restarts", "masked"} {
		if f, ok := before.Fact(name, ""); !ok || f.Num != 1 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if before.Level != checks.Crit {
		t.Errorf("%v", before.Level)
	}
}

func TestNothingIsRotatedByLooking(t *testing.T) {
	h := newHost(t, goodBlock)
	h.rotated(72 * time.Hour) // due
	state, err := os.ReadFile(h.state)
	if err != nil {
		t.Fatal(err)
	}
	h.run()
	if again, err := os.ReadFile(h.state); err != nil || string(again) != string(state) {
		t.Errorf("the state file changed: %v\n%s", err, again)
	}
	if _, err := os.Stat(h.log + ".1"); err == nil {
		t.Error("the log was rotated")
	}
}

func TestHooks(t *testing.T) {
	for script, want := range map[string][2]bool{
		"systemctl reload nginx\n":                           {false, false},
		"invoke-rc.d nginx rotate >/dev/null 2>&1\n":         {false, false},
		"docker kill --signal=USR1 backend\n":                {false, false},
		"docker compose kill -s HUP backend\n":               {false, false},
		"docker kill backend\n":                              {true, false},
		"docker compose -p lms \\\n  restart backend\n":      {true, false},
		"# docker-compose restart backend || true\n":         {false, false},
		"/etc/init.d/nginx restart\n":                        {true, false},
		"systemctl kill -s USR1 app || :\n":                  {false, true},
		"test -f /run/x.pid && kill -USR1 $(cat /run/x)\n":   {false, false},
		"service app restart >/dev/null 2>&1 || /bin/true\n": {true, true},
	} {
		if got := [2]bool{restarts(script), masks(script)}; got != want {
			t.Errorf("%q: %v, want %v", script, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(strings.ReplaceAll(goodBlock, "%s", "/x"))
	f.Add("{")
	f.Add("/a {\npostrotate\n")
	f.Add("}\nendscript\ninclude\n")
	f.Fuzz(func(t *testing.T, content string) {
		blocks, _, _, _ := parse("x", content)
		for _, b := range blocks {
			b.frequency(nil)
			b.has("create")
		}
	})
}

func FuzzParseState(f *testing.F) {
	f.Add("logrotate state -- version 2\n\"/var/log/a b\" 2026-11-24-2:0:0\n")
	f.Add("logrotate state -- version 1\n/x 2026-1-2\n")
	f.Fuzz(func(t *testing.T, content string) {
		rotated, err := parseState(content, time.UTC)
		if err != nil && rotated != nil {
			t.Error("both a state and an error")
		}
	})
}

// TestLogrotateIsNotRunOnAFileOfSomebodyElse: its scripts would be run as root.
func TestLogrotateIsNotRunOnAFileOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a file has to be given to another user: run as root")
		}
		t.Skip("needs root to give a file to another user")
	}
	dir := t.TempDir()
	main, included := filepath.Join(dir, "logrotate.conf"), filepath.Join(dir, "logrotate.d", "theirs")
	err := errors.Join(os.MkdirAll(filepath.Dir(included), 0o755), os.WriteFile(included, nil, 0o644), os.Chown(included, 65534, 65534),
		os.WriteFile(main, []byte("include "+filepath.Dir(included)+"\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	s := &survey{env: checks.Env{Root: "/", Exec: command.NewExec()}, site: checks.Logrotate{Main: main, State: filepath.Join(dir, "state")}}
	if err := s.debug(t.Context()); checks.ClassOf(err) != checks.Denied || !strings.Contains(err.Error(), included) {
		t.Errorf("got %v, want a refusal of %s", err, included)
	}
}

// TestSourcesThatAreNotAllKnownAreAnError: what is not looked at could be of
// anybody.
func TestSourcesThatAreNotAllKnownAreAnError(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range maxSources {
		fmt.Fprintf(&many, "include /nowhere/%d\n", i)
	}
	for says, text := range map[string]string{
		"more than 2000 files": many.String(), "is not read in part": strings.Repeat("#\n", maxFile),
	} {
		main := filepath.Join(t.TempDir(), "logrotate.conf")
		if err := os.WriteFile(main, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s := &survey{env: checks.Env{Root: "/"}, site: checks.Logrotate{Main: main}}
		if found, err := s.sources(main); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d sources, %v, want %q", len(found), err, says)
		}
	}
}
