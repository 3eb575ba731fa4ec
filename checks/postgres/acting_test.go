package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestActingHasASessionOfItsOwnUnderTheToken(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	s := serverOf(t, envFor(t, db.DSN))
	watch := db.Connect(t)
	settings := map[string]string{"lock_timeout": "5000", "statement_timeout": "1min", checkInterval: "0"}
	err := s.acting(t.Context(), "opsdeck/a1", settings, func(ctx context.Context, conn *pgx.Conn) error {
		var lock, path, name, readOnly string
		err := conn.QueryRow(ctx, "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_setting('application_name'), current_setting('transaction_read_only')").
			Scan(&lock, &path, &name, &readOnly)
		if err != nil {
			return err
		}
		if lock != "5s" || path != "pg_catalog" || name != "opsdeck/a1" || readOnly != "off" {
			t.Errorf("lock_timeout %s, search_path %s, application_name %s, read only %s", lock, path, name, readOnly)
		}
		if _, err := conn.Exec(ctx, "VACUUM pg_catalog.pg_class"); err != nil {
			t.Errorf("not outside of a transaction: %v", err)
		}
		if err := s.acting(ctx, "opsdeck/a2", nil, nil); err == nil || !strings.Contains(err.Error(), "already acts") {
			t.Errorf("a second deed at the same time: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, watch, "the session is gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'opsdeck/a1')")
	if n := s.dials.Load(); n != 0 {
		t.Errorf("the session of the checks was opened %d times", n)
	}
}

func TestActingRefusesASettingThatTheServerDoesNotTake(t *testing.T) {
	t.Parallel()
	s := serverOf(t, envFor(t, scratch(t).DSN))
	err := s.acting(t.Context(), "opsdeck/a3", map[string]string{"lock_timeout": "soon"}, func(context.Context, *pgx.Conn) error {
		t.Error("the deed was begun")
		return nil
	})
	if checks.ClassOf(err) != checks.Parse || !strings.Contains(err.Error(), "lock_timeout") {
		t.Errorf("%s: %v", checks.ClassOf(err), err)
	}
	if err := s.acting(t.Context(), "opsdeck/a3", nil, func(context.Context, *pgx.Conn) error { return nil }); err != nil {
		t.Errorf("the next deed: %v", err)
	}
}

func TestCancellingADeedCancelsItAtTheServer(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	s := serverOf(t, envFor(t, db.DSN))
	watch := db.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- s.acting(ctx, "opsdeck/a4", nil, func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SELECT pg_sleep(600)")
			return err
		})
	}()
	eventually(t, watch, "it sleeps", "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'opsdeck/a4' AND wait_event = 'PgSleep')")
	cancel()
	err := <-ended
	if !errors.Is(err, context.Canceled) || !hasCode(err, queryCanceled) {
		t.Errorf("the deed ended with %v", err)
	}
	eventually(t, watch, "the session is gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'opsdeck/a4')")
}

// A pooler gives each statement whatever session is free, and tells its
// clients a process id of its own.
func TestActingRefusesAPooler(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	dsn := serve(t, func(client net.Conn) {
		server, err := net.Dial("unix", filepath.Join(db.Server.SocketDir(), fmt.Sprintf(".s.PGSQL.%d", db.Server.Port())))
		if err != nil {
			return
		}
		defer server.Close()
		go io.Copy(server, client) //nolint:errcheck // ends with either side
		greeting := make([]byte, 4096)
		n, err := server.Read(greeting)
		key := bytes.Index(greeting[:n], []byte{'K', 0, 0, 0, 12})
		if err != nil || key < 0 {
			return
		}
		greeting[key+8]++ // the last byte of the process id
		if _, err := client.Write(greeting[:n]); err == nil {
			io.Copy(client, server) //nolint:errcheck // ends with either side
		}
	}) + " user=" + super + " dbname=" + db.Name
	s := serverOf(t, envFor(t, dsn))
	err := s.acting(t.Context(), "opsdeck/a5", nil, func(context.Context, *pgx.Conn) error {
		t.Error("the deed was begun")
		return nil
	})
	if checks.ClassOf(err) != checks.Unconfigured || !strings.Contains(err.Error(), "pooler") {
		t.Errorf("%s: %v", checks.ClassOf(err), err)
	}
}

func TestActionsUseTheConnectionMadeForThem(t *testing.T) {
	t.Parallel()
	dsn := "postgres://somebody@127.0.0.1:1/none"
	both := envFor(t, dsn, checks.Connection{Kind: kind, Name: "maintain", DSN: dsn}, checks.Connection{Kind: kind, Name: "other", DSN: dsn})
	named := both
	named.Connection = "other"
	for _, tt := range []struct {
		env  checks.Env
		want string
	}{{both, "maintain"}, {named, "other"}, {envFor(t, dsn), "main"}} {
		s, err := actingServer(tt.env)
		if err != nil || s.name != tt.want {
			t.Errorf("got %v, %v, want %s", s, err, tt.want)
		}
	}
}

// TestWhatAServerDoesWithoutUsIsRecorded with every action: whether it goes on
// when the session's client has died depends on a setting that is ours.
func TestWhatAServerDoesWithoutUsIsRecorded(t *testing.T) {
	found := 0
	for _, m := range Family().Modules {
		if m.Effect == checks.ReadOnly {
			continue
		}
		found++
		if m == Cancel || m == Terminate {
			continue // a signal is sent in an instant: there is no middle of it to die in
		}
		if !strings.HasSuffix(m.Crash, finishesSaid) && !strings.HasSuffix(m.Crash, givesUpSaid) {
			t.Errorf("%s does not say its %s: %s", m.Name, checkInterval, m.Crash)
		}
	}
	if found < 8 {
		t.Errorf("%d actions", found)
	}
}
