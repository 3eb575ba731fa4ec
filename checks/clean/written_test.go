package clean_test

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// TestWhatFilesAndShellsMakeOfASecretIsFound: signs that are doubled, and the
// backslashes of other languages than C and JSON.
func TestWhatFilesAndShellsMakeOfASecretIsFound(t *testing.T) {
	const secret = `Zq"k$w%Tr&7/bX9`
	r := clean.NewRedactor(secret)
	for name, replace := range map[string][]string{
		"CSV":                   {`"`, `""`},
		"docker compose":        {"$", "$$"},
		"systemd":               {"%", "%%"},
		"LDAP":                  {`"`, `\22`, "$", `\24`},
		"printf %b":             {`"`, `\042`, "Z", `\0132`},
		"JavaScript":            {`"`, `\u{22}`, "Z", `\u{5a}`},
		"Perl":                  {`"`, `\x{22}`, "&", `\x{000026}`},
		"Python, of every rune": {`"`, `\U00000022`},
	} {
		form := strings.NewReplacer(replace...).Replace(secret)
		if got := r.Redact("x " + form + " y"); got != "x "+clean.Redacted+" y" {
			t.Errorf("%s: %q became %q", name, form, got)
		}
	}
}
