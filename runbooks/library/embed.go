// Package library holds the shipped runbooks: Markdown, embedded as it is.
// More are read from /etc/opsdeck/runbooks, the user's folder and --runbooks;
// one of the same id stands in front of a shipped one.
//
// To change what is checked, change the Markdown; no Go is needed.
package library

import "embed"

// FS holds the runbooks in its root.
//
//go:embed *.md
var FS embed.FS

// Layer is the name under which the shipped runbooks are listed.
const Layer = "shipped"
