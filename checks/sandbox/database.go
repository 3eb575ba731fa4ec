package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// startPostgres starts and fills the database, or says how to get one.
func (s *Sandbox) startPostgres(ctx context.Context, opts Options, addr *addresses, mu *sync.Mutex, say func(string, ...any)) error {
	bin, err := pgserver.Find()
	if errors.Is(err, pgserver.ErrNotFound) && opts.Fetch {
		say("no PostgreSQL on this machine: fetching one into the user's cache, once")
		bin, err = pgserver.Fetch(ctx, func(line string) { say("%s", line) })
	}
	if err != nil {
		s.miss(mu, err)
		return nil
	}
	say("starting PostgreSQL from %s", bin)
	server, err := pgserver.Start(ctx, pgserver.Options{Dir: filepath.Join(s.Dir, "pg"), Bin: bin, Settings: map[string]string{
		"log_min_duration_statement": "150ms", // the slow report shows up in the log, as on a site that looks for slow queries
		"log_lock_waits":             "on",
		"deadlock_timeout":           "1s",
		"log_line_prefix":            "%m [%p] %q%u@%d ",
		"log_timezone":               "UTC",
		"timezone":                   "UTC",
	}})
	if err != nil {
		return fmt.Errorf("starting the sandbox's PostgreSQL: %w", err)
	}
	mu.Lock()
	s.postgres, s.programs = server, bin
	mu.Unlock()
	say("filling the database")
	if err := createDatabase(ctx, server.DSN("postgres")); err != nil {
		return err
	}
	if err := prepareRestores(ctx, server); err != nil {
		return err
	}
	if err := applySchema(ctx, server.DSN(database)); err != nil {
		return err
	}
	if opts.Bloat > 0 {
		say("making a table of %s, half of it dead", fact.FormatBytes(float64(opts.Bloat)))
		if err := bloat(ctx, server.DSN(database), opts.Bloat); err != nil {
			return err
		}
	}
	mu.Lock()
	addr.owner, addr.verify = server.DSN(database), server.DSNAs(restorer, "postgres")
	addr.postgres, addr.postgresLog = server.DSNAs("opsdeck_monitor", database), server.LogFile()
	mu.Unlock()
	traffic(ctx, server.DSN(database))
	return nil
}

// bloatedRow is what a row of the bloated table takes, its indexes left out.
const bloatedRow = 455

// bloat makes a table of that many bytes, indexes left out, and deletes every second row, before
// any session is there whose old snapshot would keep them.
func bloat(ctx context.Context, dsn string, bytes int64) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to the sandbox's database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))                                              //nolint:errcheck // the sandbox's own server
	for _, sql := range strings.Split(fmt.Sprintf(bloatSQL, max(1, bytes/bloatedRow)), ";") { // each commits: what is deleted is dead for everybody
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("making the bloated table: %w", err)
		}
	}
	return nil
}

const bloatSQL = `SET log_min_duration_statement = -1;
CREATE TABLE public.quiz_answers (id bigint, quiz_id int, answer text) WITH (autovacuum_enabled = false);
INSERT INTO public.quiz_answers SELECT g, (g::bigint * 7919) %% 1000003, repeat(md5(g::text), 12) FROM generate_series(1, %d) g;
ALTER TABLE public.quiz_answers ADD PRIMARY KEY (id);
CREATE INDEX ON public.quiz_answers (quiz_id);
CREATE INDEX ON public.quiz_answers (answer);
DELETE FROM public.quiz_answers WHERE id %% 2 = 0;
ANALYZE public.quiz_answers;
GRANT SELECT ON public.quiz_answers TO opsdeck_monitor`
