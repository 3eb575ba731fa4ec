package logs

import (
	"fmt"
	"slices"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// doubts are what a scan met and did not understand, beyond the lines that are
// counted as unparsed.
type doubts struct {
	undated    []string // files with text and without one dated line
	futureLine string   // the first line that is dated ahead of now
	unlevelled int64    // records in the window without a level that is known
	levelless  string   // the first of them
	hidden     string   // the first of them in which a word names an error
}

func (d *doubts) add(other *doubts) {
	d.undated = append(d.undated, other.undated...)
	d.unlevelled += other.unlevelled
	for mine, theirs := range map[*string]string{
		&d.futureLine: other.futureLine, &d.levelless: other.levelless, &d.hidden: other.hidden,
	} {
		keepFirst(mine, []byte(theirs))
	}
}

// sampleLine is as much of a line as a reason quotes.
func sampleLine(text []byte) string { return string(text[:min(len(text), 120)]) }

func keepFirst(kept *string, text []byte) {
	if *kept == "" {
		*kept = sampleLine(text)
	}
}

// noteLevel keeps account of the records that name no level known here, where
// levels are asked for.
func (t *tally) noteLevel(l *line) {
	if l.kind != head {
		return
	}
	if l.level() != noLevel {
		t.levelled = true
		return
	}
	t.unlevelled++
	keepFirst(&t.levelless, l.text)
	if t.hidden == "" && mentionsError(l.message()) {
		keepFirst(&t.hidden, l.text)
	}
}

// mentionsError reports whether a word anywhere near the beginning of a message
// names an error, even where no level stands.
func mentionsError(message []byte) bool {
	message = message[:min(len(message), levelReach)]
	for len(message) > 0 {
		if message = message[colourAt(message, 0):]; len(message) == 0 {
			break
		}
		n := slices.IndexFunc(message, func(b byte) bool { return !isWord(b) })
		if n < 0 {
			n = len(message)
		}
		if levelWord(message[:n]) >= errorLevel {
			return true
		}
		message = message[min(n+1, len(message)):]
	}
	return false
}

// levelFloor is the share of records, in percent, whose level must be known
// where some record of the log names one.
const levelFloor = 95

// notUnderstood names the first thing that keeps a good verdict from being
// justified, and what to configure; "" if all was understood.
func (t *tally) notUnderstood() string {
	switch {
	case len(t.undated) > 0:
		return fmt.Sprintf("no line of %s is dated: give its source a format", t.undated[0])
	case t.unparsed > 0 && len(t.samples) > 0:
		return fmt.Sprintf("%d of %d lines have no time stamp and continue no record, first %q", t.unparsed, t.lines, t.samples[0])
	case t.future > 0:
		return fmt.Sprintf("%d lines are dated more than %s ahead of now: check the zone of the log source and the clock, first %q",
			t.future, fact.FormatDuration(futureMargin), t.futureLine)
	case t.levelled && t.unlevelled*100 > t.parsed*(100-levelFloor):
		return fmt.Sprintf("%d of %d records name no level that is known: give a pattern, first %q", t.unlevelled, t.parsed, t.levelless)
	case t.hidden != "":
		return fmt.Sprintf("a record names no level but mentions an error: %q", t.hidden)
	case !t.levelled && t.unlevelled > 0: // none is counted where no level was asked for
		return fmt.Sprintf("none of %d records names a level that is known, first %q", t.unlevelled, t.levelless)
	}
	return ""
}
