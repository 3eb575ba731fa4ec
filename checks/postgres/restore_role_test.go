package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

const oneRow = "COPY public.a (m) FROM stdin;\n1\n\\.\n"

// attacks are statements of a dump that call a function of the dump while it is
// restored. Its text touches a file on the server; no reading of statements
// finds that, for the function may put the text together as it runs.
var attacks = map[string]string{
	"a default":            "CREATE TABLE public.a (n integer DEFAULT public.evil(), m integer);\n" + oneRow,
	"a trigger":            "CREATE TABLE public.a (m integer);\nCREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.trig();\n" + oneRow,
	"an index":             "CREATE TABLE public.a (m integer);\n" + oneRow + "\nCREATE INDEX i ON public.a (public.pure(m));\n",
	"a generated column":   "CREATE TABLE public.a (m integer, g integer GENERATED ALWAYS AS (public.pure(m)) STORED);\n" + oneRow,
	"a check":              "CREATE TABLE public.a (m integer CHECK (public.pure(m) > 0));\n" + oneRow,
	"a materialized view":  "CREATE MATERIALIZED VIEW public.v AS SELECT public.evil() AS n WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.v;\n",
	"text put together":    "CREATE MATERIALIZED VIEW public.v AS SELECT public.built() AS n WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.v;\n",
	"SET ROLE in the text": "CREATE TABLE public.a (n integer DEFAULT public.becomes(), m integer);\n" + oneRow,
}

// attack is a dump with one of them.
func attack(victim, how string) []byte {
	return []byte("--\n-- PostgreSQL database dump\n--\n\nSET check_function_bodies = false;\n" + strings.ReplaceAll(`
CREATE FUNCTION public.evil() RETURNS integer LANGUAGE sql AS $$ COPY (SELECT 1) TO PROGRAM 'touch VICTIM'; SELECT 1 $$;
CREATE FUNCTION public.trig() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN NEW; END $$;
CREATE FUNCTION public.pure(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.evil(); END $$;
CREATE FUNCTION public.built() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ''touch VICTIM'''; RETURN 1; END $$;
CREATE FUNCTION public.becomes() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN SET ROLE postgres; PERFORM public.evil(); RETURN 1; END $$;
`, "VICTIM", victim) + attacks[how] + "\n--\n-- PostgreSQL database dump complete\n--\n\n")
}

func untouched(t *testing.T, victim string) {
	t.Helper()
	if _, err := os.Stat(victim); err == nil {
		t.Errorf("a command of the dump was run as the server's user")
	}
}

func TestCodeOfADumpRunsNoCommandOnTheServer(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 1)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Chmod(filepath.Dir(victim), 0o777); err != nil { // the server's user is another one
		t.Fatal(err)
	}
	for how := range attacks {
		path := d.write(t, "attack.sql", attack(victim, how))
		d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.Server.DSN("postgres")})
		for name, res := range map[string]checks.Result{"preview": d.preview(t, path, fewTables), "act": d.act(t, path, fewTables)} {
			expectText(t, res, checks.Unknown, checks.Denied, "is a superuser, and so would the code in a dump. Nothing was read. Restore as a role that can only create databases: CREATE ROLE opsdeck_verify LOGIN CREATEDB")
			if strings.Contains(res.Err, path) {
				t.Errorf("%s: the dump was looked at: %s", name, res.Err)
			}
		}
		untouched(t, victim)
		d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.Server.DSNAs(restorer, "postgres")})
		d.env.Token += "-" + strconv.Itoa(len(how))
		res := d.act(t, path, map[string]any{"min_tables": 1, "source": "none"})
		if res.Level != checks.Crit || factWord(res, "errors", "") == "0" || factWord(res, "dropped", "") != "true" || !strings.Contains(res.Note, "ERROR:") {
			t.Errorf("%s: %v %s %s %v", how, res.Level, res.Note, res.Err, res.Facts)
		}
		untouched(t, victim)
		d.nothingLeft(t)
	}
}

// TestARoleThatReachesOutOfADatabaseIsRefused: directly, over another role, and
// whether it inherits the right or has to take it with SET ROLE.
func TestARoleThatReachesOutOfADatabaseIsRefused(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 1)
	path := d.dump(t, "plain.sql")
	for i, tt := range []struct{ how, says string }{
		{"SUPERUSER", "is a superuser"},
		{"CREATEROLE", "may create roles"},
		{"REPLICATION", "may replicate"},
		{"IN ROLE pg_execute_server_program", "is a member of pg_execute_server_program, which runs commands"},
		{"IN ROLE pg_read_server_files", "is a member of pg_read_server_files, which reads the server's files"},
		{"IN ROLE pg_write_server_files", "is a member of pg_write_server_files"},
		{"NOINHERIT IN ROLE pg_write_server_files", "is a member of pg_write_server_files"},
		{"IN ROLE pg_signal_backend", "is a member of pg_signal_backend"},
		{"IN ROLE %s_over", "is a member of pg_execute_server_program"},
		{"NOINHERIT IN ROLE postgres", "is a member of postgres, which is a superuser"},
		{"", ""},
	} {
		role := fmt.Sprintf("%s_r%d", d.db.Name, i)
		d.db.Exec(t, "CREATE ROLE "+role+"_over IN ROLE pg_execute_server_program", "CREATE ROLE "+role+" LOGIN CREATEDB "+strings.ReplaceAll(tt.how, "%s", role))
		t.Cleanup(func() { d.db.Exec(t, "DROP ROLE "+role, "DROP ROLE "+role+"_over") })
		d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.Server.DSNAs(role, "postgres")})
		if tt.says == "" {
			expectText(t, d.preview(t, path, fewTables), checks.OK, "", "")
			continue
		}
		expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, "role "+role+" at")
		expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, tt.says)
		expectText(t, d.act(t, filepath.Join(d.dir, "not there"), fewTables), checks.Unknown, checks.Denied, tt.says) // before the file is opened
	}
}

// template makes a template database for a backup set of the drill's directory.
func (d *drill) template(t *testing.T, statements ...string) string {
	t.Helper()
	name := d.db.Name + "_tpl"
	d.db.Exec(t, "CREATE DATABASE "+name+" TEMPLATE template0 IS_TEMPLATE true")
	t.Cleanup(func() { d.db.Exec(t, "ALTER DATABASE "+name+" IS_TEMPLATE false", "DROP DATABASE "+name) })
	end(t, sessionWith(t, d.db.Server.DSN(name), statements...))
	d.env.Site.Backups = map[string]checks.BackupSet{"db": {Name: "db", Dir: d.dir, Glob: "*.sql", Template: name}}
	return name
}

// TestExtensionsComeWithTheTemplate: those that are not trusted, in a dump of
// every format, with a comment that only their owner could write.
func TestExtensionsComeWithTheTemplate(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	d.db.Exec(t, "CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pg_trgm", "CREATE EXTENSION pageinspect", "COMMENT ON EXTENSION pageinspect IS 'ours'",
		"CREATE INDEX similar_names ON users USING gin (name gin_trgm_ops)")
	paths := []string{d.dump(t, "plain.sql"), d.dump(t, "custom.dump", "--format=custom"), d.dump(t, "directory", "--format=directory")}
	for _, path := range paths {
		refused := d.preview(t, path, fewTables)
		expectText(t, refused, checks.Unknown, checks.Denied, "creates the extension pageinspect")
		expectText(t, refused, checks.Unknown, checks.Denied, `as a superuser: CREATE DATABASE "opsdeck_template" TEMPLATE template0 IS_TEMPLATE true; \connect opsdeck_template; CREATE EXTENSION "pageinspect"; then give its backup set template: opsdeck_template`)
	}
	name := d.template(t, "CREATE EXTENSION pageinspect", "CREATE EXTENSION amcheck", "GRANT EXECUTE ON FUNCTION bt_index_check(regclass) TO "+restorer)
	for i, path := range paths {
		d.env.Token, d.env.Dir = fmt.Sprintf("opsdeck/%s-%d", d.db.Name, i), t.TempDir()
		expectText(t, d.preview(t, path, fewTables), checks.OK, "", "of the template "+name)
		res := d.act(t, path, fewTables)
		for _, says := range []string{"3 tables", "COMMENT ON EXTENSION (", "pageinspect 1.", "pg_trgm 1.", "CREATE EXTENSION pg_stat_statements (1)"} {
			expectText(t, res, checks.OK, "", says)
		}
		if factWord(res, "corrupt_indexes", "") != "0" {
			t.Errorf("%s: %v %v", path, res.Facts, res.Detail)
		}
		d.nothingLeft(t)
	}
}

func TestATemplateBringsExtensionsAlone(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 1)
	path := d.dump(t, "plain.sql")
	name := d.template(t, "CREATE EXTENSION pageinspect")
	expectText(t, d.preview(t, path, fewTables), checks.OK, "", "")
	for _, tt := range []struct{ do, says, undo string }{
		{"CREATE TABLE left_over (n integer)", "holds the table public.left_over", "DROP TABLE left_over"},
		{"CREATE FUNCTION f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "holds the function public.f()", "DROP FUNCTION f()"},
		{"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC", "may use the function pg_read_file(text)", "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM PUBLIC"},
		{"GRANT EXECUTE ON FUNCTION lo_export(oid, text) TO " + restorer, "may use the function lo_export(oid,text)", "REVOKE EXECUTE ON FUNCTION lo_export(oid, text) FROM " + restorer},
		{"CREATE EXTENSION dblink", "the extension dblink", "DROP EXTENSION dblink"},
		{"CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO " + restorer, "the foreign-data wrapper postgres_fdw", "DROP EXTENSION postgres_fdw"},
		{"CREATE LANGUAGE sneaky HANDLER plpgsql_call_handler", "the untrusted language sneaky", "DROP LANGUAGE sneaky"},
	} {
		end(t, sessionWith(t, d.db.Server.DSN(name), strings.Split(tt.do, "; ")...))
		expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, tt.says)
		end(t, sessionWith(t, d.db.Server.DSN(name), tt.undo))
	}
	d.db.Exec(t, "ALTER DATABASE "+name+" IS_TEMPLATE false")
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, "IS_TEMPLATE true")
	set := d.env.Site.Backups["db"]
	set.Template = "nowhere"
	d.env.Site.Backups["db"] = set
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Missing, `CREATE DATABASE "nowhere" TEMPLATE template0 IS_TEMPLATE true`)
}

// TestTheRoleIsJudgedOnEveryMajor: predefined roles and what a member of them
// is differ from version to version.
func TestTheRoleIsJudgedOnEveryMajor(t *testing.T) {
	t.Parallel()
	for version := pgserver.OldestMajor; version <= pgserver.NewestMajor; version++ {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			bin, err := pgserver.Major(version)
			if err != nil {
				pgtest.Missing(t, err)
			}
			server := ownServer(t, pgserver.Options{Bin: bin})
			statements := []string{"CREATE ROLE fit LOGIN CREATEDB", "CREATE ROLE runs LOGIN CREATEDB IN ROLE pg_execute_server_program", "CREATE ROLE over LOGIN CREATEDB NOINHERIT IN ROLE postgres"}
			want := map[string]string{"postgres": "is a superuser", "fit": "", "runs": "pg_execute_server_program", "over": "member of postgres"}
			if version >= 16 {
				statements = append(statements, "CREATE ROLE neither LOGIN CREATEDB", "GRANT pg_read_server_files TO neither WITH INHERIT FALSE, SET FALSE, ADMIN TRUE", "CREATE ROLE subscriber LOGIN CREATEDB IN ROLE pg_create_subscription")
				want["neither"], want["subscriber"] = "pg_read_server_files", "pg_create_subscription"
			}
			end(t, sessionWith(t, server.DSN("postgres"), statements...))
			for role, says := range want {
				env := envFor(t, server.DSNAs(role, "postgres"))
				p := &restorePlan{server: serverOf(t, env), connection: "verify", verify: host{Session: role}}
				err := p.harmlessRole(t.Context())
				if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
					t.Errorf("%s on %d: %v, want %q", role, version, err, says)
				}
			}
		})
	}
}
