// Package logs is the family of modules that read log files and the logs of
// containers: how many errors in the last hour, which patterns, how long
// nothing was written.
//
// Read scan.go first: a scan opens a named source with its rotated siblings,
// finds the window's start by binary search over byte offsets, and hands each
// line to a visitor with its place in time. stamp.go knows the formats of time
// stamps, record.go which lines belong to the line before, level.go how bad a
// line says it is, patterns.go the shipped pattern sets.
//
// What a log says is never taken for more than was understood. A file is read
// on however much undated text it begins with; runs of NULs and holes are passed
// over. Understood are dated lines, lines that continue a record (blank,
// indented, a frame or the head of a stack trace), and what stands before the
// first dated line of a file if that one is older than the window. Not
// understood, so that an ok becomes unknown and names the first such thing, are:
// a file with text and without any dated line; a line that has no stamp and
// continues nothing; a stamp more than two minutes ahead of now; where levels
// are asked for, more than 5 % of the records without a level known here beside
// others that have one, or one such record in which a word names an error.
//
// The shortcuts (memo.go, the search for the window, the reading in parts, the
// filter before the patterns) answer what reading each line by itself would:
// equal_test.go holds them to that.
//
// Memory does not depend on the size of a file or of a line. Whatever cannot
// be read or dated is counted and reported, never taken for silence. The
// package knows no server's log settings beyond asking for two of them by name
// and speaks to no container engine itself.
package logs
