package cli

import (
	"fmt"
	"slices"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// adHocPath is where the document of an ad hoc action says that it comes from.
const adHocPath = "ad-hoc.md"

// adHocModules are the actions that a pane may propose. Each shows its targets
// and refuses what must not be touched; nothing here runs a command or reaches
// what the site file does not name.
var adHocModules = []string{"pg.cancel", "pg.terminate", "pg.analyze", "pg.vacuum", "pg.reindex"}

// adHoc is the runbook of one action that a pane proposed.
func (p *program) adHoc(a runbooks.AdHoc) (runbooks.Runbook, error) {
	if !slices.Contains(adHocModules, a.Use) {
		return runbooks.Runbook{}, fmt.Errorf("%s is only done from a runbook", a.Use)
	}
	source, err := markdown.AdHoc(a)
	if err != nil {
		return runbooks.Runbook{}, err
	}
	book, problems := markdown.Parse(adHocPath, source, markdown.Options{Registry: p.registry, Layer: adHocPath})
	if markdown.HasErrors(problems) {
		return runbooks.Runbook{}, fmt.Errorf("%s cannot be begun: %s", a.Use, problems[0].Msg)
	}
	return book, nil
}

// adHocOf is the runbook of a document that a client brought, if it is that of
// an ad hoc action and nothing beside it. It comes from a pane, whatever path the
// client says: the record is not to name a file that nobody wrote.
func (p *program) adHocOf(source []byte) (runbooks.Runbook, bool) {
	book, problems := markdown.Parse(adHocPath, source, markdown.Options{Registry: p.registry, Layer: adHocPath})
	use, ok := markdown.IsAdHoc(book)
	return book, ok && !markdown.HasErrors(problems) && slices.Contains(adHocModules, use)
}
