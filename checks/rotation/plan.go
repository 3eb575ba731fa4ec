package rotation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// A plan is what logrotate said that it would do, or does.
type plan struct {
	considered int
	due        []string          // logs that are rotated
	kept       []string          // logs that are not, with logrotate's reason
	removed    []string          // old logs that are removed; see gone
	disposed   []string          // names whose files are removed after the renames
	renames    map[string]string // new name to old
	steps      []string          // renames, copies, compressions, new files, in order
	hooks      int               // scripts that are run
	errors     []string
}

// steps of a rotation by the words that begin them.
var stepWords = []string{"renaming ", "copying ", "truncating ", "compressing log with", "creating new ", "running ", "mailing ", "Moving "}

// notThere ends what the debug run says of a file that it would remove, had it
// renamed another to it.
const notThere = " doesn't exist -- won't try to dispose of it"

// parsePlan reads the words of logrotate -d. The text of a script, which it
// quotes, is not taken for words of its own.
func parsePlan(text string) plan {
	p := plan{renames: map[string]string{}}
	log, quoted := "", false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if quoted {
			quoted = line != `"`
			continue
		}
		switch {
		case strings.HasPrefix(line, "error: "):
			p.errors = append(p.errors, clean.Line(line, 300))
		case strings.HasPrefix(line, "considering log "):
			log = strings.TrimPrefix(line, "considering log ")
			p.considered++
		case line == "  log needs rotating":
			p.due = append(p.due, log)
		case strings.HasPrefix(line, "  log does not need rotating"):
			reason := strings.TrimPrefix(line, "  log does not need rotating")
			p.kept = append(p.kept, log+": not due"+reason)
		case strings.HasPrefix(line, "removing old log "):
			p.disposed = append(p.disposed, strings.TrimPrefix(line, "removing old log "))
		case strings.HasPrefix(line, "log ") && strings.HasSuffix(line, notThere):
			p.disposed = append(p.disposed, strings.TrimSuffix(strings.TrimPrefix(line, "log "), notThere))
		case strings.HasPrefix(line, "running script"):
			p.hooks++
			quoted = strings.HasSuffix(line, `: "`)
		default:
			p.step(line)
		}
	}
	return p
}

func (p *plan) step(line string) {
	for _, word := range stepWords {
		if strings.HasPrefix(line, word) {
			p.steps = append(p.steps, strings.TrimSuffix(strings.TrimSpace(line), ","))
			p.rename(line)
			return
		}
	}
}

// rename keeps "renaming /log.4 to /log.5 (rotatecount 4, …)".
func (p *plan) rename(line string) {
	names, ok := strings.CutPrefix(line, "renaming ")
	names, _, _ = strings.Cut(names, " (rotatecount ")
	if cut := strings.LastIndex(names, " to "); ok && cut > 0 {
		p.renames[names[cut+len(" to "):]] = names[:cut]
	}
}

// gone works out which of the files that are there now are removed: what has the
// name that is disposed of, and what is renamed to it before. The debug run
// renames nothing, and so does not say the latter.
func (p *plan) gone(there func(name string) bool) {
	for _, name := range p.disposed {
		for _, file := range []string{name, p.renames[name]} {
			if file != "" && there(file) && !slices.Contains(p.removed, file) {
				p.removed = append(p.removed, file)
			}
		}
	}
}

// lines are the plan as a person reads it.
func (p plan) lines() []string {
	var lines []string
	for _, name := range p.due {
		lines = append(lines, "rotates "+name)
	}
	for _, name := range p.removed {
		lines = append(lines, "careful: removes "+name)
	}
	for _, step := range p.steps {
		lines = append(lines, "  "+step)
	}
	return append(lines, p.kept...)
}

func (p plan) says() string {
	return fmt.Sprintf("%d of %d logs are due, %d old ones go", len(p.due), p.considered, len(p.removed))
}
