package systemd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const webConfig = `worker_processes 2;
error_log /var/log/nginx/error.log;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
    access_log off;
    ssl_certificate_key /etc/nginx/lms.key;
    server {
        listen unix:/run/tls.sock ssl;
        server_name lms.test;
        ssl_certificate lms.pem;
        location / { return 200 ok; }
    }
}
`

// web is nginx as Debian's unit starts it, serving a certificate of serial 1.
func (m *machine) web(t *testing.T) {
	t.Helper()
	m.write(t, "etc/nginx/nginx.conf", webConfig)
	m.certificate(t, 1)
	m.do(t, "systemctl", "restart", "nginx.service")
	t.Cleanup(func() { m.do(t, "systemctl", "stop", "nginx.service") })
}

// certificate writes a new one with its key.
func (m *machine) certificate(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "lms.test"}, DNSNames: []string{"lms.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "etc/nginx/lms.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	m.write(t, "etc/nginx/lms.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

// A deed is an action on its way: previewed, done, looked at again.
type deed struct {
	t      *testing.T
	runner *checks.Runner
	check  checks.Check
	own    checks.Own
	out    bytes.Buffer
}

func begin(t *testing.T, env checks.Env, unit string) *deed {
	t.Helper()
	check, problems := checks.NewCheck(Reload, "reload", bySystemd(unit), checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &deed{t: t, runner: checks.NewRunner(env, nil), check: check}
}

func (d *deed) preview(level checks.Level, says string) checks.Result {
	d.t.Helper()
	res := d.runner.Preview(d.t.Context(), d.check, d.own)
	d.wants("preview", res, level, says)
	d.own = checks.Own{Before: res.Facts, Out: &d.out, Token: "opsdeck/test"}
	return res
}

func (d *deed) act(level checks.Level, says string) checks.Result {
	d.t.Helper()
	res := d.runner.Act(d.t.Context(), d.check, d.own)
	d.wants("act", res, level, says)
	return res
}

func (d *deed) probe(level checks.Level, says string) checks.Result {
	d.t.Helper()
	res := d.runner.Probe(d.t.Context(), d.check, d.own, checks.Rule{})
	d.wants("probe", res, level, says)
	return res
}

func (d *deed) wants(what string, res checks.Result, level checks.Level, says string) {
	d.t.Helper()
	if said := res.Note + "\n" + strings.Join(res.Detail, "\n") + "\n" + res.Err; res.Level != level || !strings.Contains(said, says) {
		d.t.Errorf("%s: %v, want %v with %q:\n%s", what, res.Level, level, says, said)
	}
}

func is(t *testing.T, res checks.Result, name string, want float64) {
	t.Helper()
	if f, ok := res.Fact(name, ""); !ok || f.Num != want {
		t.Errorf("%s is %+v, want %v", name, f, want)
	}
}

// TestTheReloadBringsTheNewCertificate: until then the old one is served,
// whatever the file holds.
func TestTheReloadBringsTheNewCertificate(t *testing.T) {
	m := needMachine(t)
	m.web(t)
	serial := int64(1)
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		serial++
		m.certificate(t, serial)
		d := begin(t, env, "nginx.service")
		is(t, d.preview(checks.OK, fmt.Sprintf("serves serial %d until", serial-1)), "stale", 1)
		d.probe(checks.Crit, "did not change since the preview")
		res := d.act(checks.OK, fmt.Sprintf("serves what its file holds, serial %d", serial))
		is(t, res, "same_process", 1)
		is(t, res, "stale", 0)
		if started, ok := res.Fact("workers_started", ""); !ok || started.Num < 2 {
			t.Errorf("workers %+v", started)
		}
		d.probe(checks.OK, "reloaded, process")
	})
}

// TestAReloadThatNginxGaveUpIsSeen: another process has the port that the new
// configuration wants. nginx -t passes that over, systemctl reload ends with 0,
// and the old configuration stays.
func TestAReloadThatNginxGaveUpIsSeen(t *testing.T) {
	m := needMachine(t)
	m.web(t)
	m.unit(t, "taken.socket", "[Socket]\nListenStream=127.0.0.1:9443\n[Install]\nWantedBy=sockets.target\n")
	m.unit(t, "taken.service", daemon)
	m.do(t, "systemctl", "start", "taken.socket")
	m.certificate(t, 77)
	m.write(t, "etc/nginx/nginx.conf", strings.Replace(webConfig, "server_name", "listen 127.0.0.1:9443 ssl;\n        server_name", 1))
	out, code := m.try(t, "systemctl", "reload", "nginx.service")
	if code != 0 {
		t.Fatalf("systemctl notices it by now: %s", out)
	}
	d := begin(t, m.env(), "nginx.service")
	d.preview(checks.OK, "nginx takes its configuration")
	res := d.act(checks.Crit, "nginx has no new workers")
	is(t, res, "done", 0)
	is(t, res, "workers_started", 0)
	if job, _ := res.Fact("job", ""); job.Text != "done" {
		t.Errorf("systemd says %q", job.Text)
	}
	d.probe(checks.Crit, "nginx has no new workers")
}

func TestWhatCannotBeReloadedIsNotBegun(t *testing.T) {
	m := needMachine(t)
	m.web(t)
	m.unit(t, "stiff.service", strings.ReplaceAll(daemon, "ExecReload=/bin/kill -HUP $MAINPID\n", ""))
	m.unit(t, "still.service", daemon)
	m.do(t, "systemctl", "start", "stiff.service")
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		begin(t, env, "stiff.service").preview(checks.Unknown, "no way to reload")
		begin(t, env, "still.service").preview(checks.Unknown, "what does not run has nothing to reload")
		begin(t, env, "absent.service").preview(checks.Unknown, "absent.service is not-found")
		m.write(t, "etc/nginx/nginx.conf", strings.Replace(webConfig, "listen", "lisen", 1))
		d := begin(t, env, "nginx.service")
		d.preview(checks.Unknown, `unknown directive "lisen"`)
		d.act(checks.Unknown, `unknown directive "lisen"`) // the guide reloads without a test
		m.write(t, "etc/nginx/nginx.conf", webConfig)
		elsewhere := env
		elsewhere.Site.Nginx.Config = "/srv/nginx.conf"
		begin(t, elsewhere, "nginx.service").preview(checks.Unknown, "not what is served would be tested")
	})
}

func TestAConfigurationChangedSinceThePreviewIsNotLoaded(t *testing.T) {
	m := needMachine(t)
	m.web(t)
	d := begin(t, m.env(), "nginx.service")
	d.preview(checks.OK, "")
	m.write(t, "etc/nginx/nginx.conf", webConfig+"# one more line\n")
	d.act(checks.Unknown, "not the one of the preview any more")
}

// TestOtherServicesReload: one that refuses, one that is started anew by it.
func TestOtherServicesReload(t *testing.T) {
	m := needMachine(t)
	m.unit(t, "heeds.service", strings.ReplaceAll(daemon, "/bin/kill -HUP $MAINPID", "/bin/true"))
	m.unit(t, "refuses.service", strings.ReplaceAll(daemon, "/bin/kill -HUP $MAINPID", "/bin/false"))
	m.do(t, "systemctl", "start", "heeds.service", "refuses.service")
	m.eachWay(t, func(t *testing.T, env checks.Env) {
		d := begin(t, env, "heeds.service")
		d.preview(checks.OK, "nothing here can test the configuration of heeds.service")
		d.act(checks.OK, "reloaded")
		d.probe(checks.OK, "reloaded")
		m.do(t, "systemctl", "restart", "heeds.service")
		d.probe(checks.OK, "restarted instead")
		d = begin(t, env, "refuses.service")
		d.preview(checks.OK, "")
		is(t, d.act(checks.Crit, "its reload ended with exit-code"), "done", 0)
		d.probe(checks.Crit, "its reload ended with exit-code")
	})
	d := begin(t, m.env(), "heeds.service")
	d.preview(checks.OK, "")
	m.do(t, "systemctl", "stop", "heeds.service")
	d.probe(checks.Crit, "it is inactive")
}

// TestNoPermissionIsUnknown: a user whom systemd refuses the reload, and one
// who cannot reach the bus at all.
func TestNoPermissionIsUnknown(t *testing.T) {
	m := needMachine(t)
	m.unit(t, "guarded.service", daemon)
	m.do(t, "systemctl", "enable", "--now", "guarded.service")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.root(), "usr/local/bin/opsdeck.test")
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func() string {
		cmd := exec.Command("nsenter", "-t", fmt.Sprint(m.leader), "-a", "-S", "65534", "-G", "65534", "/usr/local/bin/opsdeck.test", "-test.run=^TestHelperReloads$", "-test.v")
		cmd.Env = append(os.Environ(), "OPSDECK_TEST_UNIT=guarded.service", rootVariable+"=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := asNobody(); !strings.Contains(out, "unit ok") || !strings.Contains(out, "a user who is not root") || !strings.Contains(out, "act unknown denied") {
		t.Errorf("nobody reloads a service: %s", out)
	}
	m.do(t, "chmod", "0700", "/run/dbus/system_bus_socket")
	t.Cleanup(func() { m.do(t, "chmod", "0666", "/run/dbus/system_bus_socket") })
	if out := asNobody(); !strings.Contains(out, "unit unknown denied") {
		t.Errorf("nobody asks without a bus: %s", out)
	}
}

func TestHelperReloads(t *testing.T) {
	unit := os.Getenv("OPSDECK_TEST_UNIT")
	if unit == "" {
		t.Skip("run by TestNoPermissionIsUnknown")
	}
	env := checks.Env{Root: "/"}
	runner := checks.NewRunner(env, nil)
	check, _ := checks.NewCheck(Unit, "unit", bySystemd(unit), checks.Rules{})
	res := runner.Run(context.Background(), check)
	fmt.Println("unit", res.Level, res.Class, res.Err)
	check, _ = checks.NewCheck(Reload, "reload", bySystemd(unit), checks.Rules{})
	res = runner.Preview(t.Context(), check, checks.Own{})
	fmt.Println("preview", res.Level, res.Class, res.Err, res.Detail)
	res = runner.Act(t.Context(), check, checks.Own{Before: res.Facts})
	fmt.Println("act", res.Level, res.Class, res.Err)
}
