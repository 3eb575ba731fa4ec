package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A dump is a program: its functions, defaults, triggers and views run while it
// is restored, with every right of the role that restores it. Reading the dump
// first cannot find what a function's text puts together when it runs. So the
// role must be one that can do nothing but fill a database of its own.
//
// Not refused, and why: BYPASSRLS, pg_read_all_data and pg_write_all_data, for
// a session reaches no database but the copy; pg_monitor and its parts, which
// only read statistics; a database that the role owns, which is said.

// guardedRoles are PostgreSQL's own roles that reach out of a database, and what
// they allow.
var guardedRoles = map[string]string{
	"pg_execute_server_program": "runs commands as the server's user",
	"pg_read_server_files":      "reads the server's files",
	"pg_write_server_files":     "writes the server's files",
	"pg_signal_backend":         "ends the sessions of others",
	"pg_create_subscription":    "makes the server connect elsewhere",
}

// A power is a role that the drill's role is, or may become or use.
type power struct {
	Role                           string
	Super, CreateRole, Replication bool
}

// powersSQL asks for the session's user: SET ROLE of the connection takes no
// right away, for code of the dump may RESET it. MEMBER counts what is inherited
// and what SET ROLE reaches, at any distance, and what could be granted by
// WITH ADMIN. The superuser is a member of all roles, so itself comes first.
const powersSQL = `
SELECT rolname::text, rolsuper, rolcreaterole, rolreplication
FROM pg_roles
WHERE pg_has_role(session_user, oid, 'MEMBER')
  AND (rolsuper OR rolcreaterole OR rolreplication OR rolname = ANY($1))
ORDER BY rolname <> session_user, NOT rolsuper, rolname`

// harmlessRole refuses a role with which a dump could do more than fill a
// database. Nothing of the dump was read by then.
func (p *restorePlan) harmlessRole(ctx context.Context) error {
	names := make([]string, 0, len(guardedRoles))
	for name := range guardedRoles {
		names = append(names, name)
	}
	found, err := many[power](ctx, p.server, "rights of the role for the restore test", powersSQL, names)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	return checks.Failed(checks.Denied, "role %s at %s %s, and so would the code in a dump. Nothing was read. "+
		"Restore as a role that can only create databases: %s; and name it in the dsn of connection %q",
		p.verify.Session, p.server.Target(), found[0].describe(p.verify.Session), rightRole, p.connection)
}

// rightRole makes a role for restore tests.
const rightRole = "CREATE ROLE opsdeck_verify LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION PASSWORD '...'"

func (w power) describe(user string) string {
	var what string
	switch {
	case w.Super:
		what = "is a superuser"
	case w.CreateRole:
		what = "may create roles and grant them (CREATEROLE)"
	case w.Replication:
		what = "may replicate (REPLICATION)"
	default:
		return fmt.Sprintf("is a member of %s, which %s", w.Role, guardedRoles[w.Role])
	}
	if w.Role != user {
		return fmt.Sprintf("is a member of %s, which %s", w.Role, what)
	}
	return what
}

// guardedFunctions are those of the server that reach its files. By default only
// superusers and the roles above may call them; a GRANT lasts in a database and
// in what is made of it.
var guardedFunctions = []string{
	"pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file", "lo_import", "lo_export",
	"pg_file_write", "pg_file_rename", "pg_file_unlink", "pg_file_read",
}

const reachSQL = `
SELECT 'the untrusted language ' || lanname FROM pg_language
WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c') AND has_language_privilege(session_user, oid, 'USAGE')
UNION ALL
SELECT 'the function ' || oid::regprocedure FROM pg_proc WHERE proname = ANY($1) AND has_function_privilege(session_user, oid, 'EXECUTE')
UNION ALL
SELECT 'the foreign server ' || srvname FROM pg_foreign_server WHERE has_server_privilege(session_user, oid, 'USAGE')
UNION ALL
SELECT 'the foreign-data wrapper ' || fdwname FROM pg_foreign_data_wrapper
WHERE has_foreign_data_wrapper_privilege(session_user, oid, 'USAGE')
UNION ALL
SELECT 'the extension dblink, which connects to other servers' FROM pg_extension WHERE extname = 'dblink'`

// harmlessDatabase refuses a database in which the role may use what reaches out
// of it.
func harmlessDatabase(ctx context.Context, session dedicated, name, user string) error {
	found, err := session.texts(ctx, reachSQL, guardedFunctions)
	if err != nil {
		return fmt.Errorf("looking at what %s may use in %s: %w", user, name, err)
	}
	if len(found) == 0 {
		return nil
	}
	return checks.Failed(checks.Denied, "in database %s role %s may use %s, with which the code of a dump could leave its database: "+
		"take it out, or revoke it from %s and from PUBLIC",
		name, user, strings.Join(found[:min(3, len(found))], ", "), user)
}
