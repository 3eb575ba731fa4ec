package checks

import "fmt"

// Level is the verdict of a check. The zero value is Unknown, so a result
// that nobody filled in can never read as healthy.
type Level uint8

// The levels. Their numeric order means nothing; use Worse and Worst.
const (
	Unknown Level = iota // could not be found out: no data, no permission, no answer
	OK
	Warn
	Crit
	Skipped // does not apply here: the site has no such thing
)

var levelNames = [...]string{"unknown", "ok", "warn", "crit", "skipped"}

// Levels lists every level, worst first.
func Levels() []Level { return []Level{Crit, Unknown, Warn, OK, Skipped} }

// String is the level's name in every output.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// rank orders levels for "worst": crit over unknown over warn over ok.
func (l Level) rank() int {
	switch l {
	case Crit:
		return 4
	case Warn:
		return 2
	case OK:
		return 1
	case Skipped:
		return 0
	default:
		return 3
	}
}

// Worse reports whether l is worse than other: crit over unknown over warn
// over ok over skipped.
func (l Level) Worse(other Level) bool { return l.rank() > other.rank() }

// Worst is the worst of the given levels, Skipped if there are none.
func Worst(levels ...Level) Level {
	worst := Skipped
	for _, l := range levels {
		if l.Worse(worst) {
			worst = l
		}
	}
	return worst
}

// ExitCode is the process exit code of a command whose worst level is l:
// 0 ok or skipped, 1 warn, 2 crit, 3 unknown.
func (l Level) ExitCode() int {
	switch l {
	case OK, Skipped:
		return 0
	case Warn:
		return 1
	case Crit:
		return 2
	default:
		return 3
	}
}

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's name.
func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range levelNames {
		if name == string(text) {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("unknown level %q", text)
}
