package certbot_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/command"
)

// instead runs another argv in the place of certbot.
func (l *lab) instead(argv ...string) checks.Exec {
	run := l.env.Exec
	return func(ctx context.Context, call checks.Call) (checks.Output, error) {
		call.Argv = append(argv[:len(argv):len(argv)], call.Argv[1:]...)
		return run(ctx, call)
	}
}

// holds takes the locks that a certbot at work has.
func (l *lab) holds() (release func()) {
	l.t.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, "config/.certbot.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		l.t.Fatal(err)
	}
	return func() { f.Close() }
}

// TestNobodyMayNotEvenLook runs this test again as a user who may read the
// renewal configuration and not the certificates, as everybody on a host can.
func TestNobodyMayNotEvenLook(t *testing.T) {
	if os.Getenv("CERTBOT_TEST_AS_NOBODY") != "" {
		e := checks.Env{Root: "/", Exec: command.NewExec(), Token: "opsdeck/x", Site: checks.SiteFacts{Certbot: checks.Certbot{Config: os.Getenv("CERTBOT_TEST_AS_NOBODY"), Origin: "x"}}}
		for _, m := range []*checks.Module{certbot.DryRun, certbot.Renew} {
			c, _ := checks.NewCheck(m, "it", nil, checks.Rules{})
			res := checks.NewRunner(e, nil).Preview(t.Context(), c, checks.Own{Token: "opsdeck/x"})
			if res.Level != checks.Unknown || res.Class != checks.Denied {
				t.Errorf("%s: %v %q %s", m.Name, res.Level, res.Class, res.Err)
			}
		}
		c, _ := checks.NewCheck(certbot.Served, "it", nil, checks.Rules{})
		if res := checks.NewRunner(e, nil).Run(t.Context(), c); res.Level != checks.Unknown || res.Class != checks.Denied {
			t.Errorf("%v %q %s", res.Level, res.Class, res.Err)
		}
		return
	}
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root to become somebody else")
		}
		t.Skip("needs root to become somebody else")
	}
	t.Parallel()
	l := newLab(t)
	for at := l.dir; len(at) > len(os.TempDir()); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	self := l.path("again.test")
	if err := os.WriteFile(self, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestNobodyMayNotEvenLook$", "-test.v")
	cmd.Env = append(os.Environ(), "CERTBOT_TEST_AS_NOBODY="+l.path("config"), "HOME=/")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
