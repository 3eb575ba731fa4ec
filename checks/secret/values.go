package secret

import (
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Value is one value of a secret, for the family that sets it where it is
// checked. Nothing of it may be shown but File.
type Value struct {
	checks.Secret
	File     string // where it is
	Identity string // by which that file is known again
}

// New is the value that was made ahead of a rotation. The name is one under
// "secrets" of the site file.
func New(env checks.Env, name string) (Value, error) {
	e, err := entryOf(env, name)
	if err != nil {
		return Value{}, err
	}
	text, info, err := e.prepared()
	if err != nil {
		return Value{}, err
	}
	if text == "" {
		return Value{}, checks.Failed(checks.Missing, "secret %s has no new value: make one first (secret.generate)", name)
	}
	return Value{checks.NewSecret(text), e.New, identity(info)}, nil
}

// Current is the value that the environment file has now.
func Current(env checks.Env, name string) (Value, error) {
	e, err := entryOf(env, name)
	if err != nil {
		return Value{}, err
	}
	v, err := e.read()
	if err != nil {
		return Value{}, err
	}
	at, err := find(v.lines, e.Key)
	if err != nil {
		return Value{}, fmt.Errorf("%s: %w", e.File, err)
	}
	if at < 0 || v.lines[at].value() == "" {
		return Value{}, checks.Failed(checks.Missing, "%s does not set %s", e.File, e.Key)
	}
	return Value{checks.NewSecret(v.lines[at].value()), e.File, v.identity()}, nil
}
