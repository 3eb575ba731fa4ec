package rotation

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
)

// A deed is a rotation on its way: previewed, done, looked at again.
type deed struct {
	*host
	runner *checks.Runner
	check  checks.Check
	action checks.Own
	out    bytes.Buffer
}

// newDeed is a host on which a log is due, and a rotation of it.
func newDeed(t *testing.T, block string, with map[string]any) *deed {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("who writes to a file can be seen by root alone")
		}
		t.Skip("who writes to a file can be seen by root alone")
	}
	d := &deed{host: newHost(t, block)}
	d.rotated(48 * time.Hour)
	check, problems := checks.NewCheck(Run, "run", with, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d.check, d.runner = check, checks.NewRunner(d.env, nil)
	return d
}

func (d *deed) says(what string, res checks.Result, level checks.Level, says string) checks.Result {
	d.t.Helper()
	if said := res.Note + "\n" + strings.Join(res.Detail, "\n") + "\n" + res.Err; res.Level != level || !strings.Contains(said, says) {
		d.t.Errorf("%s: %v, want %v with %q:\n%s\n%+v", what, res.Level, level, says, said, res.Why)
	}
	return res
}

func (d *deed) preview(level checks.Level, says string) checks.Result {
	d.t.Helper()
	res := d.says("preview", d.runner.Preview(d.t.Context(), d.check, d.action), level, says)
	d.action = checks.Own{Before: res.Facts, Out: &d.out, Token: "opsdeck/test", Dir: d.t.TempDir()}
	return res
}

func (d *deed) act(level checks.Level, says string) checks.Result {
	d.t.Helper()
	return d.says("act", d.runner.Act(d.t.Context(), d.check, d.action), level, says)
}

func (d *deed) probe(level checks.Level, says string) checks.Result {
	d.t.Helper()
	return d.says("probe", d.runner.Probe(d.t.Context(), d.check, d.action, checks.Rule{}), level, says)
}

func (d *deed) is(res checks.Result, name string, want float64) {
	d.t.Helper()
	if f, ok := res.Fact(name, ""); !ok || f.Num != want {
		d.t.Errorf("%s is %+v, want %v", name, f, want)
	}
}

// names are the files of the log folder.
func (d *deed) names() string {
	d.t.Helper()
	entries, err := os.ReadDir(d.path("log"))
	if err != nil {
		d.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// service starts a process that writes to the log all the time, and opens it
// anew when it gets the signal USR1.
func (d *deed) service() {
	d.t.Helper()
	const script = `trap 'exec >>"$1"' USR1; exec >>"$1"; while :; do echo line; sleep 0.05 >/dev/null; done`
	cmd := exec.Command("/bin/sh", "-c", script, "service", d.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // its sleep as well
		cmd.Wait()                                      //nolint:errcheck // it was killed
	})
	d.write(d.path("app.pid"), fmt.Sprint(cmd.Process.Pid))
	for range 200 { // it has the log open once it has written
		if info, err := os.Stat(d.log); err == nil && info.Size() > int64(len("a line\n")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Fatal("the service does not write")
}

// telling is the good block, whose hook tells that service, in the folder of
// the test; the part leaves how many are kept and how to the host's defaults.
const telling = `%s/log/*.log {
    daily
    missingok
    delaycompress
    notifempty
    sharedscripts
    postrotate
        kill -USR1 $(cat %s/app.pid)
    endscript
}
`

func TestADueLogIsRotatedAndItsServiceWritesOn(t *testing.T) {
	d := newDeed(t, telling, nil)
	d.service()
	d.write(d.log+".4", "the oldest\n")
	before := d.names()
	state, err := os.ReadFile(d.state)
	if err != nil {
		t.Fatal(err)
	}
	res := d.preview(checks.OK, "careful: removes "+d.log+".4")
	for _, want := range []string{"rotates " + d.log, "renaming " + d.log + " to " + d.log + ".1", "is written by process", "runs postrotate:", "kill -USR1"} {
		if !strings.Contains(strings.Join(res.Detail, "\n"), want) {
			t.Errorf("the preview does not say %q: %q", want, res.Detail)
		}
	}
	d.is(res, "due", 1)
	d.is(res, "removed", 1)
	if now, err := os.ReadFile(d.state); d.names() != before || err != nil || string(now) != string(state) {
		t.Errorf("the preview changed something: %s, %s %v", d.names(), now, err)
	}
	d.probe(checks.Crit, "it was not rotated")
	res = d.act(checks.OK, "1 of 1 logs were rotated, 0 processes")
	d.is(res, "errors", 0)
	d.probe(checks.OK, "1 of 1 logs were rotated")
	if got := d.names(); got != "app.log app.log.1" { // what was .4 went
		t.Errorf("left are %s", got)
	}
	if !strings.Contains(d.out.String(), "rotating 1 logs") || !strings.Contains(d.out.String(), "renaming") {
		t.Errorf("its output says %q", d.out.String())
	}
	size := func() int64 {
		info, err := os.Stat(d.log)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for i := 0; size() == 0; i++ {
		if time.Sleep(20 * time.Millisecond); i > 200 {
			t.Fatal("nothing is written to the new log")
		}
	}
	if check := newHostCheck(d); check.Level != checks.OK { // the host's timer knows of it
		t.Errorf("config.logrotate: %v %v", check.Level, check.Detail)
	}
	d.action = checks.Own{}
	d.preview(checks.Skipped, "none of 1 logs is due")
}

func newHostCheck(d *deed) checks.Result {
	d.env.Site.Logrotate.Expect = nil
	return checktest.Run(d.t, d.env, Config, nil)
}

// TestAServiceThatNobodyToldIsSeen: logrotate calls it a success.
func TestAServiceThatNobodyToldIsSeen(t *testing.T) {
	for name, hook := range map[string]string{"no signal": "true", "a failure that is hidden": "kill -USR1 $(cat /nonexistent) || true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeed(t, strings.Replace(telling, "kill -USR1 $(cat %s/app.pid)", hook, 1), nil)
			d.service()
			d.preview(checks.OK, "is written by process")
			res := d.act(checks.Crit, "goes on writing to the file that was rotated away")
			if f, ok := res.Fact("writers", ""); !ok || f.Num < 1 { // a child that it is starting has the file too
				t.Errorf("writers %+v", f)
			}
			d.is(res, "errors", 0)
			d.probe(checks.Crit, "goes on writing")
		})
	}
}

func TestAHookThatFailsIsAnError(t *testing.T) {
	d := newDeed(t, strings.Replace(telling, "kill -USR1 $(cat %s/app.pid)", "exit 7", 1), nil)
	d.preview(checks.OK, "exit 7")
	d.is(d.act(checks.Crit, "error running shared postrotate script"), "errors", 1)
	d.probe(checks.OK, "") // rotated it was
}

// TestWhatIsNotDueIsLeft: the guide's command ends with 0 and does nothing.
func TestWhatIsNotDueIsLeft(t *testing.T) {
	d := newDeed(t, goodBlock, nil)
	d.rotated(time.Hour)
	if out, err := exec.Command(needsLogrotate(t), "-s", d.state, d.own).CombinedOutput(); err != nil || d.names() != "app.log" {
		t.Fatalf("the guide's way rotates by now: %v %s", err, out)
	}
	d.preview(checks.Skipped, "force: true rotates all the same")
	d.act(checks.Skipped, "logrotate would do nothing")
	forced := newDeed(t, strings.Replace(goodBlock, "kill -USR1 $(cat /run/app.pid)", "true", 1), map[string]any{"force": true})
	forced.rotated(time.Hour)
	forced.preview(checks.OK, "rotates "+forced.log)
	forced.act(checks.OK, "1 of 1")
	if got := forced.names(); got != "app.log.1" {
		t.Errorf("%s", got)
	}
}

// TestTheGuidesWayLosesTheLog: run alone, the site's part has logrotate's own
// default, which is to keep nothing. The host's are to keep four.
func TestTheGuidesWayLosesTheLog(t *testing.T) {
	const block = "%s/log/*.log {\n    daily\n}\n"
	lost := newDeed(t, block, nil)
	if out, err := exec.Command(needsLogrotate(t), "-s", lost.state, lost.own).CombinedOutput(); err != nil || lost.names() != "" {
		t.Fatalf("the guide's way keeps the log by now: %v %s: %s", err, out, lost.names())
	}
	d := newDeed(t, block, nil)
	d.preview(checks.OK, "0 old ones go")
	d.act(checks.OK, "1 of 1")
	d.probe(checks.OK, "")
	bare := newDeed(t, block, nil)
	bare.write(bare.main, "rotate 0\ninclude "+bare.path("conf.d")+"\n")
	bare.preview(checks.OK, "careful: removes "+bare.log)
	if got, err := os.ReadFile(d.log + ".1"); err != nil || string(got) != "a line\n" {
		t.Errorf("%q %v", got, err)
	}
}

// TestTheGuidesHookIsNotRun: it restarts the backend.
func TestTheGuidesHookIsNotRun(t *testing.T) {
	block := strings.Replace(goodBlock, "kill -USR1 $(cat /run/app.pid)", "%s/docker-compose restart backend > /dev/null 2>&1 || true", 1)
	d := newDeed(t, block, nil)
	checktest.WriteExecutable(t, d.path("docker-compose"), []byte("#!/bin/sh\ntouch "+d.path("restarted")+"\n"))
	d.preview(checks.Unknown, "restarts or stops a service")
	d.action.Before = nil
	d.act(checks.Unknown, "restarts or stops a service")
	if _, err := os.Stat(d.path("restarted")); err == nil || d.names() != "app.log" {
		t.Errorf("the hook was run: %s", d.names())
	}
	if out, err := exec.Command(needsLogrotate(t), "-s", d.state, d.own).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if _, err := os.Stat(d.path("restarted")); err != nil {
		t.Errorf("the guide's way does not restart by now: %v", err)
	}
}

func TestWhatLogrotateRefusesIsNotBegun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *deed)
		says   string
	}{
		"a folder that others may change": {func(d *deed) { os.Chmod(d.path("log"), 0o777) }, "insecure permissions"}, //nolint:errcheck // the scene fails then
		"an unknown directive":            {func(d *deed) { d.write(d.own, "/x {\n rotat 3\n}\n") }, "unknown option"},
		"a block without an end":          {func(d *deed) { d.write(d.own, "/x {\n daily\n") }, "has no end"},
		"a part that is not included":     {func(d *deed) { d.write(d.main, "weekly\n") }, "has no block"},
		"a state that is none":            {func(d *deed) { d.write(d.state, "something else\n") }, "bad top line in state file"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeed(t, goodBlock, nil)
			c.change(d)
			d.preview(checks.Unknown, c.says)
		})
	}
}

func TestWhatWasRotatedSinceThePreviewIsLeft(t *testing.T) {
	d := newDeed(t, telling, nil)
	d.service()
	d.preview(checks.OK, "")
	d.write(d.log+".new", "another\n")
	if err := os.Rename(d.log+".new", d.log); err != nil {
		t.Fatal(err)
	}
	d.act(checks.Unknown, "was rotated since the preview")
	d.preview(checks.OK, "")
	d.write(d.path("log/second.log"), "x\n")
	d.write(d.state, fmt.Sprintf("logrotate state -- version 2\n%q 2026-1-1-0:0:0\n%q 2026-1-1-0:0:0\n", d.log, d.path("log/second.log")))
	d.act(checks.Unknown, "look at it again")
}

// TestALogrotateThatIsKilledIsFoundOut: the log was renamed, and the state file,
// which is written last, does not know of it.
func TestALogrotateThatIsKilledIsFoundOut(t *testing.T) {
	d := newDeed(t, strings.Replace(telling, "kill -USR1 $(cat %s/app.pid)", "kill -9 $PPID", 1), nil)
	d.preview(checks.OK, "")
	d.act(checks.Crit, "logrotate did not come to its end")
	d.probe(checks.Crit, "logrotate did not come to its end")
}

// TestARotationThatWasBegunIsEnded: whoever cancels it waits for it.
func TestARotationThatWasBegunIsEnded(t *testing.T) {
	d := newDeed(t, strings.Replace(telling, "kill -USR1 $(cat %s/app.pid)", "touch %s/begun; sleep 0.4; touch %s/ended", 1), nil)
	d.preview(checks.OK, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(d.path("begun")); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	env := d.env
	env.Before, env.Dir = d.action.Before, d.action.Dir
	if f, err := run(ctx, env, d.check.Args); err != nil || !strings.Contains(f.Note, "1 of 1 logs were rotated") {
		t.Errorf("%+v %v", f, err)
	}
	if _, err := os.Stat(d.path("ended")); err != nil || ctx.Err() == nil {
		t.Errorf("its hook was cut short: %v", err)
	}
}

func TestALogThatIsEmptiedInItsPlaceHasItsWriter(t *testing.T) {
	d := newDeed(t, strings.Replace(telling, "sharedscripts\n    postrotate\n        kill -USR1 $(cat %s/app.pid)\n    endscript", "copytruncate", 1), nil)
	d.service()
	d.preview(checks.OK, "truncating "+d.log)
	d.is(d.act(checks.OK, "1 of 1"), "writers", 0)
	d.probe(checks.OK, "")
}

// TestNoPermissionIsUnknown: somebody else may neither write the state nor see
// who writes to a log.
func TestNoPermissionIsUnknown(t *testing.T) {
	d := newDeed(t, strings.ReplaceAll(goodBlock, "kill -USR1 $(cat /run/app.pid)", "true"), nil)
	for dir := d.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := d.path("self.test")
	checktest.WriteExecutable(t, binary, self)
	cmd := exec.Command(binary, "-test.run=^TestHelperPreviews$", "-test.v")
	cmd.Env, cmd.Dir = []string{"OPSDECK_TEST_LOGROTATE=" + d.dir}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "preview unknown denied") {
		t.Errorf("%v %s", err, out)
	}
}

func TestHelperPreviews(t *testing.T) {
	dir := os.Getenv("OPSDECK_TEST_LOGROTATE")
	if dir == "" {
		t.Skip("run by TestNoPermissionIsUnknown")
	}
	env := checks.Env{Root: "/", Exec: command.NewExec(), Site: checks.SiteFacts{Logrotate: checks.Logrotate{
		Main: dir + "/logrotate.conf", State: dir + "/status", Config: dir + "/conf.d/advanced-lms", Origin: "opsdeck.yaml:1",
	}}}
	check, _ := checks.NewCheck(Run, "run", nil, checks.Rules{})
	res := checks.NewRunner(env, nil).Preview(t.Context(), check, checks.Own{})
	fmt.Println("preview", res.Level, res.Class, res.Err)
}

// TestAScriptIsNotTakenForAPlan: logrotate quotes it in its own words.
func TestAScriptIsNotTakenForAPlan(t *testing.T) {
	p := parsePlan("considering log /a\n  Now: x\n  log needs rotating\nrunning script with args /a  : \"\nconsidering log /b\n  log needs rotating\nerror: not one\n\"\nremoving old log /a.5\nrenaming /a to /a.1\nconsidering log /c\n  log does not need rotating (log is empty)\nerror: one\n")
	if len(p.due) != 1 || p.considered != 2 || len(p.errors) != 1 || len(p.disposed) != 1 || p.renames["/a.1"] != "/a" || p.hooks != 1 || len(p.kept) != 1 || p.kept[0] != "/c: not due (log is empty)" {
		t.Errorf("%+v", p)
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add("considering log /a\n  log needs rotating\nrunning script : \"\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p := parsePlan(text); len(p.due) > 0 && len(p.lines()) < len(p.due) {
			t.Errorf("%+v", p)
		}
	})
}
