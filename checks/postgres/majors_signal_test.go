package postgres

import (
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// signals ends a statement and then its session, for real, on every version,
// and asks as the roles that may not.
func (m major) signals(t *testing.T) {
	y := &yard{watch: sessionWith(t, m.server.DSN("postgres")), own: checks.Own{Token: "opsdeck/majors", Dir: t.TempDir()}}
	victim := sessionWith(t, m.server.DSN("postgres"))
	ended := busy(t, y, victim, "SELECT pg_sleep(60)")
	name := y.named(t, victim)
	for _, role := range []string{monitor, plain} {
		y.env = m.as(t, role)
		y.env.Site.Allow.KillSessions = true
		if got := verdict(y.look(t, Terminate, name)); got != "unknown: denied" {
			t.Errorf("%d, %s: %q", m.version, role, got)
		}
	}
	y.env = m.as(t, super)
	y.env.Site.Allow.KillSessions = true
	for _, signal := range []*checks.Module{Cancel, Terminate} {
		expect(t, y.look(t, signal, name), checks.OK, "")
		res := y.act(t, signal, forReason(name))
		expect(t, res, checks.OK, "")
		if num(t, res, "signalled", "") != 1 {
			t.Errorf("%d: %s: %v", m.version, signal.Name, res.Facts)
		}
		expect(t, y.probe(t, signal, forReason(name)), checks.OK, "")
		if signal == Cancel {
			if code := codeOf(<-ended); code != "57014" {
				t.Errorf("%d: the statement ended with %s", m.version, code)
			}
		}
	}
}
