package docker

import (
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/logs"
)

// The module of checks/logs that counts in what Server.Logs gives it.
func TestLogComposeCountsWhatTheContainersOfAServiceSaid(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	e.says(t, "counted", spec{}, "out=[info]: started\n", "err=[error]: connect ECONNREFUSED 10.0.0.5:5432\n    at run (/srv/app.js:3:5)\n")
	e.says(t, "counted", spec{terminal: true}, "out=[error]: connect ECONNREFUSED 10.0.0.5:5432\n")
	here := env(t, checks.Connection{Host: e.host, Project: "counted"})
	counted := func(service, most string) checks.Result {
		return checktest.Run(t, here, logs.Compose, map[string]any{"service": service, "max_bytes": most})
	}
	res := counted("web", "1MiB")
	judged(t, res, checks.OK, "")
	for _, want := range []struct {
		name, label string
		n           float64
	}{{"lines", "", 4}, {"errors", "", 2}, {"matches", "db_conn", 2}, {"matches", "auth_fail", 0}, {"unparsed", "", 0}} {
		if got := value(t, res, want.name, want.label).Num; got != want.n {
			t.Errorf("%s %s is %v, want %v", want.name, want.label, got, want.n)
		}
	}
	judged(t, counted("web", "100B"), checks.Warn, "truncated")
	unknown(t, counted("backend", "1MiB"), checks.Missing)
	here = env(t, checks.Connection{Host: "unix://" + filepath.Join(t.TempDir(), "none")})
	unknown(t, counted("web", "1MiB"), checks.Missing)
}
