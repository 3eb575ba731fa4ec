// Package runbooks is what is to be done and what was done: documents with
// sections and items, and runs, which are walks through one section.
//
// Read runbook.go and item.go for the document, event.go and run.go for a run,
// session.go for driving one. A Run is a fold over Events: Run.Apply is the
// only way a state changes, and it refuses illegal transitions. Computed states
// (blocked, ready, stale, overdue) are never stored; see computed.go. A Session
// drives one run; Local does it in this process, writing every event through a
// Journal before anybody sees its effect.
//
// The package knows checks. It knows no screen, no database driver and no
// Markdown: package markdown makes Runbooks, package journal keeps Events.
package runbooks
