package logs

import (
	"strings"
	"testing"
)

func TestWordBytesAreLettersDigitsAndUnderscore(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		b := byte(i)
		want := b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '_'
		if isWord(b) != want {
			t.Errorf("isWord(%q) is %v", b, !want)
		}
	}
}

// TestALongLineIsCutBetweenWords: half a secret is one that nothing recognises.
func TestALongLineIsCutBetweenWords(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s", 100)
	got := clip(strings.Repeat("word ", 400) + secret + " and more")
	if strings.Contains(got, "sss") || !strings.HasSuffix(got, "word…") {
		t.Errorf("%q", got[len(got)-40:])
	}
	if got := clip(strings.Repeat("x", 3<<10)); got != "… (one word of 3 KiB)" {
		t.Errorf("%q", got)
	}
}
