// Package trust reads the authorities that a check believes: the system's and
// those of a file in PEM. It must not know checks' modules or targets.
package trust

import (
	"crypto/x509"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile bounds a file of authorities. The bundle of a whole distribution is
// a quarter of it.
const maxFile = 1 << 20

// Roots is the system's authorities and those of the file, which is optional:
// "" means the system's alone. It never waits for a named pipe.
func Roots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a host without authorities of its own
	}
	if file == "" {
		return pool, nil
	}
	pem, err := hostfs.Read(file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, checks.Failed(checks.Parse, "%s holds no certificate in PEM", file)
	}
	return pool, nil
}
