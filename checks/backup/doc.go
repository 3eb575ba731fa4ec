// Package backup is the family of modules that make backup files and look at
// them: how old the newest one is, and whether it can be read to its end.
//
// Read set.go first: a set is opened as a directory that nothing leaves
// (symbolic links out of it are refused), its files are told apart from
// unfinished ones and put in order of age. fresh.go reports age; integrity.go
// reads the newest file as a restore would, down to the checksum and the last
// line of the dump.
//
// create.go makes a backup: plan.go looks at all that could speak against it,
// dump.go has pg_dump or the site's own script write it, draft.go gives only
// what is whole the name of a backup, and checksum.go records which action
// made it.
//
// The package does not move or delete backups, and a dump that it calls
// whole has not been restored: only pg.restore_test proves that.
package backup
