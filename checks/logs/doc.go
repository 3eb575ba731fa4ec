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
// Memory does not depend on the size of a file or of a line. Whatever cannot
// be read or dated is counted and reported, never taken for silence. The
// package knows no server's log settings beyond asking for two of them by name
// and speaks to no container engine itself.
package logs
