package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	scratchPrefix   = "opsdeck_verify_"
	scratchSessions = 5 // one restores, one looks, the rest is for a person

	databaseInUse = "55006"
)

// scratchName carries the token: what a test that died has left is known by it.
func scratchName(token, asked string) string {
	_, part, _ := strings.Cut(token, "/")
	return cmp.Or(asked, scratchPrefix+cmp.Or(strings.ToLower(part), "TOKEN"))
}

var scratchNames = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,62}$`)

func checkScratchName(value any) error {
	name, ok := value.(string)
	if ok && name != "" && (!scratchNames.MatchString(name) || slices.Contains([]string{"postgres", "template0", "template1"}, name)) {
		return fmt.Errorf("%q is no name for a scratch database: small letters, digits, _ and -", name)
	}
	return nil
}

// A scratchDatabase is a database as the server lists it; most are nobody's scratch.
type scratchDatabase struct {
	Name, Comment string
	Size          int64
	Sessions      int
	Owned         bool // by a role that we are
	Working       bool // a session with the token of its comment is there
}

const scratchesSQL = `
SELECT datname::text, coalesce(shobj_description(d.oid, 'pg_database'), ''),
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN coalesce(pg_database_size(d.oid), 0) ELSE 0 END,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid)::int,
       pg_has_role(datdba, 'USAGE'),
       EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name = split_part(shobj_description(d.oid, 'pg_database'), ' ', 1) AND a.application_name LIKE 'opsdeck/%')
FROM pg_database d ORDER BY datname`

func (s *Server) scratches(ctx context.Context) ([]scratchDatabase, error) {
	return many[scratchDatabase](ctx, s, "scratch databases", scratchesSQL)
}

// scratchComment marks a database of ours. It repeats the name, so that a
// database that was renamed to be kept is not ours any more.
func scratchComment(token, name string, at time.Time) string {
	return token + " " + at.UTC().Format(time.RFC3339) + " restore test " + name
}

// Token is the token of the test that made the database; "" if none did.
func (d scratchDatabase) Token() string {
	parts := strings.Fields(d.Comment)
	if len(parts) != 5 || !strings.HasPrefix(parts[0], "opsdeck/") || parts[2] != "restore" || parts[4] != d.Name {
		return ""
	}
	return parts[0]
}

// At is when it was made, by its comment.
func (d scratchDatabase) At() time.Time {
	if parts := strings.Fields(d.Comment); len(parts) > 1 {
		if at, err := time.Parse(time.RFC3339, parts[1]); err == nil {
			return at
		}
	}
	return time.Time{}
}

// busy: the test that made it is still at work, or somebody looks at what it
// left, or it is not ours to drop.
func (d scratchDatabase) busy() bool { return d.Working || d.Sessions > 0 || !d.Owned }

func droppable(all []scratchDatabase) []scratchDatabase {
	return slices.DeleteFunc(slices.Clone(all), scratchDatabase.busy)
}

// atWork reports whether a session of this token is there.
func (s *Server) atWork(ctx context.Context, token string) (bool, error) {
	found, err := one[struct{ There bool }](ctx, s, "sessions of the action",
		`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid())`, token)
	return found.There, err
}

// A dedicated session is the action's own, beside the one of the checks. The
// server lists it under the token for as long as the action lives.
type dedicated struct {
	*pgx.Conn
	server *Server
}

// dedicated opens a session; a database other than "" replaces the connection's.
func (s *Server) dedicated(ctx context.Context, token, database string) (dedicated, error) {
	config := s.config.Copy()
	config.Database = cmp.Or(database, config.Database)
	config.RuntimeParams["application_name"] = token
	config.RuntimeParams["lock_timeout"] = "10s"
	config.RuntimeParams["search_path"] = "pg_catalog"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return dedicated{}, s.explain(ctx, err)
	}
	return dedicated{conn, s}, nil
}

func (d dedicated) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	d.Close(ctx) //nolint:errcheck // closed either way
}

// do runs one statement outside of a transaction.
func (d dedicated) do(ctx context.Context, sql string) error {
	if _, err := d.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return d.server.explain(ctx, err)
	}
	return nil
}

func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// createScratch makes the database, marks it, and closes it to everybody else:
// it is about to hold a copy of the site's data.
func (p *restorePlan) createScratch(ctx context.Context, env checks.Env, admin dedicated) error {
	name := ident(p.scratch)
	env.Printf("creating %s at %s", p.scratch, p.server.Target())
	create := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s CONNECTION LIMIT %d",
		name, ident(cmp.Or(p.template, "template0")), scratchSessions)
	if err := admin.do(ctx, create); err != nil {
		return fmt.Errorf("creating database %s: %w", p.scratch, err)
	}
	err := admin.do(ctx, "COMMENT ON DATABASE "+name+" IS "+quoteText(scratchComment(env.Token, p.scratch, clock(env))))
	if err == nil {
		err = admin.do(ctx, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC")
	}
	if err == nil {
		err = p.assertEmpty(ctx, env.Token)
	}
	if err != nil {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
		defer cancel()
		return errors.Join(fmt.Errorf("preparing database %s: %w", p.scratch, err), admin.do(after, "DROP DATABASE "+name))
	}
	return nil
}

// assertEmpty: what was there before would be counted as restored, and what
// reaches out of the database would be at the dump's hand.
func (p *restorePlan) assertEmpty(ctx context.Context, token string) error {
	session, err := p.server.dedicated(ctx, token, p.scratch)
	if err != nil {
		return err
	}
	defer session.close()
	var tables int
	if err := session.QueryRow(ctx, countTablesSQL).Scan(&tables); err != nil {
		return p.server.explain(ctx, err)
	}
	if tables > 0 {
		return checks.Failed(checks.Other, "it holds %d tables although it is new", tables)
	}
	return harmlessDatabase(ctx, session, p.scratch, p.verify.User)
}

const dropTimeout = 60 * time.Second

// dropScratch drops the database if its name and its comment are those that
// this action gave it. It has a time of its own: the action's may be over.
func (p *restorePlan) dropScratch(ctx context.Context, env checks.Env) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	admin, err := p.server.dedicated(ctx, env.Token, "")
	if err != nil {
		return fmt.Errorf("dropping %s: %w", p.scratch, err)
	}
	defer admin.close()
	d := scratchDatabase{Name: p.scratch}
	err = admin.QueryRow(ctx, "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1", p.scratch).Scan(&d.Comment)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("dropping %s: %w", p.scratch, p.server.explain(ctx, err))
	case d.Token() != env.Token || env.Token == "":
		return checks.Failed(checks.Other, "%s is not dropped: its comment %q is not the one it was given", p.scratch, d.Comment)
	}
	if err := admin.do(ctx, "DROP DATABASE "+ident(p.scratch)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping %s: %w", p.scratch, err)
	}
	env.Printf("dropped %s", p.scratch)
	return nil
}

// dropLeftovers drops what tests that died have left, unless somebody is in it.
func (p *restorePlan) dropLeftovers(ctx context.Context, env checks.Env, admin dedicated) error {
	for _, d := range droppable(p.leftovers) {
		env.Printf("dropping %s, left by %s", d.Name, d.Token())
		err := admin.do(ctx, "DROP DATABASE IF EXISTS "+ident(d.Name))
		switch {
		case hasCode(err, databaseInUse):
			env.Printf("%s stays: somebody uses it", d.Name)
		case err != nil:
			return fmt.Errorf("dropping %s, left by %s: %w", d.Name, d.Token(), err)
		}
	}
	return nil
}
