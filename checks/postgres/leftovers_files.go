package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// straysSQL lists the directories of the connection's database, in every
// tablespace, and keeps what pg_class does not know. A file of a table that was
// just dropped is empty until the next checkpoint, and so is left out.
//
// The superuser may list them, or who was granted EXECUTE on both functions.
const straysSQL = `
WITH place AS (
  SELECT t.oid AS space, CASE WHEN t.spcname = 'pg_default' THEN 'base/' || d.oid ELSE 'pg_tblspc/' || t.oid || '/' || v.dir || '/' || d.oid END AS dir
  FROM pg_database d CROSS JOIN pg_tablespace t
  LEFT JOIN LATERAL (SELECT dir FROM pg_ls_dir('pg_tblspc/' || t.oid, true, false) dir WHERE dir LIKE 'PG\_' || current_setting('server_version_num')::int / 10000 || '\_%') v ON true
  WHERE d.datname = current_database() AND t.spcname <> 'pg_global'
), known AS (
  SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace) AS space, coalesce(nullif(c.relfilenode, 0), pg_relation_filenode(c.oid)) AS node
  FROM pg_class c JOIN pg_database d ON d.datname = current_database() WHERE c.relkind IN ('r', 'i', 't', 'm', 'S')
), file AS MATERIALIZED (
  SELECT p.space, substring(f FROM '^[0-9]+')::oid AS node, p.dir, f AS name
  FROM place p CROSS JOIN LATERAL pg_ls_dir(p.dir, true, false) f WHERE f ~ '^[0-9]+([._][a-z0-9.]+)?$'
), stray AS (
  SELECT f.space, f.node, f.dir, sum(s.size)::float8 AS size, max(s.modification) AS written
  FROM file f CROSS JOIN LATERAL pg_stat_file(f.dir || '/' || f.name, true) s
  WHERE NOT EXISTS (SELECT FROM known k WHERE k.space = f.space AND k.node = f.node)
  GROUP BY 1, 2, 3
)
SELECT s.space, s.node, s.dir || '/' || s.node, s.size, extract(epoch FROM clock_timestamp() - s.written)::float8, s.written >= w.since,
       count(*) FILTER (WHERE s.written < w.since) OVER (), coalesce(sum(s.size) FILTER (WHERE s.written < w.since) OVER (), 0), count(*) FILTER (WHERE s.written >= w.since) OVER ()
FROM stray s CROSS JOIN (` + workSinceSQL + `) w(since)
WHERE s.size > 0 ORDER BY s.size DESC, s.space, s.node LIMIT 100`

// workSinceSQL is since when somebody may have been at work in this database
// without a break: whoever made a file that is older than that has ended. It is
// for ever while a prepared transaction is open, whose beginning nobody knows, on
// a standby, whose transactions are its primary's, and to a role that may not see
// when others' transactions began.
const workSinceSQL = `
SELECT CASE WHEN EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database()) OR pg_is_in_recovery() OR NOT pg_has_role('pg_read_all_stats', 'usage') THEN '-infinity'
       ELSE least(min(a.xact_start), statement_timestamp()) - interval '1 second' END
FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()`

// A strayNode is a file by its numbers.
type strayNode struct{ Space, Node uint32 }

// strayNodesSQL are those of the files $1, $2 that belong to no table.
const strayNodesSQL = `
WITH known AS (
  SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace) AS space, coalesce(nullif(c.relfilenode, 0), pg_relation_filenode(c.oid)) AS node
  FROM pg_class c JOIN pg_database d ON d.datname = current_database() WHERE c.relkind IN ('r', 'i', 't', 'm', 'S')
)
SELECT f.space, f.node FROM unnest($1::oid[], $2::oid[]) f(space, node) WHERE NOT EXISTS (SELECT FROM known k WHERE k.space = f.space AND k.node = f.node)`

// directory is what must be known to read the files without the server.
type directory struct {
	Database, Space uint32 // the database and its own tablespace
	Default         uint32 // the tablespace whose files are in base
	Major           int
	Data            string
	Started, Since  time.Time // Since: see workSinceSQL
	Prehistoric     bool      // since for ever
}

const directorySQL = `
SELECT d.oid, d.dattablespace, (SELECT oid FROM pg_tablespace WHERE spcname = 'pg_default'), current_setting('server_version_num')::int / 10000,
       coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'), ''), pg_postmaster_start_time(),
       CASE WHEN w.since = '-infinity' THEN 'epoch' ELSE w.since END, w.since = '-infinity'
FROM pg_database d CROSS JOIN (` + workSinceSQL + `) w(since) WHERE d.datname = current_database()`

// straysHere reads the directories of a server of this host.
func (s *Server) straysHere(ctx context.Context) (strays, error) {
	d, err := one[directory](ctx, s, "pg.leftovers", directorySQL)
	if err != nil {
		return strays{}, err
	}
	settings, _ := s.Settings()
	u := &upkeep{server: s, settings: settings, database: upkeepDatabase{Data: d.Data, Started: d.Started}}
	data, err := u.onThisHost()
	if err != nil {
		return strays{}, err
	}
	files, err := d.files(ctx, data)
	if err != nil {
		return strays{}, err
	}
	var spaces, nodes []uint32
	for n := range files {
		spaces, nodes = append(spaces, n.Space), append(nodes, n.Node)
	}
	unknown, err := many[strayNode](ctx, s, "pg.leftovers", strayNodesSQL, spaces, nodes)
	if err != nil {
		return strays{}, err
	}
	var found []stray
	for _, n := range unknown {
		x, err := d.measure(data, n, files[n], s.now())
		if err != nil {
			return strays{}, err
		}
		if x.Size > 0 {
			found = append(found, x)
		}
	}
	return sumUp(found), nil
}

// relationFile is a file of a relation: 16384, 16384.1, 16384_fsm.
var relationFile = regexp.MustCompile(`^([0-9]+)([._][a-z0-9.]+)?$`)

// files lists the relation files of the database in every tablespace, as paths
// within the data directory.
func (d directory) files(ctx context.Context, data string) (map[strayNode][]string, error) {
	found := map[strayNode][]string{}
	for space, dir := range d.places(data) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(filepath.Join(data, dir))
		if errors.Is(err, fs.ErrNotExist) && space != d.Space {
			continue // nothing of this database there
		}
		if err != nil {
			return nil, checks.Failed(checks.Denied, "reading the database's directory: %w", err)
		}
		for _, e := range entries {
			parts := relationFile.FindStringSubmatch(e.Name())
			if parts == nil {
				continue
			}
			node, err := strconv.ParseUint(parts[1], 10, 32)
			if err != nil {
				continue // no number of a relation
			}
			key := strayNode{space, uint32(node)}
			found[key] = append(found[key], filepath.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// places are the directories of the database by tablespace.
func (d directory) places(data string) map[uint32]string {
	database := strconv.FormatUint(uint64(d.Database), 10)
	all := map[uint32]string{d.Default: filepath.Join("base", database)}
	versions, err := filepath.Glob(filepath.Join(data, "pg_tblspc", "*", fmt.Sprintf("PG_%d_*", d.Major)))
	if err != nil {
		return all // the pattern is well formed
	}
	for _, v := range versions {
		space, err := strconv.ParseUint(filepath.Base(filepath.Dir(v)), 10, 32)
		if err == nil {
			all[uint32(space)] = filepath.Join("pg_tblspc", filepath.Base(filepath.Dir(v)), filepath.Base(v), database)
		}
	}
	return all
}

func (d directory) measure(data string, n strayNode, paths []string, now time.Time) (stray, error) {
	x := stray{Space: n.Space, Node: n.Node}
	var written time.Time
	for _, p := range paths {
		info, err := os.Stat(filepath.Join(data, p))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return x, checks.Failed(checks.Denied, "measuring a file of no table: %w", err)
		}
		x.Size += float64(info.Size())
		if info.ModTime().After(written) {
			written = info.ModTime()
		}
		x.Path = strings.TrimSuffix(p, relationFile.FindStringSubmatch(filepath.Base(p))[2])
	}
	x.Age = now.Sub(written).Seconds()
	x.AtWork = d.Prehistoric || !written.Before(d.Since)
	return x, nil
}
