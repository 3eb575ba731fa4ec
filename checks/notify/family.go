// Package notify tells people, by mail or by webhook, and records what the
// other side said to each recipient.
//
// What was handed over cannot be called back, and whether it was can be lost
// between the last byte and the answer. So nothing is sent twice by itself: a
// record in the action's own directory is made durable before a text goes out
// and again when the answer is there, and a text whose answer is missing is
// unknown, not undone. The id of a text is derived from its action's token, so
// that a receiver can drop a second copy. Read send.go first, then record.go.
// The package must not know runs, windows or rules.
package notify

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the notices; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "notify", Doc: "telling people by mail and webhook", Modules: modules}
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
