package clean

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Redacted is what stands where a secret was.
const Redacted = "[redacted]"

// minSecret is the shortest value that is looked for: shorter ones occur in
// any text by chance, and would turn it into holes.
const minSecret = 6

// shapes are secrets known by their form. Each has one group: what stays.
var shapes = []*regexp.Regexp{
	regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/]+@`),
	regexp.MustCompile(`(?i)(https?://)[^\s/@:]+@`), // a token where a user's name would stand
	regexp.MustCompile(`(?i)(\bauthorization["']?\s*[:=]\s*["']?(?:[a-z][\w-]*\s+)?)[^\s"',;]+`),
	regexp.MustCompile(`(?i)(\b(?:set-)?cookie["']?\s*:\s*)[^\r\n]+`),
	regexp.MustCompile(`(?i)([\w-]*(?:password|passwd|pass[_-]?phrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|token)["']?\s*(?:=>|[:=])\s*)(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"',;&)]+)`),
	regexp.MustCompile(`(?i)((?:^|\s)--?(?:[\w-]*(?:password|passwd|secret|token|api-key))\s+)\S+`),
	regexp.MustCompile(`(?i)(\b(?:password|identified\s+by)\s+)'[^']*'`), // ALTER USER … PASSWORD '…'
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`),
	regexp.MustCompile(`()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`),
	regexp.MustCompile(`()\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}`),
	regexp.MustCompile(`()\b(?:xox[abprs]-|sk_live_|rk_live_|glpat-)[A-Za-z0-9-]{10,}`),
}

// withAt are the shapes whose match ends with the @ of an address.
const withAt = 2

// hints are substrings without which no shape can match: most text has none
// and is not looked at again.
var hints = []string{"://", "uthorization", "UTHORIZATION", "assw", "ASSW", "hrase", "HRASE", "pwd", "PWD", "Pwd", "ecret", "ECRET",
	"key", "Key", "KEY", "oken", "OKEN", "ookie", "OOKIE", "dentified", "DENTIFIED", "PRIVATE KEY", "eyJ", "AKIA", "ASIA", "gh", "xox", "_live_", "glpat"}

// A Redactor removes secrets from text: those it was given, and those it knows
// by shape. It is safe for concurrent use; the zero Redactor knows shapes only.
//
// A secret is found as it is, with its quotes doubled or left as sh, Python and
// SQL do it, and under at most two encodings, one inside the other: percent,
// the backslashes of JSON, C and a shell, HTML entities, base64 of both
// alphabets and hex, these two with line breaks in them. It does not matter
// which of the bytes are escaped, nor where in a longer base64 or hex text the
// secret begins; of such a text every line goes that holds a part of the
// secret. Other transformations that a program invents are not found.
type Redactor struct {
	mu      sync.RWMutex
	secrets []string
	values  *values // of the secrets; nil if there are none
}

// NewRedactor makes a Redactor that knows the given secrets.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{}
	r.Add(secrets...)
	return r
}

// Add makes more secrets known. Values shorter than six characters are
// ignored: a site file with such a password is told so.
func (r *Redactor) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= minSecret && !slices.Contains(r.secrets, s) {
			r.secrets = append(r.secrets, s)
		}
	}
	r.values = newValues(r.secrets) // a search that runs now goes on with the old ones
}

// Redact replaces every secret it knows.
func (r *Redactor) Redact(text string) string {
	if v := r.known(); v != nil {
		text = without(text, search{values: v}.scan(text, layers, false).hits)
	}
	return shapeless(text)
}

func (r *Redactor) known() *values {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.values
}

// shapeless is a text without what has the shape of a secret.
func shapeless(text string) string {
	if !hinted(text) {
		return text
	}
	for i, shape := range shapes {
		with := "${1}" + Redacted
		if i < withAt {
			with += "@"
		}
		text = shape.ReplaceAllString(text, with)
	}
	return text
}

func hinted(text string) bool {
	for _, h := range hints {
		if strings.Contains(text, h) {
			return true
		}
	}
	return false
}
