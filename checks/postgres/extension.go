package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Extension creates an extension where it is missing and can work.
var Extension = module(checks.Module{
	Name:   "pg.extension",
	Doc:    "Creates an extension in the database, once, if its library is loaded; does nothing where it is there",
	Effect: checks.Reversible, Danger: 1, Repeatable: true,
	Crash: "the extension is there as a whole or not at all" + givesUpSaid,
	Params: []checks.Param{
		{Name: "name", Type: checks.TextParam, Default: "pg_stat_statements", OneOf: []string{"pg_stat_statements", "pgstattuple", "pg_buffercache", "pg_trgm"}, Doc: "the extension"},
		lockTimeoutParam(),
	},
	Facts: []fact.Spec{
		{Name: "installed", Type: fact.Bool, Doc: "it is in this database"},
		{Name: "preloaded", Type: fact.Bool, Doc: "its library is loaded at the server's start, or need not be"},
		{Name: "created", Type: fact.Bool, Optional: true, Doc: "this run created it"},
		checks.DoneFact,
	},
	Fail: "installed == false or preloaded == false", Source: "proposed",
	Timeout: time.Minute,
	Example: "use: pg.extension\nwith: {name: pg_stat_statements}",
	Preview: previewExtension, Run: createExtension, Probe: probeExtension,
})

// An extensionState is how a database has an extension.
type extensionState struct {
	Installed, Available bool
	Preload              string
	Owner, Super         bool
	Trusted              bool
}

const extensionStateSQL = `
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = $1), EXISTS (SELECT FROM pg_available_extensions WHERE name = $1),
       coalesce((SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'), ''), has_database_privilege(current_database(), 'CREATE'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), coalesce((SELECT bool_or(trusted) FROM pg_available_extension_versions WHERE name = $1), false)`

func surveyExtension(ctx context.Context, env checks.Env, name string) (u *upkeep, state extensionState, preloaded bool, err error) {
	u, err = survey(ctx, env, func(ctx context.Context, u *upkeep, r *reading) (err error) {
		state, err = row[extensionState](ctx, r, extensionStateSQL, name)
		if err == nil && name == "pg_stat_statements" && !u.settings.MaySeeOthers && state.Preload == "" {
			return checks.Failed(checks.Denied, "%s may not see which libraries are loaded: GRANT pg_monitor", u.settings.User)
		}
		return err
	})
	loaded := strings.FieldsFunc(state.Preload, func(c rune) bool { return c == ',' || c == ' ' || c == '"' })
	return u, state, name != "pg_stat_statements" || slices.Contains(loaded, name), err
}

func previewExtension(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	name := args.Text("name")
	u, state, preloaded, err := surveyExtension(ctx, env, name)
	if err != nil {
		return checks.Findings{}, err
	}
	switch {
	case !preloaded:
		return checks.Findings{}, checks.Failed(checks.Refused, "%s is not in shared_preload_libraries: it would be created and each look into it would fail; add it there and restart the server in a window", name)
	case state.Installed:
		return checks.Findings{}, checks.NotHere{What: name + " is in " + u.database.Name + " already"}
	case !state.Available:
		return checks.Findings{}, checks.Failed(checks.Missing, "the server has no files of %s: install postgresql-contrib", name)
	case !state.Super && !(state.Trusted && state.Owner):
		return checks.Findings{}, checks.Failed(checks.Denied, "%s may not create %s: a superuser can (a connection named maintain)", u.settings.User, name)
	}
	f := u.preview("extension", nil, "CREATE EXTENSION "+name+" in "+u.database.Name)
	f.Fingerprint += " " + name
	f.Facts = []fact.Fact{fact.Flag("installed", false), fact.Flag("preloaded", true)}
	return f, nil
}

func createExtension(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	name := args.Text("name")
	u, state, preloaded, err := surveyExtension(ctx, env, name)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: u.database.Name, Facts: []fact.Fact{fact.Flag("installed", true), fact.Flag("preloaded", preloaded), fact.Flag("created", !state.Installed)}}
	f.Note = fmt.Sprintf("%s is in %s", name, u.database.Name)
	if state.Installed || !preloaded {
		f.Facts[0] = fact.Flag("installed", state.Installed)
		return f, nil
	}
	err = u.server.act(ctx, deed{token: env.Token, settings: map[string]string{
		"lock_timeout": milliseconds(args.Duration("lock_timeout")), "search_path": "public", checkInterval: givesUp,
	}, say: env.Printf}, func(ctx context.Context, conn *pgx.Conn) error {
		if err := u.claim(ctx, conn); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS "+ident(name))
		return err
	})
	return f, err
}

func probeExtension(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, state, preloaded, err := surveyExtension(ctx, env, args.Text("name"))
	if err != nil {
		return checks.Findings{}, err
	}
	return checks.Findings{Target: u.database.Name, Facts: []fact.Fact{
		fact.Flag("installed", state.Installed), fact.Flag("preloaded", preloaded), fact.Flag("done", state.Installed && preloaded),
	}}, nil
}
