package clean

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// listedForms is redaction by a list of the forms that Go's own encoders give:
// what the search by decoding is measured against.
func listedForms(secrets ...string) func(string) string {
	var forms []string
	for _, s := range secrets {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
			strings.ReplaceAll(s, `'`, `'\''`), strings.ReplaceAll(s, `'`, `''`), strings.Trim(string(quoted), `"`))
		for shift := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				encoded := enc.EncodeToString(append(make([]byte, shift), s...))
				forms = append(forms, encoded[shift+shift%2:len(encoded)-1])
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	forms = slices.Compact(forms)
	return func(text string) string {
		for _, form := range forms {
			if strings.Contains(text, form) {
				text = strings.ReplaceAll(text, form, Redacted)
			}
		}
		return shapeless(text)
	}
}

// BenchmarkRedact prints how long the search by decoding takes as a share of
// the search for listed forms, for the same texts in the same run.
func BenchmarkRedact(b *testing.B) {
	line := "2026-11-23 09:12:44.120 UTC [4711] lms@lms LOG:  duration: 12.4 ms  statement: SELECT id, name FROM courses WHERE term = 7\n"
	texts := []struct{ name, text string }{
		{"line", line},
		{"lines", strings.Repeat(line, 500)},
		{"words", strings.Repeat("the restore went on for a while and then it was done, all tables are there. ", 800)},
		{"markers", strings.Repeat(`10.0.0.1 - - "GET /courses?q=a%20b&amp;x=1 HTTP/1.1" 200 {"path": "C:\\lms", "t": "\u00e4"}`+"\n", 500)},
	}
	for _, count := range []int{1, 5, 20} {
		var secrets []string
		for i := range count {
			secrets = append(secrets, fmt.Sprintf("%c7r0ub4d%dor&3x", 'A'+i, i))
		}
		before, now := listedForms(secrets...), NewRedactor(secrets...)
		for _, text := range texts {
			b.Run(fmt.Sprintf("%s/%d secrets", text.name, count), func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				var was, is time.Duration
				for b.Loop() {
					began := time.Now()
					before(text.text)
					between := time.Now()
					now.Redact(text.text)
					was, is = was+between.Sub(began), is+time.Since(between)
				}
				b.ReportMetric(float64(is)/float64(was), "of-before")
			})
		}
	}
}
