package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
)

// mostRows bounds an answer: a pool is a database and a user.
const mostRows = 5000

// A console is the admin console. It is dialled for each look: it counts as a
// client, and costs no server connection.
type console struct {
	name   string
	config *pgconn.Config
}

// Close has nothing to close.
func (*console) Close() error { return nil }

func (c *console) target() string { return fmt.Sprintf("%s:%d", c.config.Host, c.config.Port) }

// show asks the console by SHOW; rows are maps, since columns differ by version.
func (c *console) show(ctx context.Context, whats ...string) ([][]map[string]string, error) {
	conn, err := pgconn.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // only read from
	var all [][]map[string]string
	for _, what := range whats {
		found, err := read(ctx, conn, "SHOW "+what)
		if err != nil {
			return nil, c.explain(ctx, fmt.Errorf("SHOW %s: %w", what, err))
		}
		all = append(all, found)
	}
	return all, nil
}

func read(ctx context.Context, conn *pgconn.PgConn, sql string) ([]map[string]string, error) {
	var found []map[string]string
	results := conn.Exec(ctx, sql)
	for results.NextResult() {
		r := results.ResultReader()
		for r.NextRow() {
			if len(found) >= mostRows {
				continue
			}
			row := map[string]string{}
			for i, v := range r.Values() {
				row[r.FieldDescriptions()[i].Name] = string(v)
			}
			found = append(found, row)
		}
	}
	return found, results.Close()
}

func (c *console) explain(ctx context.Context, err error) error {
	class := checks.Refused
	var answered *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		class = checks.Timeout
	case errors.As(err, &answered):
		class = checks.Denied // the console knows its admin_users and stats_users only
	}
	return checks.Failed(class, "pgbouncer %s at %s: %w", c.name, c.target(), err)
}

// number is a column that must be there: an absent one is not 0.
func number(row map[string]string, name string) (float64, error) {
	text, there := row[name]
	n, err := strconv.ParseFloat(text, 64)
	if !there || err != nil {
		return 0, checks.Failed(checks.Parse, "the console's %s is %q, no number", name, text)
	}
	return n, nil
}
