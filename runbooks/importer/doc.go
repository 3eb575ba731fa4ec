// Package importer turns a maintenance guide as people write them, a Markdown
// document of headings, command blocks and bullet lists, into a runbook: every
// task becomes an item, with the guide's own commands as reference text that is
// never executed. It says what it saw on the way: limits, facts that stand in
// several places, places that contradict each other, placeholders, sections
// that the guide's own contents list forgets, and bytes that were mis-decoded.
//
// It decides nothing: an imported item is done by hand until its owner gives it
// a block. It knows Markdown and the words of the trade, no modules and no sites.
//
// Read import.go for what comes out, scan.go and tasks.go for how it is found.
package importer
