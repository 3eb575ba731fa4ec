// Package journal keeps the events of runs so that nobody can change them
// quietly, and the metric history that checks compare with.
//
// Two files, because high-rate samples must not share a write-ahead log with
// evidence: journal.db holds the events, append-only, each with the hash of
// the one before it; history.db holds samples and may be deleted. Beside them
// lies head, the newest hash, as a witness outside the database: SQLite drops
// committed events without an error when its WAL is damaged, and a chain
// alone cannot see that its tail is missing.
//
// One process at a time writes, under a lock on a file of its own. Readers
// work on a private copy of the database and its WAL; nobody opens the live
// file by other means, since closing any descriptor of it would drop the
// writer's locks.
//
// Read journal.go first, then verify.go. The package knows events and bytes,
// not what they mean.
package journal
