package certbot_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, certbot.Family()) }

// TestADryRunPassesAtTheServerOfTheCertificate: the guide's own command asks
// the staging server of Let's Encrypt, which this certificate is not from.
func TestADryRunPassesAtTheServerOfTheCertificate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.hook("pre_hook", "echo stopping")
	before, res, probe, out := l.acts(certbot.DryRun, nil)
	wants(t, "the preview", before, checks.OK, "careful: pre hook of localhost runs: echo stopping")
	wants(t, "the preview", before, checks.OK, l.server.URL+" is no staging server")
	wants(t, "the dry run", res, checks.OK, "1 of 1 certificates would be renewed")
	wants(t, "the probe", probe, checks.OK, "1 of 1 dry runs succeeded")
	for _, name := range []string{"passed", "unchanged"} {
		if f, ok := res.Fact(name, "localhost"); !ok || !f.Bool() {
			t.Errorf("%s is %s", name, f.Value)
		}
	}
	if !strings.Contains(out, "Simulating renewal") || !slices.ContainsFunc(l.steps, func(s string) bool { return strings.Contains(s, "localhost: Simulating renewal") }) {
		t.Errorf("nobody could see it going on: %q\n%s", l.steps, out)
	}
	last := strings.Join(l.argvs[len(l.argvs)-1], " ")
	for _, part := range []string{"--no-random-sleep-on-renew", "--non-interactive", "--dry-run --server " + l.server.URL, "--cert-name localhost"} {
		if !strings.Contains(last, part) {
			t.Errorf("no %s in %s", part, last)
		}
	}
	l.env.Token = "opsdeck/another"
	runner := checks.NewRunner(l.env, nil)
	wants(t, "a probe for another run", runner.Probe(t.Context(), l.check(certbot.DryRun, nil), l.own(before.Facts, nil), checks.Rule{}), checks.Crit, "no dry run of ours")
}

// TestAHookThatFailsIsAWarning: certbot itself ends with 0.
func TestAHookThatFailsIsAWarning(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.hook("post_hook", "exit 3")
	_, res, _, _ := l.acts(certbot.DryRun, nil)
	wants(t, "the dry run", res, checks.Warn, "Hook 'post-hook' reported error code 3")
	if f, ok := res.Fact("exit", "localhost"); !ok || f.Num != 0 {
		t.Errorf("certbot's exit code is %s", f.Value)
	}
}

func TestARenewalThatWouldFailIsCritical(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.configures(fmt.Sprintf("http01_port = %d", l.server.HTTPPort), "http01_port = 1")
	_, res, probe, _ := l.acts(certbot.DryRun, nil)
	wants(t, "the dry run", res, checks.Crit, "localhost would not be renewed: ")
	wants(t, "the probe", probe, checks.Crit, "the dry run did not succeed")
	if f, ok := res.Fact("problem", "localhost"); !ok || f.Text == "" {
		t.Error("nobody says why")
	}
	l.write("config/renewal/broken.conf", "cert = here\n")
	before := l.preview(certbot.DryRun, map[string]any{"certificate": "broken"})
	wants(t, "the preview of a broken one", before, checks.OK, "broken.conf: found cert = \"here\", expected the absolute path")
	res = checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.DryRun, map[string]any{"certificate": "broken"}), l.own(before.Facts, nil))
	wants(t, "the dry run of a broken one", res, checks.Crit, "absolute path")
}

// TestWhatCannotBeFoundOutIsUnknown: no certificate, no certbot, another
// certbot, no permission.
func TestWhatCannotBeFoundOutIsUnknown(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good := l.env

	l.env.Site = checks.SiteFacts{}
	wants(t, "a site without certbot", l.preview(certbot.DryRun, nil), checks.Skipped, "no certbot in the site file")

	l.env = good
	l.env.Site.Certbot.Config = l.path("nowhere")
	wants(t, "a certbot without certificates", l.preview(certbot.DryRun, nil), checks.Unknown, "certbot keeps no certificate here")
	if err := os.MkdirAll(l.path("nowhere/renewal"), 0o755); err != nil {
		t.Fatal(err)
	}
	res := checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.DryRun, nil), l.own(nil, nil))
	wants(t, "a dry run of nothing, which certbot calls a success", res, checks.Unknown, "certbot keeps no certificate here")

	l.env = good
	wants(t, "a name that is not there", l.preview(certbot.DryRun, map[string]any{"certificate": "lms"}), checks.Unknown, `certbot keeps no certificate "lms" (localhost)`)

	l.env = good
	l.env.Exec = l.instead("certbot-is-not-here")
	res = l.preview(certbot.DryRun, nil)
	wants(t, "no certbot", res, checks.Unknown, "certbot is not installed here")
	if res.Class != checks.Missing {
		t.Errorf("its class is %q", res.Class)
	}

	l.env = good
	release := l.holds()
	res = checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.DryRun, nil), l.own(nil, nil))
	wants(t, "another certbot", res, checks.Unknown, "another certbot is at work")
	release()

	if os.Geteuid() == 0 {
		needs(t, "setpriv")
		l.env = good
		l.env.Exec = l.instead("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "certbot")
		res = checks.NewRunner(l.env, nil).Act(t.Context(), l.check(certbot.DryRun, nil), l.own(nil, nil))
		wants(t, "certbot as nobody", res, checks.Unknown, "certbot may not write its files")
		if res.Class != checks.Denied {
			t.Errorf("its class is %q", res.Class)
		}
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	if _, problems := checks.NewCheck(certbot.DryRun, "it", map[string]any{"certificate": "--config=/x"}, checks.Rules{}); len(problems) != 1 {
		t.Error(problems)
	}
}
