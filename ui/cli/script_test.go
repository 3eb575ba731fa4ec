package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/advanced-lms/opsdeck/ui/theme/settled"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/backup"
	"github.com/advanced-lms/opsdeck/checks/calendar"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/docker"
	"github.com/advanced-lms/opsdeck/checks/documents"
	"github.com/advanced-lms/opsdeck/checks/files"
	"github.com/advanced-lms/opsdeck/checks/git"
	"github.com/advanced-lms/opsdeck/checks/host"
	"github.com/advanced-lms/opsdeck/checks/load"
	"github.com/advanced-lms/opsdeck/checks/logs"
	"github.com/advanced-lms/opsdeck/checks/maintenance"
	"github.com/advanced-lms/opsdeck/checks/nginx"
	"github.com/advanced-lms/opsdeck/checks/notify"
	"github.com/advanced-lms/opsdeck/checks/npm"
	"github.com/advanced-lms/opsdeck/checks/pgbouncer"
	"github.com/advanced-lms/opsdeck/checks/policy"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/prometheus"
	"github.com/advanced-lms/opsdeck/checks/record"
	"github.com/advanced-lms/opsdeck/checks/redis"
	"github.com/advanced-lms/opsdeck/checks/retention"
	"github.com/advanced-lms/opsdeck/checks/rotation"
	"github.com/advanced-lms/opsdeck/checks/scan"
	"github.com/advanced-lms/opsdeck/checks/secret"
	"github.com/advanced-lms/opsdeck/checks/system"
	"github.com/advanced-lms/opsdeck/checks/systemd"
	"github.com/advanced-lms/opsdeck/checks/tlscert"
	"github.com/advanced-lms/opsdeck/checks/trend"
	"github.com/advanced-lms/opsdeck/checks/web"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/ui/cli"
)

// families are those that main joins; a test holds main to the same list.
func families() []checks.Family {
	return []checks.Family{
		backup.Family(),
		calendar.Family(),
		certbot.Family(),
		command.Family(),
		docker.Family(),
		documents.Family(),
		files.Family(),
		git.Family(),
		host.Family(),
		load.Family(),
		logs.Family(),
		maintenance.Family(),
		nginx.Family(),
		notify.Family(),
		npm.Family(),
		pgbouncer.Family(),
		policy.Family(),
		postgres.Family(),
		prometheus.Family(),
		record.Family(),
		redis.Family(),
		retention.Family(),
		rotation.Family(),
		scan.Family(),
		secret.Family(),
		system.Family(),
		systemd.Family(),
		tlscert.Family(),
		trend.Family(),
		web.Family(),
	}
}

func opsdeck() {
	os.Exit(cli.Main(context.Background(), cli.Program{
		Version: "test", Families: families(), Library: library.FS,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Now: scriptClock(),
	}, os.Args[1:]))
}

// scriptClock stands still at $NOW, so that what is due does not depend on the
// hour at which a script runs.
func scriptClock() func() time.Time {
	at, err := time.Parse(time.RFC3339, os.Getenv("NOW"))
	if err != nil {
		return nil
	}
	return func() time.Time { return at }
}

// exitCode runs a command that is expected to end with a code: exits 65 opsdeck …
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = exitOf(err)
	}
	if code != args[0] {
		ts.Fatalf("exit %s, want %s\n%s%s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// scratch is where the programs stand that tests build once and share.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "opsdeck-tests-") })

// A tidy run of all tests leaves nothing of what they shared.
type tidy struct{ *testing.M }

func (m tidy) Run() int {
	code := m.M.Run()
	if dir, err := scratch(); err != nil || os.RemoveAll(dir) != nil {
		fmt.Fprintln(os.Stderr, "what the tests built stays in", dir)
		return max(code, 1)
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"opsdeck": opsdeck, "client": client})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exitCode},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			recorded, err := filepath.Abs("../../runbooks/journal/testdata/recorded-by-df5d9bb")
			e.Setenv("RECORDED", recorded)
			return err
		},
	})
}
