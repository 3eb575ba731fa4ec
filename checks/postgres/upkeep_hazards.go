package postgres

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// holderAge: a younger transaction is everyday life.
const holderAge = time.Minute

// An xminHolder keeps rows from being removed and builds from being finished.
type xminHolder struct {
	What string
	Age  *float64 // seconds
	XIDs float64  // transactions since
}

// xminHoldersSQL: sessions of this database, connected standbys with feedback,
// prepared transactions and slots. VACUUMs hold nobody up, our own session
// neither. $1 is the least age in seconds of a session's transaction.
const xminHoldersSQL = `
SELECT * FROM (
  SELECT 'session ' || a.pid || ' (' || coalesce(a.usename, '?') || ', ' || coalesce(nullif(a.application_name, ''), 'no name') || ', ' || coalesce(a.state, '?') || ')' AS what,
         extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age, coalesce(age(coalesce(a.backend_xmin, a.backend_xid)), 0)::float8 AS xids
  FROM pg_stat_activity a
  WHERE (a.datname = current_database() AND a.xact_start < clock_timestamp() - make_interval(secs => $1::float8) OR a.backend_type = 'walsender' AND a.backend_xmin IS NOT NULL)
    AND a.pid <> pg_backend_pid() AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
  UNION ALL
  SELECT 'prepared transaction ' || quote_literal(gid), extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)::float8
  FROM pg_prepared_xacts WHERE database = current_database()
  UNION ALL
  SELECT 'replication slot ' || slot_name, NULL, age(xmin)::float8 FROM pg_replication_slots WHERE xmin IS NOT NULL
) h ORDER BY xids DESC, age DESC NULLS LAST LIMIT 5`

func (h xminHolder) String() string {
	if h.Age == nil {
		return fmt.Sprintf("%s for %s transactions", h.What, fact.FormatNumber(h.XIDs))
	}
	return fmt.Sprintf("%s for %s", h.What, fact.FormatDuration(seconds(*h.Age).Round(time.Second)))
}

// holdUp says before, not after, that dead rows will stay or that a build will wait.
func (u *upkeep) holdUp(consequence string) {
	for _, h := range u.holders {
		u.careful("%s: held by %s", consequence, h)
	}
	if !u.settings.MaySeeOthers {
		u.careful("%s is not a member of pg_monitor and cannot see how old other roles' transactions are", u.settings.User)
	}
}

// A locker is another session with a lock on a table.
type locker struct {
	Table   uint32
	PID     int
	Mode    string
	Granted bool
	Session string
	Vacuums bool // or analyses, builds an index, rewrites

}

// lockersSQL needs no privilege: locks are visible to everybody. $1 is the
// database.
const lockersSQL = `
SELECT l.relation, l.pid, l.mode, l.granted,
       coalesce(a.usename, a.backend_type, '?') || ', ' || coalesce(nullif(a.application_name, ''), a.backend_type, 'no name') || coalesce(', ' || a.state, ''),
       l.mode = 'ShareUpdateExclusiveLock'
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'm', 'p') AND c.oid >= 16384 LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.database = $1 AND l.pid <> pg_backend_pid()
ORDER BY l.relation, l.pid LIMIT 5000`

func (l locker) String() string { return fmt.Sprintf("session %d (%s)", l.PID, l.Session) }

// busy is a session that vacuums, analyses or builds on the table now.
func (u *upkeep) busy(table uint32) (locker, bool) {
	i := slices.IndexFunc(u.lockers, func(l locker) bool { return l.Table == table && l.Vacuums })
	if i < 0 {
		return locker{}, false
	}
	return u.lockers[i], true
}

// withoutBusy leaves out the tables that somebody vacuums already: our lock
// request would end an autovacuum that is at work.
func (u *upkeep) withoutBusy(tables []userTable) ([]userTable, error) {
	var free []userTable
	for _, r := range tables {
		if l, busy := u.busy(r.OID); busy {
			u.leave(r.Label, fmt.Sprintf("%s works on it already (%s)", l, l.Mode))
			continue
		}
		free = append(free, r)
	}
	if len(free) == 0 {
		return nil, checks.Failed(checks.Refused, "nothing is left to do: %s", u.left[0])
	}
	return free, nil
}

// inUse says who has the tables open: an exclusive lock has to wait for them,
// and everybody behind it.
func (u *upkeep) inUse(tables []userTable) {
	for _, r := range tables {
		pids := map[int]bool{}
		var first locker
		for _, l := range u.lockers {
			if l.Table != r.OID {
				continue
			}
			if len(pids) == 0 {
				first = l
			}
			pids[l.PID] = true
		}
		switch len(pids) {
		case 0:
		case 1:
			u.careful("%s is in use by %s", r.Label, first)
		default:
			u.careful("%s is in use by %d sessions, %s among them", r.Label, len(pids), first)
		}
	}
}

// A disk is a file system of the server, as far as it can be seen from here.
type disk struct {
	path string
	free float64 // bytes; -1: cannot be told
	why  string
}

// diskOf looks at a directory of the server, if this is the server's host:
// somebody else's disk under the same path would be a lie.
func (u *upkeep) diskOf(location string) disk {
	d := disk{path: location, free: -1}
	if d.path == "" {
		d.path = u.database.Data
	}
	switch at, err := u.onThisHost(); {
	case err != nil:
		d.why = err.Error()
	default:
		if location == "" {
			d.path = at
		}
		var st unix.Statfs_t
		if err := unix.Statfs(d.path, &st); err != nil {
			d.why = fmt.Sprintf("%s: %v", d.path, err)
			return d
		}
		d.free = float64(st.Bavail) * float64(st.Frsize)
	}
	return d
}

// startSlack is the most by which postmaster.pid and the server may differ in
// when the server was started.
const startSlack = 5 * time.Second

// onThisHost is the data directory, if it is one of this host: its
// postmaster.pid must tell of the very server that answers.
func (u *upkeep) onThisHost() (string, error) {
	address := u.server.config.Host
	ip := net.ParseIP(address)
	if !strings.HasPrefix(address, "/") && address != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("the server is on %s, another host", address)
	}
	if u.database.Data == "" {
		return "", fmt.Errorf("%s may not know the data directory (pg_monitor may)", u.settings.User)
	}
	text, err := hostfs.Read(filepath.Join(u.database.Data, "postmaster.pid"), 64<<10)
	if err != nil {
		return "", fmt.Errorf("it is not certain that %s is on this host: %w", u.database.Data, err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 {
		return "", fmt.Errorf("%s/postmaster.pid is not complete", u.database.Data)
	}
	at, err := strconv.ParseInt(strings.TrimSpace(lines[2]), 10, 64)
	if err != nil || time.Unix(at, 0).Sub(u.database.Started).Abs() > startSlack {
		return "", fmt.Errorf("%s on this host belongs to another server", u.database.Data)
	}
	return u.database.Data, nil
}

// room refuses what the disk cannot hold and says what cannot be told.
func (u *upkeep) room(location, what string, need float64) error {
	d := u.diskOf(location)
	switch {
	case d.free < 0:
		u.careful("it cannot be told whether the disk has the %s that %s needs: %s", fact.FormatBytes(need), what, d.why)
	case d.free < need:
		return checks.Failed(checks.Limit, "%s needs %s on %s, which has %s free", what, fact.FormatBytes(need), d.path, fact.FormatBytes(d.free))
	}
	return nil
}

const walSegment = 16 << 20 // less is nothing to speak of

// written says what goes into the write-ahead log, and who keeps it there.
func (u *upkeep) written(size float64) {
	if u.database.WALLevel == "minimal" || size < walSegment {
		return
	}
	where := "pg_wal"
	if u.database.Archiving {
		where += " and the archive"
	}
	u.careful("about %s go to %s and to every standby", fact.FormatBytes(size), where)
	if u.database.InactiveSlots > 0 {
		u.careful("%d replication slots have no reader and keep all of it in pg_wal", u.database.InactiveSlots)
	}
	if d := u.diskOf(""); d.free >= 0 {
		d = u.diskOf(filepath.Join(d.path, "pg_wal"))
		if d.free >= 0 && d.free < size {
			u.careful("pg_wal has %s free", fact.FormatBytes(d.free))
		}
	}
}
