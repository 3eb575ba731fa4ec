package calendar

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// entry is one line of a crontab that fires at times.
type entry struct {
	spec    cronSpec
	zone    string // CRON_TZ above it; "" for the host's
	user    string
	command string
	line    int
}

// badLine is a line that is no entry, no setting and no comment.
type badLine struct {
	line int
	err  error
}

var setting = regexp.MustCompile(`^\s*["']?([A-Za-z_][A-Za-z0-9_]*)["']?\s*=\s*(.*)$`)

// parseCrontab reads a crontab. With a user column, the sixth field is the
// user; without it, all entries are the owner's. Lines that do not read as an
// entry are returned too: cron ignores them, or refuses the whole file.
func parseCrontab(content, owner string) (entries []entry, bad []badLine) {
	zone := ""
	line := 0
	for text := range strings.SplitSeq(content, "\n") {
		line++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if m := setting.FindStringSubmatch(text); m != nil {
			if m[1] == "CRON_TZ" {
				zone = strings.Trim(strings.TrimSpace(m[2]), `"'`)
			}
			continue
		}
		e, fires, err := parseEntry(text, owner)
		if err != nil {
			bad = append(bad, badLine{line, err})
			continue
		}
		if fires {
			e.zone, e.line = zone, line
			entries = append(entries, e)
		}
	}
	return entries, bad
}

// parseEntry reads one line. @reboot never fires by the clock.
func parseEntry(text, owner string) (e entry, fires bool, err error) {
	text = strings.TrimPrefix(text, "-") // SUSE: do not log
	times := 5
	if text != "" && text[0] == '@' {
		times = 1
	}
	fields := times
	if owner == "" {
		fields++
	}
	words, command := cutWords(text, fields)
	if len(words) < fields || command == "" {
		return e, false, fmt.Errorf("no time, user and command")
	}
	when := words[:times]
	if times == 1 {
		if when[0] == "@reboot" {
			return e, false, nil
		}
		full, ok := cronNicknames[strings.ToLower(when[0])]
		if !ok {
			return e, false, fmt.Errorf("%q is not a time", when[0])
		}
		when = strings.Fields(full)
	}
	e = entry{user: owner, command: command}
	if owner == "" {
		e.user = words[times]
	}
	e.spec, err = parseCronSpec(when)
	return e, err == nil, err
}

// cutWords takes n words off the text.
func cutWords(text string, n int) (words []string, rest string) {
	for range n {
		i := strings.IndexAny(text, " \t")
		if i < 0 {
			return append(words, text), ""
		}
		words = append(words, text[:i])
		text = strings.TrimLeft(text[i:], " \t")
	}
	return words, text
}

// zones are those in which the entry may fire: not every cron heeds CRON_TZ.
func (e entry) zones(host *time.Location) ([]*time.Location, error) {
	if e.zone == "" {
		return []*time.Location{host}, nil
	}
	own, err := time.LoadLocation(e.zone)
	if err != nil {
		return []*time.Location{host}, fmt.Errorf("CRON_TZ names no zone: %q", e.zone)
	}
	return []*time.Location{host, own}, nil
}
