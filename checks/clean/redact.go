package clean

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
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

// A Redactor removes secrets from text: those it was given, by value and in
// the encodings they commonly travel in, and those it knows by shape. It is
// safe for concurrent use; the zero Redactor knows shapes only.
//
// It promises the listed encodings, not transformations that a program
// invents.
type Redactor struct {
	mu     sync.RWMutex
	values []string // longest first, so that the longest form wins
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
	values := slices.Clone(r.values) // whoever redacts now goes on with the old ones
	for _, s := range secrets {
		if len(s) < minSecret {
			continue
		}
		values = append(values, encodings(s)...)
	}
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	r.values = slices.Compact(values)
}

// encodings lists the forms of a secret that are looked for.
func encodings(s string) []string {
	forms := []string{
		s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
		strings.ReplaceAll(s, `'`, `'\''`), strings.ReplaceAll(s, `'`, `''`),
	}
	if quoted, err := json.Marshal(s); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	for shift := range 3 {
		forms = append(forms, base64Core(s, shift, base64.StdEncoding), base64Core(s, shift, base64.URLEncoding))
	}
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < minSecret })
}

// base64Core is the part of a secret's base64 that does not depend on what
// stands around it, when it begins shift bytes into a group of three.
func base64Core(s string, shift int, enc *base64.Encoding) string {
	encoded := enc.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, shift), s...))
	start := []int{0, 2, 3}[shift]
	end := len(encoded)
	if (len(s)+shift)%3 != 0 {
		end--
	}
	if start >= end {
		return ""
	}
	return encoded[start:end]
}

// Redact replaces every secret it knows.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	values := r.values
	r.mu.RUnlock()
	for _, v := range values {
		if strings.Contains(text, v) {
			text = strings.ReplaceAll(text, v, Redacted)
		}
	}
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
