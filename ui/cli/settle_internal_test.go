package cli

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// TestARenamedStateFolderIsNotTheNewSitesAndEndsNoCommand: it was moved to the
// name that another site's folder has.
func TestARenamedStateFolderIsNotTheNewSitesAndEndsNoCommand(t *testing.T) {
	p, root := settling(t)
	if err := p.settle(worldOfSite("prod")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "prod"), filepath.Join(root, "web")); err != nil {
		t.Fatal(err)
	}
	w := worldOfSite("web")
	if err := p.settle(w); err != nil || w.dir == filepath.Join(root, "web") {
		t.Errorf("web is settled in %s: %v", w.dir, err)
	}
}

// TestAFolderThatNoSiteCanBeGivenEndsTheCommand: what names its site cannot be
// read, and looking again changes nothing.
func TestAFolderThatNoSiteCanBeGivenEndsTheCommand(t *testing.T) {
	p, root := settling(t)
	if err := os.MkdirAll(filepath.Join(root, "web", "site"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := p.settle(worldOfSite("web"))
	var ended *exit
	var taken *journal.TakenError
	if !errors.As(err, &ended) || ended.code != exitState || !errors.As(err, &taken) {
		t.Errorf("it ended with %v", err)
	}
}

func settling(t *testing.T) (p *program, root string) {
	t.Helper()
	root = t.TempDir()
	p = &program{}
	p.flags.state, p.Env = root, os.Getenv
	return p, root
}

func worldOfSite(name string) *world {
	return &world{role: keeps, site: &site.Site{Name: name}, log: slog.New(slog.DiscardHandler)}
}
