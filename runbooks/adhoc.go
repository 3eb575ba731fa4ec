package runbooks

// An AdHoc is one guarded action that a person begins from what a pane shows,
// outside of any runbook on the shelf. It is walked like any other section: a
// document of one item is written for it, pinned, previewed, confirmed and
// recorded, so that the record does not depend on where a wish came from.
type AdHoc struct {
	Use        string         // module: "pg.terminate"
	Connection string         // "" means main
	Title      string         // one line, for the checklist and the history
	With       map[string]any // parameters: texts, numbers, booleans, lists of texts
}

// AdHocBook and AdHocItem are the ids that such a document gives itself and
// its item.
const (
	AdHocBook = "ad-hoc"
	AdHocItem = "do"
)
