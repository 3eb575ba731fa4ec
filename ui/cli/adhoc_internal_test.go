package cli

import (
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// TestAnAdHocActionComesFromNoFile: who brings one to another's supervisor does
// not choose what the record calls its document.
func TestAnAdHocActionComesFromNoFile(t *testing.T) {
	registry, err := checks.NewRegistry(postgres.Family())
	if err != nil {
		t.Fatal(err)
	}
	p := &program{registry: registry}
	book := p.bookFor(&world{shelf: func() markdown.Shelf { return markdown.Shelf{} }})
	bring := func(use string, with map[string]any) (runbooks.Runbook, error) {
		source, err := markdown.AdHoc(runbooks.AdHoc{Use: use, Title: "it", With: with})
		if err != nil {
			t.Fatal(err)
		}
		return book("/etc/opsdeck/runbooks/daily.md\x1b[2J", source, runbooks.Hash{}, false)
	}
	got, err := bring("pg.vacuum", map[string]any{"tables": []string{"public.users"}})
	if err != nil || got.Path != adHocPath || got.Layer != adHocPath {
		t.Errorf("it comes from %q, layer %q: %v", got.Path, got.Layer, err)
	}
	if _, err := bring("pg.vacuum_full", map[string]any{"table": "public.users"}); err == nil {
		t.Error("an action that no pane proposes was taken")
	}
}
