package certbot

import (
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// written is what certbot 2.1.0 wrote, with a webroot and quoted hooks.
const written = `# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/lms.test
cert = /etc/letsencrypt/live/lms.test/cert.pem
fullchain = /etc/letsencrypt/live/lms.test/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = 36b9d6ff7bd8ff78598f850ea265f621
post_hook = 'sh -c "echo bad >&2; exit 3"'
renew_hook = systemctl reload nginx
server = https://acme-v02.api.letsencrypt.org/directory
authenticator = webroot
installer = None
[[webroot_map]]
lms.test = /var/www
server = /var/www/server
`

func TestARenewalConfigurationIsRead(t *testing.T) {
	r, err := parseRenewal("x.conf", written)
	if err != nil {
		t.Fatal(err)
	}
	if r.post != `sh -c "echo bad >&2; exit 3"` || r.deploy != "systemctl reload nginx" || r.pre != "" || r.authenticator != "webroot" ||
		r.server != "https://acme-v02.api.letsencrypt.org/directory" || r.cert != "/etc/letsencrypt/live/lms.test/cert.pem" || r.reloads() || !r.letsEncrypt() {
		t.Errorf("%+v", r)
	}
	for text, want := range map[string]string{
		"cert /x\n":           `x.conf:1: found "cert /x", expected key = value`,
		"":                    `found cert = ""`,
		"cert = /x\n":         `found fullchain = ""`,
		"cert = ../../etc/x ": `found cert = "../../etc/x"`,
	} {
		if _, err := parseRenewal("x.conf", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseRenewal(f *testing.F) {
	f.Add(written)
	f.Add("cert = '''/x'''\nfullchain = \"\n[renewalparams\n= =")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseRenewal("x.conf", text); err == nil && (!filepath.IsAbs(r.cert) || !filepath.IsAbs(r.fullchain)) {
			t.Errorf("%+v", r)
		}
	})
}

func TestADueCertificateIsOneThatTLSExpiryWarnsOf(t *testing.T) {
	const day = 24 * time.Hour
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		life, left time.Duration
		want       bool
	}{{90 * day, 31 * day, false}, {90 * day, 29 * day, true}, {45 * day, 20 * day, false}, {45 * day, 14 * day, true}, {6 * day, 3 * day, false}, {6 * day, day, true}, {90 * day, -day, true}} {
		l := lineage{cert: &x509.Certificate{NotBefore: at.Add(tt.left - tt.life), NotAfter: at.Add(tt.left)}}
		if got := l.due(at, 30*day); got != tt.want {
			t.Errorf("%v left of %v: due is %v", tt.left, tt.life, got)
		}
	}
}

// TestComplaintsOfOldAndNewVersions: certbot before 1.0 had other words for a
// hook that failed.
func TestComplaintsOfOldAndNewVersions(t *testing.T) {
	hooks, problem := complaints("a", "Hook 'post-hook' reported error code 3\npre-hook command \"x\" returned error code 1\nFailed to renew certificate b with error: other\nFailed to renew certificate a with error: too many\n")
	if len(hooks) != 2 || problem != "too many" {
		t.Errorf("%q %q", hooks, problem)
	}
	_, problem = complaints("a", "Renewal configuration file /x/a.conf (cert: a) produced an unexpected error: no account. Skipping.\n")
	if problem != "no account" {
		t.Errorf("%q", problem)
	}
}

// TestTheLogIsReadRunByRun, from what certbot wrote: only ours counts, and one
// without an end has none.
func TestTheLogIsReadRunByRun(t *testing.T) {
	args := func(mark string) string {
		return "2026-11-27 04:15:54,277:DEBUG:certbot._internal.main:Arguments: ['--cert-name', 'lms', '--user-agent-comment', '" + mark + "']\n"
	}
	const success = "2026-11-27 04:15:56,932:DEBUG:certbot._internal.display.obj:Notifying user:   /etc/letsencrypt/live/lms/fullchain.pem (success)\n"
	const failure = "2026-11-27 04:15:56,932:ERROR:certbot._internal.log:1 renew failure(s), 0 parse failure(s)\n"
	for name, c := range map[string]struct {
		text  string
		want  logged
		found bool
	}{
		"ours":                         {args("ours") + success, logged{true, true}, true},
		"ours, failed":                 {args("ours") + failure, logged{false, true}, true},
		"ours, cut short":              {args("ours"), logged{}, true},
		"ours, cut short, then others": {args("ours") + args("theirs") + success, logged{}, true},
		"theirs":                       {args("theirs") + success, logged{}, false},
	} {
		runs := map[string]logged{}
		find(c.text, "ours", runs)
		if got, found := runs["lms"]; got != c.want || found != c.found {
			t.Errorf("%s: %+v %v", name, got, found)
		}
	}
}
