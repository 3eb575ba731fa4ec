package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/advanced-lms/opsdeck/checks"
)

// answered reports whether the error is what the server said, not what became
// of the way to it.
func answered(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && !errors.Is(err, redis.Nil)
}

// explain names the class of a driver's error.
func (s *Server) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return checks.Failed(classOf(err), "redis %s: %w", s.name, err)
}

func classOf(err error) checks.Class {
	if answered(err) {
		return classOfAnswer(err)
	}
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return checks.DNS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return checks.Timeout
	case errors.Is(err, fs.ErrPermission):
		return checks.Denied
	case goneAway(err):
		return checks.Refused
	}
	return "" // the Runner knows TLS errors and the rest
}

func classOfAnswer(err error) checks.Class {
	switch {
	case redis.IsAuthError(err), redis.HasErrorPrefix(err, "AUTH"): // "ERR AUTH <password> called without any password configured"
		return checks.Auth
	case redis.IsPermissionError(err), redis.HasErrorPrefix(err, "DENIED"): // protected mode
		return checks.Denied
	case redis.IsLoadingError(err), redis.IsMasterDownError(err):
		return checks.NoData
	case redis.IsMaxClientsError(err):
		return checks.Refused
	}
	return checks.Other
}

// goneAway reports that there is nobody to talk to: the port is closed, the
// socket's file is gone as after a shutdown, the line was cut.
func goneAway(err error) bool {
	for _, gone := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EHOSTUNREACH, syscall.ENETUNREACH, fs.ErrNotExist, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// down reports whether an error of use means that the server is not there for
// anybody, as opposed to not for us.
func down(err error) bool {
	class := checks.ClassOf(err)
	return class == checks.Refused || class == checks.Timeout
}

// missing is the error of an INFO that lacks a field.
func (s *Server) missing(field string) error {
	return checks.Failed(checks.Parse, "redis %s: INFO has no usable %s", s.name, fmt.Sprintf("%q", field))
}
