package systemd

import (
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// properties are those of one unit by their names in systemd's D-Bus API. The
// values are string, bool, int64, []string, and uint64 for instants in
// microseconds, whichever way systemd was asked.
type properties map[string]any

// never is what systemd has for an instant that does not come.
const never = math.MaxUint64

// A reader takes properties apart and keeps the first that is not as expected:
// what systemd does not say is never taken for a zero.
type reader struct {
	unit string
	of   properties
	err  error
}

func property[T any](r *reader, name string) (value T) {
	raw, there := r.of[name]
	value, fits := raw.(T)
	switch {
	case r.err != nil:
	case !there:
		r.err = checks.Failed(checks.Parse, "systemd says nothing of %s of %s", name, r.unit)
	case !fits:
		r.err = checks.Failed(checks.Parse, "%s of %s is a %T, expected a %T", name, r.unit, raw, value)
	}
	return value
}

func (r *reader) text(name string) string   { return property[string](r, name) }
func (r *reader) flag(name string) bool     { return property[bool](r, name) }
func (r *reader) number(name string) int64  { return property[int64](r, name) }
func (r *reader) list(name string) []string { return property[[]string](r, name) }
func (r *reader) micros(name string) uint64 { return property[uint64](r, name) }

// instant is zero for what has not happened and for what never will.
func (r *reader) instant(name string) time.Time {
	at := r.micros(name)
	if at == 0 || at >= math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(at))
}
