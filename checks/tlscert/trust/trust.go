// Package trust reads the authorities that a check believes: the system's and
// those of a file in PEM. It must not know checks' modules or targets.
package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
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
	pem, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, checks.Failed(checks.Parse, "%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// read returns a whole regular file, or nothing of it.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	content, err := regular(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return content, nil
}

func regular(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, checks.Failed(checks.Other, "not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = checks.Failed(checks.Limit, "more than %d MiB", maxFile>>20)
	}
	return content, err
}
