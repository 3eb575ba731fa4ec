package checks

import "time"

// OldRows is one entry under "archive" or "purge": rows of a table that are to
// leave it when they are old enough.
type OldRows struct {
	Name      string
	Table     string        // with its schema where the name alone is not enough
	Into      string        // the archive's table; "" under purge
	Column    string        // the instant by which a row is old; "created_at" if the file names none
	Where     string        // purge: a condition in SQL that a row must meet as well; "" for none
	OlderThan time.Duration // at least a day
	Origin    string
}
