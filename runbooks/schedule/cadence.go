// Package schedule knows when a section is due: the period of an instant, when
// that period is due and overdue, and what was missed.
//
// Periods tile time: each ends where the next begins, whatever the clocks of
// the zone do, so a period is due exactly once. Dates are computed on the
// calendar and only then turned into instants: a wall time that a zone skips
// becomes the first instant after the gap, one that it repeats the first of
// the two. The package knows nothing of runbooks and never asks for the time.
// The zone database is the program's affair (main embeds it).
package schedule

import (
	"fmt"
	"slices"
	"time"
)

// Cadence is how often a section is due.
type Cadence string

// The cadences. A window section has one period a month; one without cadence
// has no period and is never due.
const (
	None      Cadence = "none"
	Daily     Cadence = "daily"
	Weekly    Cadence = "weekly"
	Monthly   Cadence = "monthly"
	Quarterly Cadence = "quarterly"
	Window    Cadence = "window"
)

// Cadences lists the cadences, most frequent first.
func Cadences() []Cadence { return []Cadence{Daily, Weekly, Monthly, Quarterly, Window, None} }

// ParseCadence reads a cadence's name.
func ParseCadence(text string) (Cadence, error) {
	if c := Cadence(text); slices.Contains(Cadences(), c) {
		return c, nil
	}
	return None, fmt.Errorf("%q is not a cadence (daily, weekly, monthly, quarterly, window or none)", text)
}

// A Plan says when a section is due. The zero Plan is never due.
type Plan struct {
	Cadence Cadence
	Due     Due            // when in the period; the zero Due is its end
	Grace   time.Duration  // from due to overdue; whole days are calendar days
	Zone    *time.Location // nil means UTC
}

// In is the plan in a zone, if it names none itself.
func (p Plan) In(zone *time.Location) Plan {
	if p.Zone == nil {
		p.Zone = zone
	}
	return p
}

func (p Plan) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

// Recurs reports whether the plan has periods at all.
func (p Plan) Recurs() bool { return p.Cadence != None && p.Cadence != "" }
