package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// JSON writes the report for programs. What a terminal would act on, or would
// not show, is escaped, so that the file can be looked at too.
func JSON(w io.Writer, r Report) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	_, err := w.Write(visible(b.Bytes()))
	return err
}

// visible escapes the characters of a JSON document that are not plainly to be
// seen. Such are only ever inside its strings: encoding/json has escaped the
// controls below the space, and nothing but strings has any above the tilde.
func visible(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for _, r := range string(document) {
		if r < 0x7f || clean.Line(string(r), 0) == string(r) {
			out = append(out, string(r)...)
			continue
		}
		if high, low := utf16.EncodeRune(r); high != 0xfffd {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			continue
		}
		out = fmt.Appendf(out, `\u%04x`, r)
	}
	return out
}
