package sandbox

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

//go:embed schema.sql
var schema string

// database is the name of the sandbox's database; applications connect by it.
const database = "advanced_lms"

// createDatabase makes the sandbox's database.
func createDatabase(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to the sandbox's server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the sandbox's own server
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return fmt.Errorf("creating the sandbox's database: %w", err)
	}
	return nil
}

// applySchema fills an empty database.
func applySchema(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to the sandbox's database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the sandbox's own server
	// Filling is not what the log of slow statements is about.
	if _, err := conn.Exec(ctx, "SET log_min_duration_statement = -1; "+schema); err != nil {
		return fmt.Errorf("filling the sandbox's database: %w", err)
	}
	return nil
}

// A worker is one application connection that keeps doing something until its
// context ends.
type worker struct {
	app string
	do  func(context.Context, *pgx.Conn) error
}

// traffic runs the platform's database load: readers and writers, a report
// that is slow every time, counters rewritten without vacuum, and a session
// that holds a lock in an open transaction while another waits for it.
func traffic(ctx context.Context, dsn string) {
	for _, w := range []worker{
		{"lms-web", readCourses},
		{"lms-web", writeAudit},
		{"lms-reports", slowReport},
		{"lms-counters", rewriteCounters},
		{"lms-batch", holdLock},
		{"lms-worker", waitForLock},
	} {
		go func() { defer crash.Recover(); w.run(ctx, dsn) }()
	}
}

// run reconnects until ctx ends: a demo survives its database's restart.
func (w worker) run(ctx context.Context, dsn string) {
	for ctx.Err() == nil {
		w.once(ctx, dsn)
		pause(ctx, time.Second)
	}
}

func (w worker) once(ctx context.Context, dsn string) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return // the DSN is our own; it was used to fill the database
	}
	config.RuntimeParams["application_name"] = w.app
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the server may be gone already
	for ctx.Err() == nil && w.do(ctx, conn) == nil {
	}
}

func readCourses(ctx context.Context, c *pgx.Conn) error {
	pause(ctx, 60*time.Millisecond)
	var n int
	return c.QueryRow(ctx, "SELECT count(*) FROM lessons l JOIN course_sections s ON s.id = l.section_id WHERE s.course_id = $1", 1+rand.IntN(60)).Scan(&n)
}

func writeAudit(ctx context.Context, c *pgx.Conn) error {
	pause(ctx, 150*time.Millisecond)
	_, err := c.Exec(ctx, "INSERT INTO audit_logs (user_id, action, ip_address) VALUES ($1, 'view', '192.0.2.1')", 1+rand.IntN(2000))
	return err
}

func slowReport(ctx context.Context, c *pgx.Conn) error {
	var n int64
	err := c.QueryRow(ctx, "SELECT completion_report($1)", 30).Scan(&n)
	pause(ctx, 400*time.Millisecond)
	return err
}

func rewriteCounters(ctx context.Context, c *pgx.Conn) error {
	pause(ctx, 2*time.Second)
	_, err := c.Exec(ctx, "UPDATE view_counters SET views = views + 1")
	return err
}

// The blocker keeps its row long enough to be red, and lets go of it long
// enough for what waits for all older transactions, such as REINDEX
// CONCURRENTLY, to come through.
const (
	heldFor = 70 * time.Second
	freeFor = 20 * time.Second
)

// holdLock is the blocker: idle in a transaction that holds a row.
func holdLock(ctx context.Context, c *pgx.Conn) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE courses SET seats = seats - 1 WHERE id = 7"); err != nil {
		return err
	}
	pause(ctx, heldFor)
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	pause(ctx, freeFor)
	return ctx.Err()
}

// waitForLock is the victim.
func waitForLock(ctx context.Context, c *pgx.Conn) error {
	pause(ctx, 300*time.Millisecond) // let the blocker be first
	_, err := c.Exec(ctx, "UPDATE courses SET seats = seats - 1 WHERE id = 7")
	return err
}
