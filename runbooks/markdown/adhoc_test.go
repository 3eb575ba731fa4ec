package markdown

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

func terminate(title string, reason string) runbooks.AdHoc {
	return runbooks.AdHoc{Use: "pg.terminate", Title: title, With: map[string]any{"sessions": []string{"4711@2026-11-23T02:52:01.123456Z"}, "reason": reason}}
}

// parsedAdHoc reads a document with a module to end sessions in the catalogue.
func parsedAdHoc(t *testing.T, source string) (runbooks.Runbook, []Diagnostic) {
	t.Helper()
	terminate := &checks.Module{
		Name: "pg.terminate", Doc: "Ends sessions", Run: nothingToDo, Preview: nothingToDo, Probe: nothingToDo, Effect: checks.Destructive, Danger: 2,
		Params: []checks.Param{{Name: "sessions", Type: checks.TextsParam, Doc: "which"}, {Name: "reason", Type: checks.TextParam, Doc: "why"}},
		Facts:  []fact.Spec{{Name: "left", Type: fact.Count, Worse: fact.Higher}},
	}
	registry, err := checks.NewRegistry(checks.Family{Name: "test", Modules: []*checks.Module{terminate}})
	if err != nil {
		t.Fatal(err)
	}
	return Parse("ad-hoc.md", []byte(source), Options{Registry: registry})
}

func TestAValueThatWouldBeReadAsAVariableIsRefused(t *testing.T) {
	if _, err := AdHoc(terminate("x", "${api}")); err == nil {
		t.Error("it was written")
	}
}

func TestAnAdHocActionIsADocumentOfOneItem(t *testing.T) {
	for _, evil := range []string{"plain", "# heading\n- [ ] another", "```yaml action", "a: {b: c}", "ends with \\", "\x1b]0;x\x07", "- [x] done", "'\"\n---\n", "[link](http://x)", "trailing  ", "two  blanks", "of public.audit_logs", "_it_ __is__ a_ _b"} {
		a := terminate("terminate pid 4711 "+evil, evil)
		source, err := AdHoc(a)
		if err != nil {
			t.Fatal(err)
		}
		book, problems := parsedAdHoc(t, string(source))
		if HasErrors(problems) {
			t.Errorf("%q: %v\n%s", evil, problems, source)
			continue
		}
		if len(book.Sections) != 1 || len(book.Sections[0].Items) != 1 {
			t.Errorf("%q became %d sections:\n%s", evil, len(book.Sections), source)
			continue
		}
		it := book.Sections[0].Items[0]
		if it.Use != "pg.terminate" || it.Kind != runbooks.Action || it.With["reason"] != evil {
			t.Errorf("%q: %s %s %q", evil, it.Kind, it.Use, it.With["reason"])
		}
		if evil == "of public.audit_logs" && !strings.HasSuffix(it.Title, evil) {
			t.Errorf("the title is %q", it.Title)
		}
		if use, ok := IsAdHoc(book); !ok || use != "pg.terminate" {
			t.Errorf("%q: what AdHoc wrote is not recognised:\n%s", evil, source)
		}
	}
}

func TestAChangedAdHocDocumentIsNotOne(t *testing.T) {
	source, err := AdHoc(terminate("terminate pid 4711", "it is stuck"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"a second item": func(s string) string { return s + "\n- [ ] and this\n" },
		"a rule":        func(s string) string { return strings.Replace(s, `"use":`, `"fail": "left > 9", "use":`, 1) },
		"prose":         func(s string) string { return s + "\nprose\n" },
		"a window":      func(s string) string { return strings.Replace(s, "schema: 1", "schema: 1\nowner: eve", 1) },
	} {
		book, _ := parsedAdHoc(t, change(string(source)))
		if _, ok := IsAdHoc(book); ok {
			t.Errorf("%s was taken for an ad hoc action", name)
		}
	}
}

func TestTheSameAdHocActionIsTheSameSectionAndAnotherIsAnother(t *testing.T) {
	id := func(a runbooks.AdHoc) string {
		source, err := AdHoc(a)
		if err != nil {
			t.Fatal(err)
		}
		book, _ := parsedAdHoc(t, string(source))
		return book.Sections[0].ID
	}
	first := id(terminate("x", "why"))
	if again := id(terminate("x", "why")); again != first {
		t.Errorf("%s and %s", first, again)
	}
	if other := id(terminate("x", "why else")); other == first || !strings.HasPrefix(other, "pg-terminate-") {
		t.Errorf("%s and %s", first, other)
	}
}
