package clean

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

const planted = `Tr0ub4dor&3 "x"`

func TestASecretIsRemovedInEveryEncodingItTravelsIn(t *testing.T) {
	forms := map[string]string{
		"as it is":         planted,
		"in a query":       url.QueryEscape(planted),
		"in a path":        url.PathEscape(planted),
		"in JSON":          `Tr0ub4dor\u00263 \"x\"`,
		"in hex":           hex.EncodeToString([]byte(planted)),
		"in upper hex":     strings.ToUpper(hex.EncodeToString([]byte(planted))),
		"in base64":        base64.StdEncoding.EncodeToString([]byte(planted)),
		"in base64, after": base64.StdEncoding.EncodeToString([]byte("u:" + planted)),
		"in base64, amid":  base64.StdEncoding.EncodeToString([]byte("user:" + planted + "zz")),
		"in URL base64":    base64.RawURLEncoding.EncodeToString([]byte("abc" + planted)),
	}
	r := NewRedactor(planted)
	for name, form := range forms {
		got := r.Redact("before " + form + " after")
		if !strings.Contains(got, Redacted) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %q became %q", name, form, got)
		}
		if again := r.Redact(got); again != got {
			t.Errorf("%s: not idempotent: %q becomes %q", name, got, again)
		}
	}
}

func TestSecretsAreKnownByTheirShape(t *testing.T) {
	tests := []struct{ in, want string }{
		{"postgres://app:hunter22@db/x", "postgres://app:[redacted]@db/x"},
		{"connecting with password=hunter22 host=db", "connecting with password=[redacted] host=db"},
		{`{"password": "hun ter", "user": "a"}`, `{"password": [redacted], "user": "a"}`},
		{"Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"},
		{"ALTER USER app PASSWORD 'hunter22'", "ALTER USER app PASSWORD [redacted]"},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "[redacted]\nrest"},
		{"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl end", "jwt [redacted] end"},
		{"key AKIAIOSFODNN7EXAMPLE", "key [redacted]"},
		{"ghp_0123456789abcdefghij0123456789", "[redacted]"},
		{"PGPASSWORD=hunter22 psql", "PGPASSWORD=[redacted] psql"},
		{"the password was wrong", "the password was wrong"},
		{"GET https://lms.example.com/a:b@c", "GET https://lms.example.com/a:b@c"},
	}
	var r Redactor
	for _, tt := range tests {
		got := r.Redact(tt.in)
		if got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
		if again := r.Redact(got); again != got {
			t.Errorf("not idempotent: %q becomes %q", got, again)
		}
	}
}

func TestShortValuesAreNotSecrets(t *testing.T) {
	if got := NewRedactor("abc").Redact("abcdef"); got != "abcdef" {
		t.Errorf("got %q", got)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("before ", " after")
	f.Add("password=", "&x=1")
	f.Add("http://u:", "@host")
	r := NewRedactor(planted)
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := r.Redact(before + planted + after); strings.Contains(got, planted) {
			t.Fatalf("the secret is still in %q", got)
		}
	})
}
