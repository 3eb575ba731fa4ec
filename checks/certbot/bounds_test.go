package certbot

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// keeps writes a file below a root as certbot would.
func keeps(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAFileOfCertbotBeyondItsBoundIsUnknown: what stands behind the bound, such
// as a hook or another certificate, would be missing without a word.
func TestAFileOfCertbotBeyondItsBoundIsUnknown(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	target := server.Listener.Addr().String()
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	conf := strings.ReplaceAll(written, "/etc/letsencrypt/live/lms.test/", "/live/")
	long := strings.Repeat("# a line of no use\n", maxFile/19+1)
	for name, c := range map[string]struct {
		conf, cert string
		want       checks.Level
	}{
		"whole files":          {conf, block, checks.OK},
		"a long configuration": {conf + long + "[renewalparams]\npre_hook = stop\n", block, checks.Unknown},
		"a long certificate":   {conf, block + long, checks.Unknown},
	} {
		root := t.TempDir()
		keeps(t, root, "etc/letsencrypt/renewal/lms.test.conf", c.conf)
		keeps(t, root, "live/cert.pem", c.cert)
		env := checks.Env{
			Root: root, Dialer: &net.Dialer{}, Site: checks.SiteFacts{Certbot: checks.Certbot{
				Served: map[string][]string{"lms.test": {target}}, Origin: "opsdeck.yaml:1",
			}},
			Exec: func(context.Context, checks.Call) (checks.Output, error) {
				return checks.Output{}, errors.New("not asked for")
			},
		}
		check, problems := checks.NewCheck(Served, "served", nil, checks.Rules{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		res := checks.NewRunner(env, nil).Run(t.Context(), check)
		if res.Level != c.want || c.want == checks.Unknown && (res.Class != checks.Limit || !strings.Contains(res.Err, "is larger than 1 MiB")) {
			t.Errorf("%s: %v %v: %s %s", name, res.Level, res.Class, res.Note, res.Err)
		}
	}
}

// TestARunBehindTheBoundOfTheLogIsNotSaidToBeMissing: of a long log only the
// end is read, and the run may stand before it.
func TestARunBehindTheBoundOfTheLogIsNotSaidToBeMissing(t *testing.T) {
	root := t.TempDir()
	keeps(t, root, "var/log/letsencrypt/letsencrypt.log", "x\n")
	env := checks.Env{
		Root: root, Token: "opsdeck/0a1b2c3d", Before: []fact.Fact{fact.Word("serial", "1").On("lms.test")},
		Site: checks.SiteFacts{Certbot: checks.Certbot{Origin: "opsdeck.yaml:1"}},
		Exec: func(context.Context, checks.Call) (checks.Output, error) {
			return checks.Output{}, errors.New("not asked for")
		},
	}
	if f, err := probeDryRun(t.Context(), env, checks.Args{}); err != nil || f.Facts[0].Bool() {
		t.Errorf("a short log: %+v, %v", f, err)
	}
	run := fmt.Sprintf(":certbot._internal.main:Arguments: ['--cert-name', 'lms.test', '%s']\n/lms.test/fullchain.pem (success)\n", mark(env.Token))
	keeps(t, root, "var/log/letsencrypt/letsencrypt.log", run+strings.Repeat("a line of no use\n", maxLog/17+1))
	if f, err := probeDryRun(t.Context(), env, checks.Args{}); checks.ClassOf(err) != checks.NoData {
		t.Errorf("a long log: %+v, %v", f, err)
	}
}
