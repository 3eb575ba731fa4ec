package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/prometheus"
	"github.com/advanced-lms/opsdeck/checks/site"
)

// TestTheSandboxesRestoreDrillNeedsNoRights: its role can do nothing but create
// databases, its template has what the role may not create, and the dump of the
// night is restored and looked at, indexes included.
func TestTheSandboxesRestoreDrillNeedsNoRights(t *testing.T) {
	s := started(t)
	registry, err := checks.NewRegistry(postgres.Family(), prometheus.Family())
	if err != nil {
		t.Fatal(err)
	}
	text := addresses{dir: s.Dir, web: "http://127.0.0.1", postgres: s.postgres.DSN(database), owner: s.postgres.DSN(database), verify: s.postgres.DSNAs(restorer, "postgres")}
	demo, problems := site.Parse("opsdeck.yaml", []byte("schema: 1\nsite: demo\n"+text.vars()+"logs:\n  backup: {paths: [/dev/null]}\n"+text.connections()+text.backups()), registry, func(string) string { return "" })
	if demo == nil {
		t.Fatal(problems.Error())
	}
	if set := demo.Backups["db"]; set.Template != restoreTemplate {
		t.Errorf("the set names the template %q", set.Template)
	}
	env := checks.Env{
		Root: "/", Exec: command.NewExec(command.Grace(time.Second)), Site: demo.Facts(), Now: time.Now,
		Handle: func(kind, name string) (checks.Handle, error) {
			for _, c := range demo.Connections {
				if c.Kind == kind && c.Name == name {
					server, err := postgres.Open(c)
					if err != nil {
						return nil, err
					}
					t.Cleanup(func() {
						if err := server.Close(); err != nil {
							t.Error(err)
						}
					})
					return server, nil
				}
			}
			return nil, fmt.Errorf("no connection %s", name)
		},
	}
	check, wrong := checks.NewCheck(postgres.RestoreTest, "restore", map[string]any{"set": "db", "min_tables": 30, "source": "none"}, checks.Rules{})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	res := checks.NewRunner(env, nil).Act(t.Context(), check, checks.Own{Token: "opsdeck/sandbox-drill", Dir: t.TempDir()})
	detail := strings.Join(res.Detail, "\n")
	if res.Level != checks.OK || !strings.Contains(detail, "B-tree indexes checked") || !strings.Contains(detail, "passed over: ") {
		t.Errorf("%v %s %s\n%s\n%v", res.Level, res.Note, res.Err, detail, res.Facts)
	}
}
