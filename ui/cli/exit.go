package cli

import (
	"errors"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// The exit codes beyond those of levels (0 ok, 1 warn, 2 crit, 3 unknown),
// after sysexits.h.
const (
	exitUsage    = 64 // a flag or an argument is wrong
	exitData     = 65 // a runbook or a site file is wrong
	exitInternal = 70 // a bug of ours
	exitState    = 73 // the state directory cannot be written
)

// An exit is an error with the exit code it deserves and, where there is one,
// a hint on its own line. A nil err exits silently: the output said it all.
type exit struct {
	code int
	err  error
	hint string
}

// Error is the wrapped error's text.
func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// Unwrap gives the wrapped error.
func (e *exit) Unwrap() error { return e.err }

// usage is an error about what was typed.
func usage(hint, format string, a ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, a...), hint}
}

// refusal ends a command that was given a file it cannot take; if somebody else
// could have written it, the remedy stands in the hint.
func refusal(err error) error {
	var refused *owner.Refusal
	if errors.As(err, &refused) {
		return &exit{exitData, errors.New(refused.Cause()), refused.Remedy}
	}
	return &exit{exitData, err, ""}
}

// verdict ends a command whose output already tells the level.
func verdict(l checks.Level) error {
	if l.ExitCode() == 0 {
		return nil
	}
	return &exit{code: l.ExitCode()}
}

// codeOf is the exit code of a command's error.
func codeOf(err error) int {
	var e *exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	}
	return exitInternal
}
