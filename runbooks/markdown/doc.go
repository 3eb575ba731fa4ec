// Package markdown reads runbooks: a Markdown document with small strict YAML
// blocks becomes a runbooks.Runbook and a list of diagnostics.
//
// Read parse.go for the order of things: bounds.go looks at the bytes before
// any parser sees them, outline.go finds headings, items and fences, yaml.go
// reads one block into nodes with positions, block.go gives the nodes their
// meaning, bind.go asks the module catalogue, lint.go looks at the document as
// a whole. load.go joins the layers of runbooks on disk.
//
// Every problem is reported at once, each at its line and column in the
// Markdown file. A runbook with errors is never run. The package never writes
// to a document, and a fence that is not ours is text and nothing else.
package markdown
