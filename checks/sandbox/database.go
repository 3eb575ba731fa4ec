package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

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
	if err := applySchema(ctx, server.DSN(database)); err != nil {
		return err
	}
	mu.Lock()
	addr.owner, addr.verify = server.DSN(database), server.DSN("postgres")
	addr.postgres, addr.postgresLog = server.DSNAs("opsdeck_monitor", database), server.LogFile()
	mu.Unlock()
	traffic(ctx, server.DSN(database))
	return nil
}
