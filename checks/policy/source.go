package policy

import (
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A class is how urgent a finding is, most urgent first.
type class int

const (
	critical class = iota
	high
	medium
	low
)

var classNames = []string{"critical", "high", "medium", "low"}

// A source is a check whose findings have a class. It is read under the id it
// has when it is used without parameters.
type source struct {
	check string
	fact  string // one sample a look for each open finding
	look  string // a fact that each look has
	// class of a finding by the value of its fact.
	class func(value float64) class
}

var sources = []source{
	{"npm.audit", "rank", "dependencies", func(rank float64) class { return class(4 - rank) }},
	{"pkg.updates", "pending", "waiting", func(float64) class { return medium }},
	{"runtime.version", "behind", "line", func(float64) class { return high }},
	{"npm.outdated", "behind", "outdated", func(steps float64) class {
		if steps == 2 {
			return medium
		}
		return low // a patch, and a major release: a new feature is never urgent
	}},
}

// A finding is one open one.
type finding struct {
	source string
	label  string
	class  class
	open   time.Duration
}

// past is a history that knows what it holds.
type past interface {
	checks.History
	checks.Lister
}

// read returns what the last look at each of a source's targets found, and the
// age of the oldest of these looks; false if nobody has looked since then.
func (s source) read(h past, since, now time.Time) (found []finding, looked time.Duration, any bool) {
	last := map[string]time.Time{}
	for _, target := range h.Labels(s.check, s.look, since) {
		looks := h.Series(s.check, s.look, target, since)
		if len(looks) == 0 {
			continue
		}
		last[target] = looks[len(looks)-1].At
		looked = max(looked, now.Sub(last[target]))
	}
	for _, label := range h.Labels(s.check, s.fact, since) {
		target := s.target(label, last)
		seen := h.Series(s.check, s.fact, label, since)
		if len(seen) == 0 || last[target].Sub(seen[len(seen)-1].At) > checks.SameLook {
			continue // gone at the last look
		}
		newest := seen[len(seen)-1]
		open := checks.Finding{Check: s.check, Fact: s.fact, Label: label, Look: s.look, On: target, Least: newest.Value}.OpenFor(h, newest.At)
		found = append(found, finding{source: s.check, label: label, class: s.class(newest.Value), open: open + now.Sub(newest.At)})
	}
	return found, looked, len(last) > 0
}

// target is the look's label that a finding belongs to: a finding of a project
// begins with the project's name.
func (s source) target(label string, last map[string]time.Time) string {
	name, _, _ := strings.Cut(label, " ")
	if _, ok := last[name]; ok {
		return name
	}
	return ""
}
