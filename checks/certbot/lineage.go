package certbot

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile bounds a renewal configuration and a certificate.
const maxFile = 1 << 20

// A lineage is a certificate with all that came before it.
type lineage struct {
	name string
	renewal
	cert *x509.Certificate // that of the file, which is not yet what is served
	err  error             // why it could not be read; only of a file that is wrong
}

// lineages are those that certbot keeps, or the one that is named. No
// certificate at all is an error: certbot calls a renewal of nothing a success.
func (p place) lineages(only string) ([]lineage, error) {
	dir := filepath.Join(p.config(), "renewal")
	entries, err := os.ReadDir(p.at(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, checks.Failed(checks.Missing, "%s is not there: certbot keeps no certificate here", dir)
	case err != nil:
		return nil, fmt.Errorf("looking for certbot's certificates: %w", err)
	}
	var all []lineage
	var names []string
	for _, e := range entries {
		name, isConf := strings.CutSuffix(e.Name(), ".conf")
		if !isConf {
			continue
		}
		names = append(names, name)
		if only != "" && name != only {
			continue
		}
		l, err := p.lineage(name)
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		l.err = err
		all = append(all, l)
	}
	switch {
	case len(names) == 0:
		return nil, checks.Failed(checks.Missing, "%s has no configuration: certbot keeps no certificate here", dir)
	case len(all) == 0:
		return nil, checks.Failed(checks.Missing, "certbot keeps no certificate %q (%s)", only, strings.Join(names, ", "))
	}
	return all, nil
}

func (p place) lineage(name string) (lineage, error) {
	l := lineage{name: name}
	if err := CheckName(name); err != nil {
		return l, err
	}
	file := filepath.Join(p.config(), "renewal", name+".conf")
	raw, err := p.read(file)
	if err != nil {
		return l, err
	}
	if l.renewal, err = parseRenewal(file, string(raw)); err != nil {
		return l, err
	}
	l.cert, err = p.certificate(l.renewal.cert)
	return l, err
}

// certificate reads the first certificate of a file in PEM.
func (p place) certificate(path string) (*x509.Certificate, error) {
	raw, err := p.read(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, checks.Failed(checks.Parse, "%s: found no certificate in PEM", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, checks.Failed(checks.Parse, "%s: %w", path, err)
	}
	return c, nil
}

func (p place) read(path string) ([]byte, error) {
	content, err := hostfs.Read(p.at(path), maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading what certbot keeps: %w", err)
	}
	return content, nil
}

// serial is how a serial number is shown: as openssl does.
func serial(c *x509.Certificate) string { return fmt.Sprintf("%X", c.SerialNumber) }

// shortLived are certificates whose age a number of days does not suit; the
// bound and the third are those of tls.expiry.
const shortLived = 60 * 24 * time.Hour

// due: it ends within that time, or, if it is a short-lived one, has less than
// a third of its life left.
func (l lineage) due(at time.Time, within time.Duration) bool {
	left, life := l.cert.NotAfter.Sub(at), l.cert.NotAfter.Sub(l.cert.NotBefore)
	if life < shortLived {
		return left < life/3
	}
	return left < within
}

var version = regexp.MustCompile(`^cert[0-9]+\.pem$`)

// issuedSince counts the versions of a certificate that were issued since then.
func (p place) issuedSince(l lineage, since time.Time) (int, error) {
	entries, err := os.ReadDir(p.at(l.archive))
	if err != nil {
		return 0, fmt.Errorf("counting earlier versions of %s: %w", l.name, err)
	}
	count := 0
	for _, e := range entries {
		if !version.MatchString(e.Name()) {
			continue
		}
		c, err := p.certificate(filepath.Join(l.archive, e.Name()))
		if err != nil {
			return 0, err
		}
		if c.NotBefore.After(since) {
			count++
		}
	}
	return count, nil
}

// hooks are the scripts of certbot's own folder of that kind: all that can be
// executed and do not end in ~, as certbot takes them.
func (p place) hooks(kind string) []string {
	dir := filepath.Join(p.config(), "renewal-hooks", kind)
	entries, err := os.ReadDir(p.at(dir))
	if err != nil {
		return nil // certbot makes the folder when it first runs
	}
	var list []string
	for _, e := range entries {
		info, err := os.Stat(p.at(filepath.Join(dir, e.Name())))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !strings.HasSuffix(e.Name(), "~") {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(list)
	return list
}

// hooksOf are all hooks of a kind that a renewal of the certificate runs.
func (p place) hooksOf(l lineage, kind string) []string {
	var list []string
	if !l.directoryHooksOff {
		list = p.hooks(kind)
	}
	own := map[string]string{"pre": l.pre, "post": l.post, "deploy": l.deploy}[kind]
	if own != "" && !slices.Contains(list, own) {
		list = append(list, own)
	}
	return list
}
