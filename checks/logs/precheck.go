package logs

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A settingReader is a PostgreSQL connection that can be asked for a setting,
// as SHOW prints it. checks/postgres opens one.
type settingReader interface {
	checks.Handle
	Setting(ctx context.Context, name string) (string, error)
}

// wouldHaveSpoken makes sure that silence means something: a set that needs a
// server setting and found nothing is only believed when the server says that
// it logs such things. Matches speak for themselves.
func (s *search) wouldHaveSpoken(ctx context.Context, env checks.Env) error {
	if s.set.Setting == "" || s.matches > 0 {
		return nil
	}
	server, err := checks.Connected[settingReader](env, "postgres")
	var notHere checks.NotHere
	if errors.As(err, &notHere) {
		return checks.Failed(checks.Unconfigured, "no %s line, and no postgres connection to ask whether %s is on", s.set.ID, s.set.Setting)
	}
	if err != nil {
		return err
	}
	value, err := server.Setting(ctx, s.set.Setting)
	if err != nil {
		return err
	}
	if isOff(value) {
		return checks.Failed(checks.Missing, "the server does not log this: %s is %s", s.set.Setting, value)
	}
	if least, ok := settingDuration(value); ok && s.set.Setting == "log_min_duration_statement" && least > s.min {
		return checks.Failed(checks.Missing, "the server logs statements from %s on, %s was asked for: lower log_min_duration_statement",
			fact.FormatDuration(least), fact.FormatDuration(s.min))
	}
	return nil
}

func isOff(value string) bool {
	switch strings.TrimSpace(value) {
	case "off", "-1", "false", "no", "":
		return true
	}
	return false
}

// settingDuration reads a time setting as SHOW prints it: 250ms, 1s, 5min, or
// milliseconds without a unit.
func settingDuration(value string) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"min", time.Minute}, {"us", time.Microsecond}, {"s", time.Second}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Millisecond}} {
		number, ok := strings.CutSuffix(value, u.suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil {
			return time.Duration(n * float64(u.unit)), true
		}
	}
	return 0, false
}
