package tlscert

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/advanced-lms/opsdeck/checks"
)

// Served is the certificate that a target serves now, whether or not a client
// would accept it, for others to compare with what should be served there.
// name is asked for; "" means the target's own host.
func Served(ctx context.Context, env checks.Env, target, name string) (*x509.Certificate, error) {
	if env.Dialer == nil {
		return nil, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	t, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	if name != "" {
		t.name = name
	}
	f := look(ctx, env, t, nil)
	switch {
	case len(f.chain) > 0:
		return f.chain[0], nil
	case f.err == nil:
		return nil, errors.New("it served no certificate")
	}
	return nil, f.err
}

// Host is the name or the address in a target; "" if it is none.
func Host(target string) string {
	t, err := parseTarget(target)
	if err != nil {
		return ""
	}
	return t.name
}
