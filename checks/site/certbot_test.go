package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestTheCertbotSectionIsReadAndBadOnesRefused(t *testing.T) {
	reg, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (*Site, Problems) {
		return Parse("opsdeck.yaml", []byte("schema: 1\nsite: x\nvars: {domain: lms.example.com}\n"+text), reg, func(string) string { return "" })
	}
	s, problems := read("certbot:\n  config: /srv/le\n  ca: /srv/ca.pem\n  served:\n    lms.example.com: [\"${domain}:443\", \"smtp://${domain}:587\"]\n    files.example.com: []\n")
	if s == nil {
		t.Fatal(problems)
	}
	c := s.Facts().Certbot
	if c.Config != "/srv/le" || c.CA != "/srv/ca.pem" || c.Work != "" || c.Origin == "" || strings.Join(c.Served["lms.example.com"], " ") != "lms.example.com:443 smtp://lms.example.com:587" {
		t.Errorf("%+v", c)
	}
	if targets, ok := c.Served["files.example.com"]; !ok || len(targets) != 0 {
		t.Errorf("%v %v", targets, ok)
	}
	if s, _ := read("certbot: {}\n"); s == nil || s.Facts().Certbot.Origin == "" {
		t.Error("an empty section says that certbot's own folders are meant")
	}
	for text, want := range map[string]string{
		"certbot: {config: etc}\n":                      "absolute path",
		"certbot: {dir: /etc}\n":                        `no key "dir"`,
		"certbot: {served: {\"-x\": [\"a:443\"]}}\n":    "is not the name of a certificate",
		"certbot: {served: {a: [\"https://a:443\"]}}\n": "expected host:port",
		"certbot: {served: {a: {b: c}}}\n":              "certbot.served.a",
	} {
		s, problems := read(text)
		said := ""
		for _, p := range problems {
			said += p.Msg + "\n"
		}
		if s != nil || !strings.Contains(said, want) {
			t.Errorf("%q is not in what is said of %s:\n%s", want, text, said)
		}
	}
}

// TestCertbotsCertificatesAreDetectedAndWritten: init writes what it found, and
// reads it back.
func TestCertbotsCertificatesAreDetectedAndWritten(t *testing.T) {
	reg, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, dir := range []string{"renewal", "live/lms.example.com"} {
		if err := os.MkdirAll(filepath.Join(root, "etc/letsencrypt", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if c := (Host{Root: root}).certbot(); c.Origin != "" {
		t.Errorf("a host without a certificate has %+v", c)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/letsencrypt/renewal/lms.example.com.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Site{Name: "x", Certbot: (Host{Root: root}).certbot()}
	again, problems := Parse("opsdeck.yaml", s.Write(), reg, func(string) string { return "" })
	if again == nil {
		t.Fatalf("%v\n%s", problems, s.Write())
	}
	if targets := again.Certbot.Served["lms.example.com"]; len(targets) != 1 || targets[0] != "lms.example.com:443" {
		t.Errorf("%+v\n%s", again.Certbot, s.Write())
	}
}
