package postgres

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

// texts are the rows of a query with one column.
func (d dedicated) texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	found, err := d.Query(ctx, sql, args...)
	if err != nil {
		return nil, d.server.explain(ctx, err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return nil, d.server.explain(ctx, err)
	}
	return all, nil
}

// templateOf is the template database of the backup set that a dump is of: the
// set that is named, or the one in whose directory the file lies.
func templateOf(env checks.Env, args checks.Args) (string, error) {
	path, name := args.Text("file"), args.Text("set")
	if path == "" || name != "" {
		set, err := backupSet(env, name)
		return set.Template, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for _, set := range env.Site.Backups {
		if set.Template != "" && filepath.Clean(set.Dir) == filepath.Dir(path) {
			return set.Template, nil
		}
	}
	return "", nil
}

// A templateState is what must be known of a template before it is opened.
type templateState struct{ Clonable, Open bool }

const templateSQL = `
SELECT datistemplate OR pg_has_role(datdba, 'USAGE'), datallowconn AND has_database_privilege(oid, 'CONNECT')
FROM pg_database WHERE datname = $1`

// contentSQL names what a template must not hold: what an extension brings is no
// part of it.
const contentSQL = `
SELECT 'the table ' || c.oid::regclass` + ownTables + `
UNION ALL
SELECT 'the function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`

const installedSQL = "SELECT extname::text FROM pg_extension ORDER BY extname"

// fitTemplate looks at the template, and refuses one that brings more than
// extensions. Without a template the copy is made of template0, which holds
// plpgsql alone.
func (p *restorePlan) fitTemplate(ctx context.Context, env checks.Env) error {
	p.installed = []string{"plpgsql"}
	if p.template == "" {
		return nil
	}
	state, err := many[templateState](ctx, p.server, "the template database", templateSQL, p.template)
	switch {
	case err != nil:
		return err
	case len(state) == 0:
		return checks.Failed(checks.Missing, "the template database %s does not exist at %s: %s",
			p.template, p.server.Target(), templateSteps(p.template, nil))
	case !state[0].Clonable:
		return checks.Failed(checks.Denied, "role %s may not copy the database %s: ALTER DATABASE %s IS_TEMPLATE true",
			p.verify.User, p.template, ident(p.template))
	case !state[0].Open:
		return checks.Failed(checks.Denied, "role %s may not connect to the template database %s, "+
			"so what it holds is not known: GRANT CONNECT ON DATABASE %s TO %s",
			p.verify.User, p.template, ident(p.template), ident(p.verify.User))
	}
	session, err := p.server.dedicated(ctx, env.Token, p.template)
	if err != nil {
		return fmt.Errorf("looking at the template database %s: %w", p.template, err)
	}
	defer session.close()
	content, err := session.texts(ctx, contentSQL)
	if err != nil {
		return fmt.Errorf("looking at the template database %s: %w", p.template, err)
	}
	if len(content) > 0 {
		return checks.Failed(checks.Denied, "the template database %s holds %s: a template for restore tests holds extensions alone",
			p.template, content[0])
	}
	if p.installed, err = session.texts(ctx, installedSQL); err != nil {
		return fmt.Errorf("looking at the template database %s: %w", p.template, err)
	}
	return harmlessDatabase(ctx, session, p.template, p.verify.User)
}

// templateSteps tell a superuser how to make a template with some extensions.
func templateSteps(name string, extensions []string) string {
	steps := []string{"CREATE DATABASE " + ident(name) + " TEMPLATE template0 IS_TEMPLATE true", `\connect ` + name}
	for _, e := range extensions {
		steps = append(steps, "CREATE EXTENSION "+ident(e))
	}
	return "as a superuser: " + strings.Join(steps, "; ")
}

// available is an extension that the server could create.
type available struct {
	Name    string
	Trusted bool
}

const availableSQL = `SELECT name::text, bool_or(trusted) FROM pg_available_extension_versions GROUP BY name`

// extensionsThere: an extension that is not trusted brings code that runs with
// the server's own rights, and the role may not create it. It has to come with
// the template.
func (p *restorePlan) extensionsThere(ctx context.Context, found dumpFindings) error {
	var list []available
	var missing []string
	var first dumpHit
	for _, e := range found.extensions {
		if slices.Contains(p.installed, e.what) || p.dump.leaves(e.what) {
			continue
		}
		if list == nil {
			var err error
			if list, err = many[available](ctx, p.server, "extensions", availableSQL); err != nil {
				return err
			}
		}
		if slices.Contains(list, available{e.what, true}) || slices.Contains(missing, e.what) {
			continue
		}
		if missing = append(missing, e.what); len(missing) == 1 {
			first = e
		}
	}
	if len(missing) == 0 {
		return nil
	}
	steps, name := "", p.template
	if name == "" {
		name = "opsdeck_template"
		steps = fmt.Sprintf("; then give its backup set template: %s", name)
	}
	return checks.Failed(checks.Denied, "the dump creates the extension %s (line %d), which role %s may not create and %s lacks: %s%s",
		strings.Join(missing, ", "), first.line, p.verify.User, orTemplate0(p.template), templateSteps(name, missing), steps)
}

func orTemplate0(template string) string {
	if template == "" {
		return "template0"
	}
	return "the template " + template
}
