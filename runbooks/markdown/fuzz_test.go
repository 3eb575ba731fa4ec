package markdown

import (
	"bytes"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// FuzzParse: no panic; every diagnostic inside the file; no item that is not a
// task line; parsing the same bytes twice is the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(wellFormed))
	for _, w := range wrong {
		f.Add([]byte(w.source))
		f.Add([]byte(header + w.source))
	}
	f.Add([]byte(header + "> - [ ] quoted\n> ```yaml check\n> id: q\n> use: sys.disk\n> ```\n"))
	f.Add([]byte(header + "1. [ ] a\n   - [ ] b\n     ```yaml confirm\n     id: c\n     ```\n"))
	f.Add([]byte("\xef\xbb\xbf" + header + "- [ ] bom\n\t```yaml confirm\n\tid: tab\n\t```"))
	registry := catalogue(f)
	f.Fuzz(func(t *testing.T, source []byte) {
		book, diagnostics := Parse("fuzz.md", source, Options{Registry: registry})
		checkInside(t, source, diagnostics)
		tasks := 0
		for _, s := range book.Sections {
			tasks += len(s.Items)
			for _, it := range s.Items {
				checkItem(t, source, it)
			}
		}
		if boxes := bytes.Count(source, []byte("[ ]")) + bytes.Count(bytes.ToLower(source), []byte("[x]")); tasks > boxes {
			t.Fatalf("%d items from %d boxes", tasks, boxes)
		}
		again, _ := Parse("fuzz.md", source, Options{Registry: registry})
		if len(again.Sections) != len(book.Sections) || again.Hash != book.Hash {
			t.Fatal("the same bytes gave another runbook")
		}
	})
}

func checkInside(t *testing.T, source []byte, diagnostics []Diagnostic) {
	t.Helper()
	lines := strings.Split(string(source), "\n")
	for _, d := range diagnostics {
		if d.Line < 1 || d.Line > len(lines) || d.Col < 1 {
			t.Fatalf("%s lies outside the document of %d lines", d, len(lines))
		}
		if d.Code == "" || d.Msg == "" {
			t.Fatalf("an empty diagnostic: %+v", d)
		}
	}
}

func checkItem(t *testing.T, source []byte, it runbooks.Item) {
	t.Helper()
	line := strings.Split(string(source), "\n")[it.Line-1]
	if !strings.Contains(line, "[ ]") && !strings.Contains(strings.ToLower(line), "[x]") {
		t.Fatalf("item %q comes from %q, which is no task line", it.ID, line)
	}
	if it.ID == "" {
		t.Fatalf("the item in line %d has no id", it.Line)
	}
}

func TestHostileInputIsRefusedBeforeAnyParser(t *testing.T) {
	for name, source := range map[string]string{
		"size":         strings.Repeat("a\n", maxSize),
		"long line":    strings.Repeat("a", maxLine+1),
		"quotes":       strings.Repeat(">", 100_000),
		"links":        strings.Repeat("[a](\n", 20_000),
		"brackets":     strings.Repeat("[\n", 30_000),
		"emphasis":     strings.Repeat("*a ", 2500),
		"deep list":    strings.Repeat("- ", 300) + "x",
		"indentation":  strings.Repeat(" ", 400) + "- x",
		"invalid":      "a\xff",
		"many items":   header + strings.Repeat("- [ ] a\n", maxItems+1),
		"yaml keys":    header + "- [ ] a\n```yaml check\n" + strings.Repeat("a: b\n", 1000) + "```\n",
		"yaml nesting": header + "- [ ] a\n```yaml check\na: " + strings.Repeat("[", 2000) + "\n```\n",
		"yaml bomb":    header + "- [ ] a\n```yaml check\na: &a [x]\nb: [*a, *a]\n```\n",
	} {
		_, diagnostics := parsed(t, source)
		if !HasErrors(diagnostics) {
			t.Errorf("%s: accepted", name)
		}
		checkInside(t, []byte(source), diagnostics)
	}
}
