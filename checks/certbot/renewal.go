package certbot

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// renewal is what certbot's renewal configuration of one certificate says, as
// far as it is needed here.
type renewal struct {
	file      string // for messages
	cert      string // the link to the newest certificate, absolute
	fullchain string // by which certbot's report names the certificate
	archive   string // where all versions are

	server              string // of ACME; "" means certbot's default
	authenticator       string
	installer           string // reloads its server by itself; "" or "None" for none
	pre, post, deploy   string // hooks: commands for a shell, run by certbot
	accountName         string
	directoryHooksOff   bool
	automaticRenewalOff bool
}

// parseRenewal reads the text of a renewal configuration: key = value, with the
// account and the hooks below [renewalparams]. What is nested deeper belongs to
// a plugin.
func parseRenewal(file, text string) (renewal, error) {
	r := renewal{file: file}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "["):
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return r, checks.Failed(checks.Parse, "%s:%d: found %.60q, expected key = value", file, i+1, line)
		}
		r.set(section, strings.TrimSpace(key), unquote(strings.TrimSpace(value)))
	}
	for _, need := range []struct{ key, value string }{{"cert", r.cert}, {"fullchain", r.fullchain}} {
		if !filepath.IsAbs(need.value) {
			return r, checks.Failed(checks.Parse, "%s: found %s = %.80q, expected the absolute path of a file", file, need.key, need.value)
		}
	}
	return r, nil
}

func (r *renewal) set(section, key, value string) {
	words := map[string]map[string]*string{
		"": {"cert": &r.cert, "fullchain": &r.fullchain, "archive_dir": &r.archive},
		"[renewalparams]": {
			"server": &r.server, "authenticator": &r.authenticator, "installer": &r.installer, "account": &r.accountName,
			"pre_hook": &r.pre, "post_hook": &r.post, "renew_hook": &r.deploy,
		},
	}
	if to, ok := words[section][key]; ok {
		*to = value
		return
	}
	if section != "[renewalparams]" {
		return
	}
	switch key {
	case "directory_hooks":
		r.directoryHooksOff = strings.EqualFold(value, "false")
	case "autorenew":
		r.automaticRenewalOff = strings.EqualFold(value, "false")
	}
}

// unquote takes off the quotes that certbot puts around a value with a comma, a
// # or a quote in it.
func unquote(value string) string {
	for _, q := range []string{`'''`, `"""`, `'`, `"`} {
		if len(value) >= 2*len(q) && strings.HasPrefix(value, q) && strings.HasSuffix(value, q) {
			return value[len(q) : len(value)-len(q)]
		}
	}
	return value
}

// letsEncrypt: a dry run goes to its staging server and costs nothing.
func (r renewal) letsEncrypt() bool {
	return r.server == "" || strings.Contains(r.server, ".api.letsencrypt.org/")
}

// asked is the server that a dry run asks.
func (r renewal) asked() string {
	if r.letsEncrypt() {
		return "the staging server of Let's Encrypt"
	}
	return r.server
}

// reloads: certbot itself makes the server read the new certificate.
func (r renewal) reloads() bool { return r.installer != "" && !strings.EqualFold(r.installer, "none") }

// String is for messages.
func (r renewal) String() string { return fmt.Sprintf("%s by %s", r.asked(), r.authenticator) }
