package watch

import (
	"github.com/advanced-lms/opsdeck/checks"
)

const (
	defaultConfirm = 3 // bad samples before a level is raised
	defaultClear   = 2 // good samples before it is cleared
)

// confirmation is how a check's level follows its samples.
type confirmation struct {
	confirm, clear int
	pending        []checks.Level // consecutive samples that differ from the level in one direction
	recent         []checks.Level // the last samples, for flapping
	flapping       bool
}

func newConfirmation(c checks.Check) confirmation {
	k := confirmation{confirm: c.Confirm, clear: c.Clear}
	if k.confirm <= 0 {
		k.confirm = defaultConfirm
	}
	if k.clear <= 0 {
		k.clear = defaultClear
	}
	return k
}

// next takes a sample and returns the confirmed level, and how many of how
// many samples confirm what the newest one says.
//
// The first sample counts at once, so that the first screen says something.
// After it a worse level needs confirm samples in a row, and is raised to the
// mildest of them, so that one crit among warns stays a warn; a better one
// needs clear samples and falls to the worst of them. This is the hysteresis:
// a value that dances around its limit neither raises nor clears. A check that
// does not apply any more is skipped at once. While a check flaps its level
// stays at the worst of its recent samples.
func (k *confirmation) next(level, raw checks.Level, first bool) (confirmed checks.Level, streak, need int) {
	k.observe(raw)
	if first || raw == checks.Skipped || level == checks.Skipped {
		k.pending = nil
		return raw, 1, 1
	}
	if raw == level {
		k.pending = nil
		return k.damped(level), k.confirm, k.confirm
	}
	if len(k.pending) > 0 && k.pending[0].Worse(level) != raw.Worse(level) {
		k.pending = nil
	}
	k.pending = append(k.pending, raw)
	need = k.clear
	if raw.Worse(level) {
		need = k.confirm
	}
	if len(k.pending) < need {
		return k.damped(level), len(k.pending), need
	}
	settled := k.settle(raw.Worse(level))
	k.pending = nil
	return k.damped(settled), need, need
}

func (k *confirmation) settle(worse bool) checks.Level {
	settled := k.pending[0]
	for _, l := range k.pending[1:] {
		if worse == settled.Worse(l) {
			settled = l
		}
	}
	return settled
}

// Flapping as in Nagios: the share of changes among the last 20 steps, the
// newest weighing 1.2 and the oldest 0.8.
const (
	flapSamples = 21
	flapOn      = 30.0 // percent
	flapOff     = 15.0
)

func (k *confirmation) observe(raw checks.Level) {
	k.recent = append(k.recent, raw)
	if len(k.recent) > flapSamples {
		k.recent = append([]checks.Level(nil), k.recent[1:]...)
	}
	share := changes(k.recent)
	switch {
	case share > flapOn:
		k.flapping = true
	case share < flapOff:
		k.flapping = false
	}
}

// changes is the weighted percentage of changes; 0 until there are enough
// samples to speak of flapping.
func changes(levels []checks.Level) float64 {
	if len(levels) < flapSamples {
		return 0
	}
	total := 0.0
	for i := 1; i < len(levels); i++ {
		if levels[i] != levels[i-1] {
			total += 0.8 + 0.4*float64(i-1)/float64(flapSamples-2)
		}
	}
	return 100 * total / float64(flapSamples-1)
}

func (k *confirmation) damped(level checks.Level) checks.Level {
	if !k.flapping {
		return level
	}
	return checks.Worst(append([]checks.Level{level}, k.recent...)...)
}
