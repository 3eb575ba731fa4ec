package logs

import "testing"

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
