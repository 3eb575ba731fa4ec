package site

import (
	"strings"
	"testing"
)

// TestNoProblemShowsAResolvedSecret: an error quotes what it could not parse,
// and a quote escapes.
func TestNoProblemShowsAResolvedSecret(t *testing.T) {
	const secret = `hunter2/"x"&y`
	r := newReader("opsdeck.yaml", []byte("site: lms\n"), nil)
	r.secrets = []string{secret, "abc"}
	for _, form := range []string{secret, `hunter2/\"x\"&y`, `hunter2%2f%22x%22&y`, "hunter2/&quot;x&quot;&amp;y"} {
		r.problems = nil
		r.add(Problem{Line: 1, Col: 1, Severity: Error, Code: codeSyntax, Msg: "cannot parse " + form, Hint: "not " + form + " abc"})
		if got := r.problems[0]; strings.Contains(got.Msg+got.Hint, "hunter2") || got.Msg != "cannot parse [redacted]" || got.Hint != "not [redacted] [redacted]" {
			t.Errorf("%q: %q, %q", form, got.Msg, got.Hint)
		}
	}
}
