package clean_test

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

func TestASecretIsFoundWhereverTheWritesDivideIt(t *testing.T) {
	const secret = "hunter2-and-more"
	text := "before " + secret + " after\n\x1b[31mred\x1b[0m " + strings.Repeat("x", 70<<10) + secret + strings.Repeat("y", 70<<10) + "\nlast " + secret
	for _, size := range []int{1, 7, 1000, 64 << 10, len(text)} {
		var out strings.Builder
		w := clean.NewWriter(&out, clean.NewRedactor(secret))
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if strings.Contains(got, "hunter2") || strings.ContainsRune(got, 0x1b) {
			t.Errorf("writes of %d let it through", size)
		}
		if strings.Count(got, "[redacted]") != 3 || !strings.HasPrefix(got, "before ") || strings.Count(got, "x") < 70<<10 {
			t.Errorf("writes of %d: %d marks in %d bytes", size, strings.Count(got, "[redacted]"), len(got))
		}
	}
}
