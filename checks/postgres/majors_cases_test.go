package postgres

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// majorCase is a module and what it must say on every version.
type majorCase struct {
	module *checks.Module
	raw    map[string]any
	twice  bool
	says   map[string]string // by role; see verdict
	unless func(role string, version int) string
}

func (c majorCase) want(role string, version int) string {
	if c.unless != nil {
		if other := c.unless(role, version); other != "" {
			return other
		}
	}
	return c.says[role]
}

func says(superuser, member, other string) map[string]string {
	return map[string]string{super: superuser, monitor: member, plain: other}
}

// majorCases are the modules that only read.
var majorCases = []majorCase{
	{module: Ping, says: says("ok", "ok", "ok")},
	{module: Connections, says: says("ok", "ok", "unknown: denied")},
	{module: Locks, says: says("ok", "ok", "unknown: denied")},
	{module: TPS, raw: map[string]any{"sample": "20ms"}, says: says("ok", "ok", "ok")},
	{module: Slow, says: says("ok", "ok", "unknown: denied")},
	{module: DBSize, says: says("ok", "ok", "ok")},
	{module: Tables, says: says("ok", "ok", "ok")},
	{module: DeadTuples, raw: map[string]any{"min_dead": 100}, says: says("ok", "ok", "ok")},
	{module: Bloat, says: says("ok", "ok", "ok")},
	{module: Bloat, raw: map[string]any{"exact": "public.audit_logs"}, says: says("warn", "warn", "unknown: denied")},
	{module: Sessions, says: says("ok", "ok", "unknown: denied")},
	{module: Statements, says: says("ok", "ok", "unknown: denied")},
	{module: Progress, says: says("ok", "ok", "unknown: denied")},
	{module: WAL, raw: map[string]any{"sample": "600ms"}, says: says("ok", "ok", "ok")},
	{module: Checkpoints, says: says("ok", "ok", "ok")},
	{module: Saturation, says: says("ok", "ok", "unknown: denied")},
	{module: Replication, says: says("warn", "warn", "warn")},
	{module: Sequences, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Indexes, raw: map[string]any{"counted": "0s"}, says: says("ok", "ok", "ok")},
	{module: Leftovers, says: says("ok", "ok", "unknown: denied")},
	{module: SettingsInForce, says: says("warn", "warn", "warn")},
	{module: Wraparound, says: says("ok", "ok", "ok")},
	{module: Query, raw: map[string]any{"query": "q"}, says: says("ok", "ok", "ok")},
}

// majorActions are the modules that change something, by their previews.
var majorActions = []majorCase{
	{module: Analyze, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Vacuum, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: VacuumFull, raw: map[string]any{"tables": []any{"audit_logs"}}, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Reindex, raw: map[string]any{"tables": []any{"audit_logs"}}, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Extension, raw: map[string]any{"name": "pg_trgm"}, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Archive, raw: map[string]any{"entry": "audit"}, says: says("ok", "unknown: denied", "unknown: denied")},
	{module: Purge, raw: map[string]any{"entry": "audit"}, says: says("ok", "unknown: denied", "unknown: denied")},
}

// notOnMajors: the statements of pg.restore_test are in majorQueries; it needs
// psql of the server's own version, which the majors' packages do not have.
// pg.log wants a log, and its statement is in majorQueries.
// pg.host has no statements, and the signals are sent in majors_signal_test.go.
// pg.role_password needs a server that asks for passwords; its statements are in
// majorQueries.
var notOnMajors = map[string]bool{"pg.restore_test": true, "pg.host": true, "pg.log": true, "pg.role_password": true, "pg.cancel": true, "pg.terminate": true}

func majorSite(site checks.SiteFacts) checks.SiteFacts {
	site.Queries = map[string]checks.Query{"q": {Name: "q", SQL: "SELECT 1"}}
	old := checks.OldRows{Name: "audit", Table: "audit_logs", Column: "created_at", OlderThan: 24 * time.Hour}
	site.Purge = map[string]checks.OldRows{"audit": old}
	old.Into = "audit_logs_archive"
	site.Archive = map[string]checks.OldRows{"audit": old}
	return site
}

// majorQueries are statements that only run while an action works, or in the
// copy that a restore test makes, with values for them.
var majorQueries = map[string][]any{
	hostSQL:          nil,
	estimatedSizeSQL: nil,
	loggingSQL:       nil,
	roleStateSQL:     {"postgres"},
	roleClientsSQL:   {uint32(10)},
	sourceSQL:        nil,
	scratchesSQL:     nil,
	powersSQL:        {[]string{"pg_execute_server_program", "pg_create_subscription"}},
	reachSQL:         {guardedFunctions},
	templateSQL:      {"template1"},
	contentSQL:       nil,
	installedSQL:     nil,
	availableSQL:     nil,
	amcheckSQL:       nil,
	countTablesSQL:   nil,
	btreesSQL:        nil,
	laggingSQL:       nil,
	waitingForUsSQL:  nil,
	estimatesSQL:     {[]string{"audit_logs"}, 20},
	progressSQL:      {1},
	claimHolderSQL:   {claimSpace, uint32(1)},

	"SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.pg_backend_pid()": nil,
	"SELECT pg_catalog.current_setting($1)":                                                                                                        {"lock_timeout"},
	"SELECT pg_catalog.current_setting($1) AS value":                                                                                               {"log_destination"},
	"SELECT name::text, bool_or(trusted), true FROM pg_available_extension_versions GROUP BY name":                                                 nil,
	"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid())":                                         {"opsdeck/majors"},
	"SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1":                                               {"postgres"},
	"SELECT extname::text || ' ' || extversion FROM pg_extension ORDER BY extname":                                                                 nil,
	"SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1":                                                              nil,
	"SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1": {uint32(1259)},
}

// A new module must say what it finds on every version.
func TestEveryModuleIsHeldToEveryMajor(t *testing.T) {
	held := map[string]bool{}
	for _, c := range append(majorCases, majorActions...) {
		held[c.module.Name] = true
	}
	for _, m := range Family().Modules {
		if held[m.Name] == notOnMajors[m.Name] {
			t.Errorf("%s: cases on every major: %v, exempt: %v", m.Name, held[m.Name], notOnMajors[m.Name])
		}
	}
}

func goFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			names = append(names, e.Name())
		}
	}
	return names
}
