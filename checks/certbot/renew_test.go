package certbot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// soon makes the 90 days of the lab's certificate due.
var soon = map[string]any{"within": "100d", "reload": "5s"}

// TestARenewalIsSeenToBeServed by a real nginx, that the deploy hook reloads.
func TestARenewalIsSeenToBeServed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.hook("renew_hook", l.nginx())
	wants(t, "before", l.served(), checks.OK, "1 targets serve what certbot keeps")
	before, res, probe, _ := l.acts(certbot.Renew, soon)
	wants(t, "the preview", before, checks.OK, "deploy hook of localhost runs: ")
	if before.Target != "localhost" || len(before.Locks) != 1 {
		t.Errorf("%q %q", before.Target, before.Locks)
	}
	wants(t, "the renewal", res, checks.OK, "1 of 1 certificates were renewed")
	wants(t, "the probe", probe, checks.OK, "renewed and served")
	old, _ := before.Fact("not_after", "localhost")
	if later, ok := res.Fact("not_after", "localhost"); !ok || !later.Instant().After(old.Instant()) {
		t.Errorf("it ended %s and ends %s", old.Value, later.Value)
	}
	for name, label := range map[string]string{"renewed": "localhost", "served_same": l.target} {
		if f, ok := res.Fact(name, label); !ok || !f.Bool() {
			t.Errorf("%s is %s", name, f.Value)
		}
	}

	// Once more by the same preview: what was renewed is not renewed again.
	commands := len(l.argvs)
	res = checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.Renew, soon), l.own(before.Facts, nil))
	wants(t, "the same again", res, checks.OK, "had been renewed by somebody else meanwhile")
	if len(l.argvs) != commands {
		t.Errorf("it ran %q", l.argvs[commands:])
	}

	// And by a preview of its own: the server's grant is not used up.
	res = l.preview(certbot.Renew, map[string]any{"within": "100d", "most": 2})
	wants(t, "a third one", res, checks.Unknown, "was issued 2 times in the last 7 days")
	if res.Class != checks.Limit {
		t.Errorf("its class is %q", res.Class)
	}
}

// TestARenewalThatNobodyServesFails: certbot ends with 0, the timer is content,
// and the old certificate goes on being served until it ends.
func TestARenewalThatNobodyServesFails(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.nginx()
	before, res, probe, _ := l.acts(certbot.Renew, map[string]any{"within": "100d", "reload": "1s"})
	wants(t, "the preview", before, checks.OK, "careful: localhost has no deploy hook")
	wants(t, "the renewal", res, checks.Crit, "it has to be reloaded")
	wants(t, "the probe", probe, checks.Crit, "it has to be reloaded")
	if f, ok := res.Fact("renewed", "localhost"); !ok || !f.Bool() {
		t.Errorf("renewed is %s", f.Value)
	}
	if f, ok := res.Fact("exit", "localhost"); !ok || f.Num != 0 {
		t.Errorf("certbot's exit code is %s", f.Value)
	}
	wants(t, "what is served", l.served(), checks.Crit, "it has to be reloaded")
}

// TestADeployHookThatFailsIsNotHidden: certbot ends with 0. And a daemon that
// a hook starts, as it does on a host without systemd, goes on.
func TestADeployHookThatFailsIsNotHidden(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	hooks := l.path("config/renewal-hooks/deploy")
	pidFile := l.path("daemon.pid")
	for name, script := range map[string]string{
		"10-fails":  "#!/bin/sh\nexit 7\n",
		"20-starts": "#!/bin/sh\nsetsid sh -c 'echo $$ > " + pidFile + "; exec sleep 300' >/dev/null 2>&1 </dev/null &\n",
	} {
		if err := os.WriteFile(filepath.Join(hooks, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before, res, probe, _ := l.acts(certbot.Renew, soon)
	wants(t, "the preview", before, checks.OK, "10-fails")
	wants(t, "the preview", before, checks.OK, "served nowhere that can be asked: only its file is looked at")
	wants(t, "the renewal", res, checks.Warn, "reported error code 7")
	wants(t, "the renewal", res, checks.Warn, "started by a hook and still running: ")
	wants(t, "the probe", probe, checks.OK, "renewed")
	raw, err := os.ReadFile(pidFile)
	var pid int
	if _, scanned := fmt.Sscan(string(raw), &pid); err != nil || scanned != nil {
		t.Fatal(err, scanned)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestARenewalThatFailsIsCritical(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.configures(fmt.Sprintf("http01_port = %d", l.server.HTTPPort), "http01_port = 1")
	_, res, probe, _ := l.acts(certbot.Renew, soon)
	wants(t, "the renewal", res, checks.Crit, "localhost: ")
	wants(t, "the probe", probe, checks.Crit, "not renewed")
	if f, ok := res.Fact("renewed", "localhost"); !ok || f.Bool() {
		t.Errorf("renewed is %s", f.Value)
	}
}

// TestWhatIsNotDueIsNotRenewed: "if needed" is a condition.
func TestWhatIsNotDueIsNotRenewed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	wants(t, "a certificate of 90 days", l.preview(certbot.Renew, nil), checks.Skipped, "no certificate is due: localhost has 90 d left")
	l.env.Now = func() time.Time { return time.Now().AddDate(0, 0, 75) }
	wants(t, "in 75 days", l.preview(certbot.Renew, nil), checks.OK, "1 of 1 certificates are due")
	l.env.Site.Certbot.Served = map[string][]string{}
	wants(t, "one of which nobody says where it is served", l.preview(certbot.Renew, nil), checks.Unknown, "does not say where localhost is served")
	l.env.Now = nil
	l.write("config/renewal/broken.conf", "cert\n")
	wants(t, "one that cannot be read", l.preview(certbot.Renew, nil), checks.Unknown, `broken.conf:1: found "cert", expected key = value`)
	wants(t, "one that cannot be read, by its name", l.preview(certbot.Renew, map[string]any{"certificate": "broken"}), checks.Unknown, "expected key = value")

	res := checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.Renew, soon), l.own(nil, nil))
	wants(t, "a renewal without a preview", res, checks.Unknown, "the confirmed preview of the renewal is not known")
	gone := fact.Word("serial", "1").On("gone")
	res = checks.NewRunner(l.env, nil).Probe(t.Context(), l.check(certbot.Renew, soon), l.own([]fact.Fact{gone}, nil), checks.Rule{})
	wants(t, "a certificate that is gone", res, checks.Unknown, "gone")
}

// TestARenewalThatTakesTooLongIsUnknown, and is ended.
func TestARenewalThatTakesTooLongIsUnknown(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.hook("pre_hook", "sleep 60")
	before := l.preview(certbot.Renew, soon)
	c := l.check(certbot.Renew, soon)
	c.Timeout = 2 * time.Second
	res := checks.NewRunner(l.env, nil).Act(t.Context(), c, l.own(before.Facts, nil))
	if res.Level != checks.Unknown || res.Class != checks.Timeout {
		t.Errorf("%v %q %s", res.Level, res.Class, res.Err)
	}
	probe := checks.NewRunner(l.env, nil).Probe(t.Context(), l.check(certbot.Renew, soon), l.own(before.Facts, nil), checks.Rule{})
	wants(t, "the probe", probe, checks.Crit, "not renewed")
}

func TestWhatIsServedIsAskedHonestly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	wants(t, "served nowhere", l.served(), checks.Unknown, "names no target to ask")
	l.env.Site.Certbot.Served["localhost"] = []string{"localhost:1"}
	wants(t, "a server that is down", l.served(), checks.Crit, "localhost:1 does not answer")
	l.env.Site.Certbot.Served = nil
	wants(t, "nobody says where", l.served(), checks.Unknown, "does not say where localhost is served")
	l.env.Site.Certbot.Origin = ""
	wants(t, "no certbot", l.served(), checks.Skipped, "no certbot in the site file")
}
