package logs

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// TestErrorsInColourAndBehindBlanksAreCounted: neither hides a level or a record.
func TestErrorsInColourAndBehindBlanksAreCounted(t *testing.T) {
	t.Parallel()
	stamp := benchNow.Add(-10 * time.Minute).Format("2006-01-02T15:04:05.000Z")
	for _, said := range []string{
		stamp + " \x1b[31mERROR \x1b[39m boom", stamp + " [\x1b[1;31merror\x1b[0m]: boom", "\x1b[90m" + stamp + "\x1b[0m \x1b[31mERR\x1b[0m boom",
		stamp + " app level=\x1b[31merror\x1b[0m boom", "  " + stamp + " ERROR boom", "\t" + stamp + " ERROR boom",
		` {"time":"` + stamp + `","level":"error"}`, " " + benchNow.Add(-10*time.Minute).Format(time.Stamp) + " web app[7]: ERROR: boom",
	} {
		lines := append(repeated(760, func(int) string { return stamp + " INFO ok" }), repeated(40, func(int) string { return said })...)
		res := count(t, logOf(t, lines...), nil)
		if res.Level != checks.Warn || factOf(res, "count") != "40" {
			t.Errorf("%q: %v, counted %s of 40 %s", said, res.Level, factOf(res, "count"), res.Err)
		}
	}
	for _, said := range []string{"  on " + stamp + " ERROR", "\t" + stamp + " as a value", `  {"level":"error"}`} {
		lines := append(repeated(100, func(int) string { return stamp + " INFO ok" }), said)
		if res := count(t, logOf(t, lines...), nil); res.Level != checks.OK || factOf(res, "count") != "0" {
			t.Errorf("%q, which continues a record: %v, counted %s %s", said, res.Level, factOf(res, "count"), res.Err)
		}
	}
}
