// Package watch samples checks periodically and publishes what it knows as
// immutable snapshots. It owns time and memory: intervals, confirmation,
// flapping, staleness, what is held by a cause. It never judges facts; the
// Runner has done that.
//
// A snapshot is the whole world at one moment, so losing one in between loses
// nothing, and no reader ever waits for a check. Read state.go for what is
// known of a check, monitor.go for how it is sampled, confirm.go for how a
// level is raised and cleared, rank.go for "worst first".
package watch
