package postgres

import (
	"context"
	"fmt"
	"regexp"
)

// An index is one of a table of ours as the catalogue has it.
type index struct {
	OID, Table   uint32
	Schema, Name string
	Label        string // quoted where needed
	Size         float64
	File         uint32
	Valid        bool
	Building     bool // a session builds or rebuilds it, or may: the role cannot see
	Exclusion    bool
	Tablespace   uint32
	Own          bool
	TableLabel   string
	TableName    string
}

// indexesSQL: a build in flight is an index that is not valid yet. Who may not
// see others' progress sees the lock on the table.
const indexesSQL = `
SELECT x.oid, i.indrelid, n.nspname::text, x.relname::text, format('%%I.%%I', n.nspname, x.relname), greatest(x.relpages, 0)::float8 * b.size,
       coalesce(pg_relation_filenode(x.oid), 0)::oid, i.indisvalid AND i.indisready,
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.datid = d.oid AND (p.index_relid = x.oid OR p.relid = i.indrelid OR p.relid IS NULL AND p.index_relid IS NULL))
         OR NOT i.indisvalid AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.database = d.oid AND l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock'),
       i.indisexclusion, CASE x.reltablespace WHEN 0 THEN d.dattablespace ELSE x.reltablespace END,
       pg_has_role(x.relowner, 'USAGE') OR %s, format('%%I.%%I', tn.nspname, c.relname), c.relname::text
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'm') AND c.relpersistence <> 't' JOIN pg_namespace tn ON tn.oid = c.relnamespace
JOIN pg_database d ON d.datname = current_database() CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) b
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
ORDER BY tn.nspname, c.relname, x.relname`

func (r *reading) indexes(ctx context.Context, version int) ([]index, error) {
	return rows[index](ctx, r, fmt.Sprintf(indexesSQL, mayMaintain.at(version)))
}

// leftoverName is what REINDEX CONCURRENTLY calls an index that nobody uses
// yet (ccnew) or any more (ccold).
var leftoverName = regexp.MustCompile(`_cc(new|old)\d*$`)

// leftover reports what of a REINDEX CONCURRENTLY that did not end is left.
func (x index) leftover() bool { return !x.Valid && !x.Building && leftoverName.MatchString(x.Name) }

// advice is what to do about a leftover; nothing is dropped unasked.
func (x index) advice() string {
	why := whyNew
	if leftoverName.FindStringSubmatch(x.Name)[1] == "old" {
		why = whyOld
	}
	return fmt.Sprintf("DROP INDEX CONCURRENTLY %s; -- %s", ident(x.Schema, x.Name), why)
}

// called reports whether a person means this index by the name.
func (x index) called(name string) bool {
	return userTable{Schema: x.Schema, Name: x.Name, Label: x.Label}.called(name)
}
