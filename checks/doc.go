// Package checks is the vocabulary of everything that can be found out or
// done: modules, their parameters and facts, the checks made of them, and the
// results that come of running a check.
//
// Read level.go, module.go and result.go first. A Module is a literal that
// reports facts and never a verdict; rules (package rule) judge the facts; a
// Check is a module bound to arguments and rules; Runner.Run is the only place
// that applies deadlines, recovers panics, limits concurrency, scrubs text and
// judges, and it has no error result, because failing to find out is itself a
// finding.
//
// The package imports no driver and knows nothing of runbooks or screens.
// Families of modules live in the folders below it, one module a file, and are
// joined by main.
package checks
