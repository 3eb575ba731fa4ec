package calendar

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxTimers bounds the timers of a host that are looked at.
const maxTimers = 200

// timer is a systemd timer that is loaded.
type timer struct {
	Next      int64  `json:"next"` // µs of Unix time; 0: none
	Unit      string `json:"unit"`
	Activates string `json:"activates"`

	calendar []string // its OnCalendar expressions
	delay    time.Duration
}

// addTimers asks systemd which timers there are and when each of them elapses
// on that night. "list-timers" alone knows nothing but the next time.
func (p *plan) addTimers(ctx context.Context, env checks.Env, o civil.Opening) {
	const source = "systemd timers"
	if env.Exec == nil {
		p.unread = append(p.unread, source+": commands are not available")
		return
	}
	timers, err := listTimers(ctx, env.Exec)
	if err == nil && len(timers) > maxTimers {
		err = checks.Failed(checks.Limit, "%d timers, more than the %d that are looked at", len(timers), maxTimers)
	}
	if err == nil {
		err = describeTimers(ctx, env.Exec, timers)
	}
	if err != nil {
		p.miss(source, err)
		return
	}
	for _, t := range timers {
		p.addTimer(ctx, env, t, o)
	}
}

func (p *plan) addTimer(ctx context.Context, env checks.Env, t timer, o civil.Opening) {
	if len(t.calendar) == 0 {
		if next := time.UnixMicro(t.Next); t.Next > 0 && o.Contains(next) {
			p.addElapse(t, next, o)
		} else {
			p.notes = append(p.notes, t.Unit+" runs at intervals: when, on that night, cannot be foretold")
		}
		return
	}
	next, err := elapses(ctx, env.Exec, t.calendar, o.Start.Add(-t.delay))
	if err != nil {
		p.miss(t.Unit, err)
		return
	}
	if !next.IsZero() && next.Before(o.End) {
		p.addElapse(t, next, o)
	}
}

func (p *plan) addElapse(t timer, at time.Time, o civil.Opening) {
	what := t.Activates
	if t.delay > 0 {
		what += " (up to " + fact.FormatDuration(t.delay) + " later)"
	}
	p.found = append(p.found, conflict{at.In(o.Start.Location()), 1, "systemd", what, t.Unit})
}

func listTimers(ctx context.Context, exec checks.Exec) ([]timer, error) {
	out, err := output(ctx, exec, "systemctl", "list-timers", "--all", "--output=json", "--no-pager")
	if err != nil {
		return nil, err
	}
	var timers []timer
	if err := json.Unmarshal(out, &timers); err != nil {
		return nil, checks.Failed(checks.Parse, "systemctl list-timers: %w", err)
	}
	return timers, nil
}

// describeTimers adds what list-timers does not tell.
func describeTimers(ctx context.Context, exec checks.Exec, timers []timer) error {
	if len(timers) == 0 {
		return nil
	}
	argv := []string{"systemctl", "show", "--no-pager", "--property=Id", "--property=TimersCalendar", "--property=RandomizedDelayUSec", "--"}
	byUnit := map[string]*timer{}
	for i := range timers {
		argv = append(argv, timers[i].Unit)
		byUnit[timers[i].Unit] = &timers[i]
	}
	out, err := output(ctx, exec, argv...)
	if err != nil {
		return err
	}
	described := 0
	for block := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		found, err := parseTimer(block)
		if err != nil {
			return err
		}
		if t := byUnit[found.Unit]; t != nil {
			t.calendar, t.delay = found.calendar, found.delay
			described++
		}
	}
	if described < len(timers) {
		return checks.Failed(checks.Parse, "systemctl show describes %d of %d timers", described, len(timers))
	}
	return nil
}

// parseTimer reads the properties of one timer. A calendar expression is
// "TimersCalendar={ OnCalendar=*-*-* 06:00:00 ; next_elapse=… }".
func parseTimer(block string) (timer, error) {
	var t timer
	for line := range strings.SplitSeq(block, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Id":
			t.Unit = value
		case "TimersCalendar":
			inner := strings.TrimSpace(strings.Trim(value, "{} "))
			expression, _, _ := strings.Cut(inner, " ;")
			if text, ok := strings.CutPrefix(expression, "OnCalendar="); ok {
				t.calendar = append(t.calendar, strings.TrimSpace(text))
			} else if inner != "" {
				return t, checks.Failed(checks.Parse, "%s: %q is not a calendar", t.Unit, value)
			}
		case "RandomizedDelayUSec":
			delay, err := parseTimespan(value)
			if err != nil {
				return t, checks.Failed(checks.Parse, "%s: RandomizedDelayUSec: %w", t.Unit, err)
			}
			t.delay = delay
		}
	}
	return t, nil
}

var timespanUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "month": 30*24*time.Hour + 10*time.Hour + 30*time.Minute, "y": 365*24*time.Hour + 6*time.Hour,
}

// parseTimespan reads what systemd writes: "1h 30min", "0".
func parseTimespan(text string) (time.Duration, error) {
	if text == "0" || text == "" {
		return 0, nil
	}
	var sum time.Duration
	for word := range strings.FieldsSeq(text) {
		i := strings.IndexFunc(word, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 || timespanUnits[word[i:]] == 0 {
			return 0, fmt.Errorf("%q is not a timespan", text)
		}
		n, err := strconv.ParseFloat(word[:i], 64)
		if err != nil || n > 1e6 {
			return 0, fmt.Errorf("%q is not a timespan", text)
		}
		sum += time.Duration(n * float64(timespanUnits[word[i:]]))
	}
	return sum, nil
}

// elapses is when the first of the calendar expressions elapses at or after
// the instant; zero if none ever does. systemd itself works it out.
func elapses(ctx context.Context, exec checks.Exec, calendar []string, at time.Time) (time.Time, error) {
	base := at.Add(-time.Second).UTC().Format("2006-01-02 15:04:05 UTC")
	argv := append([]string{"systemd-analyze", "calendar", "--iterations=1", "--base-time=" + base, "--"}, calendar...)
	out, err := output(ctx, exec, argv...)
	if err != nil {
		return time.Time{}, err
	}
	return parseElapses(string(out), len(calendar))
}

// parseElapses reads a block for each of n expressions: "Next elapse:" in the
// host's zone and, unless that is UTC, "(in UTC):".
func parseElapses(text string, n int) (first time.Time, err error) {
	blocks := 0
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		at, never, err := parseElapse(block)
		if err != nil {
			return time.Time{}, err
		}
		blocks++
		if !never && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if blocks != n {
		return time.Time{}, checks.Failed(checks.Parse, "systemd-analyze calendar answers %d of %d expressions", blocks, n)
	}
	return first, nil
}

func parseElapse(block string) (at time.Time, never bool, err error) {
	value := ""
	for line := range strings.SplitSeq(block, "\n") {
		key, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if key == "Next elapse" && value == "" || key == "(in UTC)" {
			value = strings.TrimSpace(text)
		}
	}
	if value == "never" {
		return time.Time{}, true, nil
	}
	at, err = time.Parse("Mon 2006-01-02 15:04:05 UTC", value)
	if err != nil {
		return time.Time{}, false, checks.Failed(checks.Parse, "systemd-analyze calendar: %q is not a time in UTC", value)
	}
	return at, false, nil
}

// output runs a command and takes what it wrote if it ended well.
func output(ctx context.Context, exec checks.Exec, argv ...string) ([]byte, error) {
	out, err := exec(ctx, checks.Call{Argv: argv, Max: 1 << 20})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argv[0], err)
	}
	if out.Code != 0 || out.Truncated {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out.Stderr)), "\n")
		return nil, checks.Failed(checks.Other, "%s %s ends with %d: %s", argv[0], argv[1], out.Code, first)
	}
	return out.Stdout, nil
}
