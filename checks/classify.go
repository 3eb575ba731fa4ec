package checks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// classify names the class of an error that does not name its own.
func classify(err error) Class {
	if class := ClassOf(err); class != "" {
		return class
	}
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	var refused *owner.Refusal
	switch {
	case errors.As(err, &refused):
		return Denied
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.As(err, &dns):
		return DNS
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EPERM):
		return Denied
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return Missing
	case isTLS(err):
		return TLS
	}
	return Other
}

func isTLS(err error) bool {
	var (
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
	)
	return errors.As(err, &record) || errors.As(err, &verify) || errors.As(err, &authority) ||
		errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &alert)
}
