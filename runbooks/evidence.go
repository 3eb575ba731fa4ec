package runbooks

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Bounds of what a person can put into the record at once.
const (
	maxEvidence = 400      // cells of one field, a reason, a role
	maxNote     = 16 << 10 // bytes of a note
	maxFrame    = 48 << 10 // bytes of an attached frame
	maxFrames   = 200      // attached to one run
)

// Judge reads the evidence for a manual item or a confirm and judges it by the
// item's rules. The returned evidence is clean and in one normal form. opens
// is when the run's window opens, zero if it has none.
func (it Item) Judge(given map[string]string, now, opens time.Time, zone *time.Location) (ItemConfirmed, error) {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(it.Evidence, func(f Field) bool { return f.Name == name }) {
			problems = append(problems, fmt.Errorf("%s is not asked for", name))
		}
	}
	confirmed := ItemConfirmed{Level: checks.OK, Evidence: map[string]string{}}
	var facts []fact.Fact
	for _, f := range it.Evidence {
		text, value, err := f.read(given[f.Name], zone)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", f.Name, err))
			continue
		}
		confirmed.Evidence[f.Name] = text
		facts = append(facts, fact.Of(f.Name, value))
		if f.Type == TimeField {
			facts = append(facts, fact.Dur(f.Name+"_age", now.Sub(value.Instant())))
			if !opens.IsZero() {
				facts = append(facts, fact.Dur(f.Name+"_lead", opens.Sub(value.Instant())))
			}
		}
	}
	if len(problems) > 0 {
		return ItemConfirmed{}, errors.Join(problems...)
	}
	verdict := checks.Judge(&checks.Module{Name: "confirm", Facts: it.Facts()}, it.Rules, facts)
	confirmed.Level, confirmed.Why = verdict.Level, verdict.Why
	return confirmed, nil
}

// read is the field's value, with its text in a normal form.
func (f Field) read(given string, zone *time.Location) (string, fact.Value, error) {
	text := clean.Line(strings.TrimSpace(given), maxEvidence)
	if text == "" {
		return "", fact.Value{}, fmt.Errorf("a %s is required", f.Type)
	}
	switch f.Type {
	case NumberField:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n != n || n-n != 0 {
			return "", fact.Value{}, fmt.Errorf("%q is not a number", text)
		}
		return text, fact.NumberValue(n), nil
	case BoolField:
		return readBool(text)
	case TimeField:
		return readTime(text, zone)
	case URLField:
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", fact.Value{}, fmt.Errorf("%q is not an http or https address", text)
		}
		if u.User != nil {
			return "", fact.Value{}, errors.New("an address with a password does not go into the record")
		}
	}
	return text, fact.WordValue(text), nil
}

func readBool(text string) (string, fact.Value, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "y":
		return "true", fact.FlagValue(true), nil
	case "false", "no", "n":
		return "false", fact.FlagValue(false), nil
	}
	return "", fact.Value{}, fmt.Errorf("%q is not yes or no", text)
}

func readTime(text string, zone *time.Location) (string, fact.Value, error) {
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.Format(time.RFC3339), fact.TimeValue(t), nil
		}
	}
	return "", fact.Value{}, fmt.Errorf("%q is not a time (write 2026-11-23 14:05)", text)
}
