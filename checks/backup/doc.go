// Package backup is the family of modules that look at backup files: how old
// the newest one is, and whether it can be read to its end.
//
// Read set.go first: a set is opened as a directory that nothing leaves
// (symbolic links out of it are refused), its files are told apart from
// unfinished ones and put in order of age. fresh.go reports age; integrity.go
// reads the newest file as a restore would, down to the checksum and the last
// line of the dump.
//
// The package does not make, move or delete backups, and a dump that it calls
// whole has not been restored: only pg.restore_test proves that.
package backup
