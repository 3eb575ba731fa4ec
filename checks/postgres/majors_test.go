package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// Every catalogue query of the package is executed on every major version, as
// the superuser, as a member of pg_monitor and as a plain role: by the modules,
// whose verdict is asserted (majors_cases_test.go), and once more bare, because
// a module may stop before a query that its role could not read. That none was
// left out is found in the source (majors_source_test.go).
func TestEveryMajor(t *testing.T) {
	t.Parallel()
	all := queriesOfSource(t)
	seen := map[int]*recorder{}
	t.Run("version", func(t *testing.T) {
		for version := pgserver.OldestMajor; version <= pgserver.NewestMajor; version++ {
			heard := &recorder{seen: map[string][]any{}}
			seen[version] = heard
			t.Run(strconv.Itoa(version), func(t *testing.T) {
				t.Parallel()
				m := newMajor(t, version, heard)
				m.judge(t)
				m.actions(t)
				m.signals(t)
				m.replay(t)
				for _, q := range all {
					if !q.versioned && !q.in(heard) {
						t.Errorf("%s is not executed on %d by any case: add one to majors_cases_test.go\n%s", q.at, version, q.text)
					}
				}
			})
		}
	})
	for _, q := range all {
		if !slices.ContainsFunc(sorted(seen), func(r *recorder) bool { return q.in(r) }) && complete(seen) {
			t.Errorf("%s is not executed on any version\n%s", q.at, q.text)
		}
	}
}

// complete: nothing can be said of a machine that lacks a version, where that
// may be.
func complete(seen map[int]*recorder) bool {
	return !slices.ContainsFunc(sorted(seen), func(r *recorder) bool { return len(r.seen) == 0 })
}

func sorted(seen map[int]*recorder) []*recorder {
	var all []*recorder
	for version := pgserver.OldestMajor; version <= pgserver.NewestMajor; version++ {
		all = append(all, seen[version])
	}
	return all
}

// recorder hears the statements that go through a Server, with their values.
type recorder struct {
	mu   sync.Mutex
	seen map[string][]any
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[q.SQL] = slices.Clone(q.Args)
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *recorder) statements() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for sql := range r.seen {
		all = append(all, sql)
	}
	slices.Sort(all)
	return all
}

// major is one server, with something on it for every query to find.
type major struct {
	version int
	server  *pgserver.Server
	heard   *recorder
}

func newMajor(t *testing.T, version int, heard *recorder) major {
	t.Helper()
	bin, err := pgserver.Major(version)
	if err != nil {
		pgtest.Missing(t, err)
	}
	server := ownServer(t, pgserver.Options{Bin: bin, Settings: map[string]string{
		"max_prepared_transactions": "5", "autovacuum": "off", "deadlock_timeout": "10s", "track_io_timing": "on",
		"archive_mode": "on", "archive_command": "true",
	}})
	dsn := server.DSN("postgres")
	watch := sessionWith(t, dsn, majorScene...)
	end(t, sessionWith(t, dsn, "BEGIN", "UPDATE held SET n = 2", "PREPARE TRANSACTION 'left behind'"))
	inBackground(t, watch, dsn, nil, "UPDATE held SET n = 3")
	sessionWith(t, dsn, "BEGIN", "LOCK TABLE locked")
	inBackground(t, watch, dsn, nil, "SELECT FROM locked")
	return major{version, server, heard}
}

var majorScene = []string{
	"CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pgstattuple",
	"CREATE TABLE held (n int)", "INSERT INTO held VALUES (1)", "CREATE TABLE locked ()",
	"CREATE TABLE audit_logs (id bigserial PRIMARY KEY, action text NOT NULL, created_at timestamptz NOT NULL)",
	"CREATE TABLE audit_logs_archive (LIKE audit_logs INCLUDING ALL)",
	"CREATE TABLE parted (n int) PARTITION BY RANGE (n)", "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)",
	"INSERT INTO audit_logs (action, created_at) SELECT 'login', now() - g * interval '1 hour' FROM generate_series(1, 3000) g",
	"ANALYZE audit_logs", "DELETE FROM audit_logs WHERE id % 3 = 0",
	"SELECT pg_create_physical_replication_slot('kept', true)",
}

// as is an Env of the role, heard by the recorder.
func (m major) as(t *testing.T, role string) checks.Env {
	t.Helper()
	env := envFor(t, m.server.DSNAs(role, "postgres"))
	serverOf(t, env).config.Tracer = m.heard
	env.Site = majorSite(env.Site)
	return env
}

var allRoles = []string{super, monitor, plain}

// judge runs every module that only reads.
func (m major) judge(t *testing.T) {
	for _, role := range allRoles {
		env := m.as(t, role)
		for _, c := range majorCases {
			check, problems := checks.NewCheck(c.module, c.module.Name, c.raw, checks.Rules{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			runner := checks.NewRunner(env, nil)
			res := checktest.RunCheck(t, runner, check)
			if c.twice { // what it has to compare with is its own first look
				res = checktest.RunCheck(t, runner, check)
			}
			if got, want := verdict(res), c.want(role, m.version); got != want {
				t.Errorf("%d, %s: %s is %q, want %q\nnote: %s\nerror: %s\ndetail: %q\nfacts: %v", m.version, role, c.module.Name, got, want, res.Note, res.Err, res.Detail, res.Facts)
			}
		}
	}
}

// actions looks at the previews of those that change something.
func (m major) actions(t *testing.T) {
	for _, role := range allRoles {
		env := m.as(t, role)
		for _, c := range majorActions {
			check, problems := checks.NewCheck(c.module, c.module.Name, c.raw, checks.Rules{})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			res := checks.NewRunner(env, nil).Preview(t.Context(), check, checks.Own{Token: "opsdeck/majors", Dir: t.TempDir()})
			if got, want := verdict(res), c.want(role, m.version); got != want {
				t.Errorf("%d, %s: the preview of %s is %q, want %q\nnote: %s\nerror: %s\ndetail: %q", m.version, role, c.module.Name, got, want, res.Note, res.Err, res.Detail)
			}
		}
	}
}

// verdict is "warn", or "unknown: denied".
func verdict(res checks.Result) string {
	if res.Class == "" {
		return res.Level.String()
	}
	return res.Level.String() + ": " + string(res.Class)
}

// replay executes every statement that was heard, and those that only an
// action at work would run, as each role. What the server may answer is rows,
// or 42501 to a role that lacks a privilege.
func (m major) replay(t *testing.T) {
	for sql, args := range majorQueries {
		m.heard.TraceQueryStart(t.Context(), nil, pgx.TraceQueryStartData{SQL: sql, Args: args})
	}
	for _, role := range allRoles {
		s := serverOf(t, m.as(t, role))
		for _, sql := range m.heard.statements() {
			err := s.readOnly(t.Context(), "replay", func(ctx context.Context, r *reading) error {
				found, err := r.conn.Query(ctx, sql, m.heard.seen[sql]...)
				if err != nil {
					return err
				}
				found.Close()
				return found.Err()
			})
			if err != nil && !(hasCode(err, denied) && role != super && mayBeDenied(role, sql)) {
				t.Errorf("%d, %s: %v\n%s", m.version, role, err, sql)
			}
		}
	}
}

// mayBeDenied: the site's tables and sequences belong to somebody, and the
// configuration files are the superuser's; of the catalogue a member of
// pg_monitor reads all that the package asks for.
func mayBeDenied(role, sql string) bool {
	if role == plain {
		return true
	}
	return strings.Contains(sql, "FROM ONLY") || strings.Contains(sql, "audit_logs") || sql == fileLinesSQL || sql == straysSQL || sql == lastValuesSQL
}
