package cli

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// TestWhatTheProgramSaysOfItsFaultsHoldsNoSecret: in its log, and where a
// command complains.
func TestWhatTheProgramSaysOfItsFaultsHoldsNoSecret(t *testing.T) {
	const secret = `hunter2/"x"&y`
	var out strings.Builder
	p := &program{Program: Program{Stderr: &out}}
	p.redact.Add(secret)
	for name, say := range map[string]func(error){
		"log":       func(err error) { p.logTo(&out).Warn("a failure", "error", err) },
		"complaint": p.complain,
		"hint":      func(err error) { p.complain(&exit{exitData, errors.New("a failure"), err.Error()}) },
	} {
		for _, form := range []string{secret, url.PathEscape(secret), `hunter2%2f%22x%22&y`} {
			out.Reset()
			say(errors.New("asking with " + form + " failed"))
			if got := out.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, "[redacted] failed") {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}
