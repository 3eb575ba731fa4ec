package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Server is one named connection to a PostgreSQL, dialled on first use.
//
// It holds at most one session, shared by all checks of the process: a check
// waits for its turn (its own deadline included) and a new session is not
// opened before the last one is gone. A monitor that opens a session a poll
// uses up max_connections behind the first stuck lock. The session is kept
// while idle: on a server that fills up it is the operator's seat.
type Server struct {
	name   string // of the connection, in the site file
	config *pgx.ConnConfig
	use    string

	seat chan struct{} // capacity 1: its holder owns the fields up to the blank line
	conn *pgx.Conn
	gone <-chan struct{} // closed when the last session is gone
	bare bool            // start-up parameters were refused: a pooler is in front
	wait backoff

	settings  atomic.Pointer[Settings]
	holder    atomic.Pointer[turn]
	dials     atomic.Int64 // sessions opened, ever
	commits   atomic.Int64 // own transactions, for pg.tps to leave out
	rollbacks atomic.Int64
	acts      atomic.Bool // a session of an action is open: see act
	refused   sync.Map    // part of a check -> refusal: see part

	spent     atomic.Int64 // nanoseconds that its checks had the session: see ownCost
	spendings spendings    // of pg.statements
	lives     lifeline     // restarts and failovers that were noticed
	wal       walRate      // of pg.wal and pg.replication

	life context.Context // ends with Close
	end  context.CancelFunc
	now  func() time.Time
}

// turn says who holds the seat.
type turn struct {
	what  string
	since time.Time
}

// Settings are what the session runs under, as the server itself reports them.
type Settings struct {
	Version              int    // 150020
	VersionText          string // "15.20"
	User, Database       string
	PID                  int    // of the session's backend
	ApplicationName      string // "opsdeck/1.2.0 alice"
	StatementTimeout     string // "5s", of the first transaction
	LockTimeout          string
	IdleInTransaction    string
	ReadOnly             bool // of the transactions
	ReadOnlyByDefault    bool // of the session; false through some poolers
	SearchPath           string
	MaySeeOthers         bool // member of pg_read_all_stats, as pg_monitor is
	StartParamsRefused   bool // a pooler refused them; SET LOCAL does the work
	TrackCounts, Tracked bool // track_counts, track_activities
}

// maxMessage bounds one message from the server, and so one row.
const maxMessage = 16 << 20

// connectTimeout bounds one attempt at one address.
const connectTimeout = 5 * time.Second

// Open makes a Server of a connection of the site file. It does not touch the
// network. The password comes from the connection's Secret, or from where libpq
// would take it.
func Open(c checks.Connection) (*Server, error) {
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, checks.Failed(checks.Unconfigured, "postgres connection %q: %s", c.Name, withoutPassword(err.Error(), c.Password.Reveal()))
	}
	if !c.Password.IsZero() {
		config.Password = c.Password.Reveal()
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectTimeout {
		config.ConnectTimeout = connectTimeout
	}
	config.MaxProtocolMessageBodyLen = maxMessage
	// The unnamed statement only: named ones do not survive a pooler.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity = 0
	config.DescriptionCacheCapacity = 0
	life, end := context.WithCancel(context.Background())
	return &Server{
		name: c.Name, config: config, use: c.Use,
		seat: make(chan struct{}, 1), life: life, end: end, now: time.Now,
	}, nil
}

// Close ends the session, and the query in flight if there is one.
func (s *Server) Close() error {
	s.end()
	select {
	case s.seat <- struct{}{}: // never given back: a closed Server stays closed
		s.drop()
	case <-time.After(time.Second):
		return fmt.Errorf("closing postgres connection %q: a query does not end", s.name)
	}
	return nil
}

// Settings are those of the session as the server reported them when it was
// opened; false before the first session.
func (s *Server) Settings() (Settings, bool) {
	p := s.settings.Load()
	if p == nil {
		return Settings{}, false
	}
	return *p, true
}

// Setting is the value of a server setting as SHOW prints it. The checks of the
// server's log ask whether silence means anything.
func (s *Server) Setting(ctx context.Context, name string) (string, error) {
	found, err := one[struct{ Value string }](ctx, s, "setting "+name, "SELECT pg_catalog.current_setting($1) AS value", name)
	return found.Value, err
}

// Target names the database and the place: "lms@db1:5432". It holds no password.
func (s *Server) Target() string {
	host := s.config.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(s.config.Port)))
	}
	return s.config.Database + "@" + host
}

// startParams are asked for when a session is opened. What a check needs is
// set again in each transaction: a pooler may have dropped these.
func startParams() map[string]string {
	return map[string]string{
		"application_name":                    applicationName(),
		"statement_timeout":                   "5s",
		"lock_timeout":                        lockTimeout,
		"idle_in_transaction_session_timeout": idleTimeout,
		"default_transaction_read_only":       "on",
	}
}

// applicationName tells the server's own administrators who is looking:
// "opsdeck/VERSION USER", within the 63 bytes that PostgreSQL keeps.
func applicationName() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version = strings.TrimPrefix(info.Main.Version, "v")
	}
	who := os.Getenv("SUDO_USER")
	if u, err := user.Current(); err == nil && who == "" {
		who = u.Username
	}
	name := "opsdeck/" + version + " " + who
	return name[:min(len(name), 63)]
}
