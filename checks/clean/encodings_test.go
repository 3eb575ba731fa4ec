package clean_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// An encoding writes a text as some program does.
type encoding struct {
	name   string
	encode func(string) string
}

// encodings are what a secret may be written in. Those of one kind stand one
// behind the other: each is what another program makes of it.
var encodings = []encoding{
	{"percent, Go's query", url.QueryEscape},
	{"percent, Go's path", url.PathEscape},
	{"percent, encodeURIComponent", encodeURIComponent},
	{"percent, lower case", func(s string) string { return lowerEscapes(encodeURIComponent(s)) }},
	{"percent, every byte", func(s string) string { return eachByte(s, "%%%02x") }},
	{"percent, escape()", legacyEscape},
	{"JSON, Go's", func(s string) string { return jsonOf(s, true) }},
	{"JSON, & as it is", func(s string) string { return jsonOf(s, false) }},
	{"JSON, PHP's", func(s string) string { return asciiOnly(strings.ReplaceAll(jsonOf(s, false), "/", `\/`)) }},
	{"JSON, every letter", func(s string) string { return eachUnit(s, `\u%04x`) }},
	{"C, hex", func(s string) string { return eachByte(s, `\x%02x`) }},
	{"C, octal", func(s string) string { return eachByte(s, `\%03o`) }},
	{"shell, what is special", func(s string) string {
		return shellEscape(s, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	}},
	{"shell, every letter", func(s string) string { return shellEscape(s, func(rune) bool { return true }) }},
	{"HTML, Go's", html.EscapeString},
	{"HTML, names", strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "ä", "&auml;", "/", "&sol;").Replace},
	{"HTML, decimal", func(s string) string { return eachRune(s, "&#%d;") }},
	{"HTML, hex", func(s string) string { return eachRune(s, "&#x%X;") }},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64 of URLs, no padding", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
	{"base64, behind one byte", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(":" + s + "@")) }},
	{"base64, behind two bytes", func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("u:" + s + "\n")) }},
	{"base64 in lines", func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 12, "\n") }},
	{"base64 in indented lines", func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 9, "\r\n    ") }},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
	{"hex, upper case", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }},
	{"hex in lines", func(s string) string { return wrapped(hex.EncodeToString([]byte(s)), 10, "\n") }},
}

func encodeURIComponent(s string) string {
	kept := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")
	return kept.Replace(url.QueryEscape(s))
}

func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:], strings.ToLower(s[i:i+3]))
		}
	}
	return string(b)
}

func jsonOf(s string, escapeHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

func asciiOnly(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 {
			b.WriteRune(c)
		} else {
			b.WriteString(eachUnit(string(c), `\u%04x`))
		}
	}
	return b.String()
}

// legacyEscape is JavaScript's escape for what is not ASCII, with %uXXXX.
func legacyEscape(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		switch {
		case unit > 0x7f:
			fmt.Fprintf(&b, "%%u%04X", unit)
		case unit >= 'a' && unit <= 'z':
			b.WriteByte(byte(unit))
		default:
			fmt.Fprintf(&b, "%%%02X", unit)
		}
	}
	return b.String()
}

func eachByte(s, form string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, form, s[i])
	}
	return b.String()
}

func eachUnit(s, form string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, form, unit)
	}
	return b.String()
}

func eachRune(s, form string) string {
	var b strings.Builder
	for _, c := range s {
		fmt.Fprintf(&b, form, c)
	}
	return b.String()
}

func shellEscape(s string, special func(rune) bool) string {
	var b strings.Builder
	for _, c := range s {
		if special(c) && c != '\n' {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func wrapped(s string, width int, lineBreak string) string {
	var lines []string
	for line := range slices.Chunk([]byte(s), width) {
		lines = append(lines, string(line))
	}
	return strings.Join(lines, lineBreak)
}

var (
	anySecret = rapid.Custom(func(t *rapid.T) string {
		return rapid.StringOfN(rapid.SampledFrom([]rune("abcXYZ0189 /+=&%\\\"'<>;#ä€😀-_u\n")), 6, 40, -1).Draw(t, "secret")
	})
	anyEncoding = rapid.SampledFrom(encodings)
	// anyText has markers of every kind, and no shape of a secret.
	anyText = rapid.StringOfN(rapid.SampledFrom([]rune("efgh 0189 /+=&%\\\"'<>;,.\n\tü")), 0, 60, -1)
)

// same reports whether a text is one for an encoding that does not keep its own
// form: a secret of blanks and + alone, for instance.
func contained(secret string, texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

func TestASecretInAnyTwoEncodingsGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret, inner, outer := anySecret.Draw(t, "secret"), anyEncoding.Draw(t, "inner"), anyEncoding.Draw(t, "outer")
		before, after := anyText.Draw(t, "before"), anyText.Draw(t, "after")
		r := clean.NewRedactor(secret)
		within := before + " " + inner.encode(secret) + " " + after // a sign of %, \ or & right before it would read on into it
		for _, form := range []string{secret, inner.encode(secret), outer.encode(inner.encode(secret)), outer.encode(within)} {
			got := r.Redact(before + " " + form + " " + after)
			if !strings.Contains(got, clean.Redacted) || contained(form, got) {
				t.Fatalf("%s in %s: %q holds %q, and became %q", inner.name, outer.name, form, secret, got)
			}
		}
	})
}

func TestEveryPairOfEncodingsIsFound(t *testing.T) {
	const secret = `Tr0ub4dor&3 "/ä😀'<x\y%41`
	r := clean.NewRedactor(secret)
	for _, inner := range encodings {
		for _, outer := range encodings {
			form := outer.encode(inner.encode(secret))
			got := r.Redact("before: " + form + " :after")
			if !strings.HasPrefix(got, "before: "+clean.Redacted) || !strings.HasSuffix(got, " :after") {
				t.Errorf("%s in %s: %q became %q", inner.name, outer.name, form, got)
			}
			if again := r.Redact(got); again != got {
				t.Errorf("not idempotent: %q becomes %q", got, again)
			}
		}
	}
}

func TestATextWithoutTheSecretStaysAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := "Q" + anySecret.Draw(t, "secret") + "Q" // no text below has a Q
		inner, outer := anyEncoding.Draw(t, "inner"), anyEncoding.Draw(t, "outer")
		text := anyText.Draw(t, "text")
		text += outer.encode(inner.encode(anyText.Draw(t, "other")))
		if got := clean.NewRedactor(secret).Redact(text); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestAStreamedSecretIsFoundWhereverTheWritesDivideIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret, inner, outer := anySecret.Draw(t, "secret"), anyEncoding.Draw(t, "inner"), anyEncoding.Draw(t, "outer")
		form := outer.encode(inner.encode(secret))
		text := anyText.Draw(t, "before") + " " + form + " " + anyText.Draw(t, "after")
		var out strings.Builder
		w := clean.NewWriter(&out, clean.NewRedactor(secret))
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "write")
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, clean.Redacted) {
			t.Fatalf("%s in %s: %q came through as %q", inner.name, outer.name, text, got)
		}
		// A last line of padding alone may have gone through before its run was known
		// to hold the secret: it is shorter than what is looked into, and holds nothing.
		const padding = len("33643364^M")
		if want := clean.Block(clean.NewRedactor(secret).Redact(text), 0); lettersLeft(out.String()) > lettersLeft(want)+padding {
			t.Fatalf("%q came through as %q, not as %q", text, out.String(), want)
		}
	})
}

// lettersLeft is how much of a text is neither mark nor blank.
func lettersLeft(text string) int {
	return len(strings.Join(strings.Fields(strings.ReplaceAll(text, clean.Redacted, " ")), ""))
}

func TestWhatOtherProgramsWriteIsFound(t *testing.T) {
	const secret = `s3cr&t/pä ss"word`
	r := clean.NewRedactor(secret)
	for name, form := range map[string]string{
		"percent in lower case":    `s3cr%26t%2fp%c3%a4%20ss%22word`,
		"JSON with an escaped /":   `s3cr&t\/pä ss\"word`,
		"JSON of ASCII":            `s3cr&t/p\u00e4 ss\"word`,
		"a shell's backslashes":    `s3cr\&t/pä\ ss\"word`,
		"HTML":                     `s3cr&amp;t/p&auml; ss&#34;word`,
		"encodeURIComponent":       `s3cr%26t%2Fp%C3%A4%20ss%22word`,
		"a form":                   `s3cr%26t%2Fp%C3%A4+ss%22word`,
		"base64 over lines":        "czNjciZ0L3\nDDpCBzcyJ3\nb3Jk",
		"only one byte escaped":    `s3cr&t/p%C3%A4 ss"word`,
		"in both cases":            `s3cr%26t%2fp%C3%a4%20ss"word`,
		"percent of JSON":          `s3cr%26t%5c%2fp%5Cu00e4%20ss%5c%22word`,
		"base64 of JSON":           base64.StdEncoding.EncodeToString([]byte(`{"p":"s3cr\u0026t\/p\u00e4 ss\"word"}`)),
		"base64 of base64":         base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("u:" + secret)))),
		"base64 in a path":         "/v1/" + base64.URLEncoding.EncodeToString([]byte(secret)) + "/x",
		"base64 in a data URL":     "data:text/plain;base64," + base64.StdEncoding.EncodeToString([]byte("a"+secret)),
		"padding in percent":       url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		"base64 lines in JSON":     strings.ReplaceAll(wrapped(base64.StdEncoding.EncodeToString([]byte(secret)), 8, "\n"), "\n", `\n`),
		"bytea of PostgreSQL":      `\x` + hex.EncodeToString([]byte(secret)),
		"hex with an odd neighbor": "0xa" + hex.EncodeToString([]byte(secret)),
	} {
		if got := r.Redact("x " + form + " y"); !strings.Contains(got, clean.Redacted) {
			t.Errorf("%s: %q became %q", name, form, got)
		}
	}
}

func TestManyBackslashesTakeNoLongTime(t *testing.T) {
	r := clean.NewRedactor(strings.Repeat(`\`, 40)+"x", strings.Repeat("%25", 12)+"x")
	text := strings.Repeat(`\`, 5000) + strings.Repeat("%25", 2000) + strings.Repeat("&amp;", 2000)
	if got := r.Redact(text); got != text {
		t.Errorf("%d bytes became %d", len(text), len(got))
	}
}

func FuzzEncodings(f *testing.F) {
	f.Add(`Tr0ub4dor&3 "x"`, "before ", " after", uint8(0), uint8(20), uint16(9))
	f.Add("%25%41\\u00e4", "%", "&", uint8(6), uint8(1), uint16(0))
	f.Fuzz(func(t *testing.T, secret, before, after string, inner, outer uint8, at uint16) {
		if len(secret) < 6 || len(secret) > 200 || len(before)+len(after) > 4000 || strings.ToValidUTF8(secret, "") != secret {
			t.Skip()
		}
		in, out := encodings[int(inner)%len(encodings)], encodings[int(outer)%len(encodings)]
		r := clean.NewRedactor(secret)
		form := out.encode(in.encode(secret))
		text := before + " " + form + " " + after
		if got := r.Redact(text); strings.Contains(got, form) {
			t.Fatalf("%s in %s: %q is still in %q", in.name, out.name, form, got)
		}
		var streamed strings.Builder
		w := clean.NewWriter(&streamed, r)
		cut := int(at) % (len(text) + 1)
		for _, part := range []string{text[:cut], text[cut:]} {
			if _, err := w.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := streamed.String(); clean.Block(form, 0) == form && strings.Contains(got, form) {
			t.Fatalf("%s in %s: %q is still in %q", in.name, out.name, form, got)
		}
	})
}
