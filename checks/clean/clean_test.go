package clean

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"
)

func TestWhatCouldMoveACursorBecomesAMark(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain text stays", "GET /health 200", "GET /health 200"},
		{"letters of the world stay", "Zürich 東京 Ελλάδα", "Zürich 東京 Ελλάδα"},
		{"escape", "\x1b[2Jgone", "^[[2Jgone"},
		{"operating system command", "\x1b]52;c;AAAA\x07", "^[]52;c;AAAA^G"},
		{"carriage return", "real\rfake", "real^Mfake"},
		{"backspace and bell", "a\b\a", "a^H^G"},
		{"delete and nul", "\x7f\x00", "^?^@"},
		{"raw C1 control", "\x9b31m", `\x9B31m`},
		{"C1 control as UTF-8", "\u009b31m", "<U+009B>31m"},
		{"next line", "a\u0085b", "a<U+0085>b"},
		{"bidirectional override", "\u202egpj.exe", "<U+202E>gpj.exe"},
		{"bidirectional isolate", "\u2066x\u2069", "<U+2066>x<U+2069>"},
		{"zero width", "a\u200bb\u200d\ufeff", "a<U+200B>b<U+200D><U+FEFF>"},
		{"line and paragraph separators", "a\u2028b\u2029", "a<U+2028>b<U+2029>"},
		{"tags", "\U000e0041", "<U+E0041>"},
		{"private use", "\ue000", "<U+E000>"},
		{"soft hyphen", "co\u00adop", "co<U+00AD>op"},
		{"invisible filler", "\u3164", "<U+3164>"},
		{"variation selector", "a\ufe0f", "a<U+FE0F>"},
		{"invalid UTF-8", "a\xffb\xc3", `a\xFFb\xC3`},
		{"tabs and newlines", "a\tb\nc", `a    b\nc`},
		{"a flood of combining marks", "e" + strings.Repeat("\u0301", 50), "e" + strings.Repeat("\u0301", maxCombining)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Line(tt.in, 0); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLinesAreCutByCells(t *testing.T) {
	tests := []struct {
		in    string
		cells int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc..."},
		{"東京東京", 8, "東京東京"},
		{"東京東京京", 8, "東京..."},
		{"abcdef", 2, ".."},
		{"\x1b\x1b\x1b\x1b", 6, "^[^..."},
		{strings.Repeat("\x00", 1<<20), 10, "^@^@^@^..."},
	}
	for _, tt := range tests {
		if got := Line(tt.in, tt.cells); got != tt.want || Cells(got) > tt.cells {
			t.Errorf("Line(%.20q, %d) = %q, want %q", tt.in, tt.cells, got, tt.want)
		}
	}
}

func TestBlocksKeepNewlinesAndSayWhatIsMissing(t *testing.T) {
	if got, want := Block("one\ntwo\r\n", 0), "one\ntwo^M\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Block("ab東京", 4), "ab\n[6 bytes more]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31m\r\x07", "\u202e\u009b", "\xff\xfe", "東\u0301京", "a\x80b", "\U000e0001"} {
		f.Add(seed, 20)
	}
	f.Fuzz(func(t *testing.T, s string, cells int) {
		line := Line(s, cells%300)
		if !utf8.ValidString(line) {
			t.Fatalf("%q is not UTF-8", line)
		}
		for _, r := range line {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("control %U in %q", r, line)
			}
		}
		if again := Line(line, cells%300); again != line {
			t.Fatalf("not idempotent: %q becomes %q", line, again)
		}
		if cells%300 > 0 && Cells(line) > cells%300 {
			t.Fatalf("%q is %d cells wide, at most %d were asked for", line, Cells(line), cells%300)
		}
		block := Block(s, 4096)
		if strings.ContainsAny(block, "\r\x1b\x07\x08") || !utf8.ValidString(block) {
			t.Fatalf("block %q", block)
		}
	})
}

func TestNoOutputMovesTheCursorOfATerminal(t *testing.T) {
	for _, hostile := range []string{"\x1b[10;10Hx", "\x1b]0;title\x07x", "a\rb", "a\bb", "\x1bcx", "\u009b5Ax", "\x1b[?1049hx", "a\vb\fc", "\x1bP1$r\x1b\\x"} {
		line := Line(hostile, 0)
		screen := vt.NewEmulator(80, 5)
		if _, err := screen.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if at := screen.CursorPosition(); at.Y != 0 || at.X != Cells(line) {
			t.Errorf("%q leaves the cursor at %v, want column %d", line, at, Cells(line))
		}
	}
}

func BenchmarkLine(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"plain", strings.Repeat("2026-11-23 GET /health 200 12 ms ", 4)},
		{"mixed", strings.Repeat("2026-11-23 \x1b[31mZürich\x1b[0m ", 4)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			for b.Loop() {
				Line(bench.text, 120)
			}
		})
	}
}
