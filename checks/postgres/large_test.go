package postgres

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// BenchmarkPolling polls each module against 20,000 tables and 500
// connections. "server-ms/op" is the processor time of the session for one
// poll, of all its statements: what it costs the server, and steadier than the
// clock, which is ns/op. "core-%" is that time over the interval at which the
// pane polls: the share of one core.
func BenchmarkPolling(b *testing.B) {
	db := pgtest.Large(b)
	makeRoles(b, db.Server)
	pgtest.Crowd(b, db, 500)
	env := envFor(b, db.DSNAs(monitor))
	for _, m := range polled() {
		check, problems := checks.NewCheck(m, m.Name, nil, checks.Rules{})
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		runner := checks.NewRunner(env, nil)
		warm := runner.Run(b.Context(), check)
		if warm.Err != "" && warm.Level != checks.Skipped && warm.Class != checks.NoData && warm.Class != checks.Denied {
			b.Fatalf("%s: %s", m.Name, warm.Err)
		}
		settings, _ := serverOf(b, env).Settings()
		b.Run(m.Name, func(b *testing.B) {
			before, _ := pgtest.ProcessorTime(settings.PID)
			for b.Loop() {
				runner.Run(b.Context(), check)
			}
			after, ok := pgtest.ProcessorTime(settings.PID)
			if !ok {
				b.Skip("the session is gone, or of another host")
			}
			each := float64(after-before) / float64(time.Millisecond) / float64(b.N)
			b.ReportMetric(each, "server-ms/op")
			b.ReportMetric(100*each/float64(check.Interval()/time.Millisecond), "core-%")
		})
	}
}
