package sandbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

const (
	// restorer is the role of the sandbox's restore tests: it can create
	// databases and nothing else, because a dump's code runs as the role.
	restorer = "opsdeck_verify"

	// restoreTemplate is what its copies are made of: it has the extensions that
	// only a superuser can create.
	restoreTemplate = "opsdeck_template"
)

// prepareRestores makes the role and the template of restore tests.
func prepareRestores(ctx context.Context, server *pgserver.Server) error {
	if err := execute(ctx, server.DSN("postgres"),
		"CREATE ROLE "+restorer+" LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION",
		"CREATE DATABASE "+restoreTemplate+" TEMPLATE template0 IS_TEMPLATE true"); err != nil {
		return fmt.Errorf("making the role and the template of restore tests: %w", err)
	}
	err := execute(ctx, server.DSN(restoreTemplate),
		"CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION amcheck",
		"GRANT EXECUTE ON FUNCTION bt_index_check(regclass) TO "+restorer)
	if err != nil {
		return fmt.Errorf("filling the template of restore tests: %w", err)
	}
	return nil
}

// execute runs statements, each in its own transaction.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to the sandbox's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the sandbox's own server
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
