package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Wraparound tells how far each database is from the end of its transaction
// and multixact ids, and who keeps VACUUM from moving that end away.
//
// Beyond 100 % of autovacuum_freeze_max_age the server vacuums by itself, which
// is ordinary work: only well beyond it does something hold it back. The
// comparison is with the server's own setting, which hosting vendors raise.
var Wraparound = module(checks.Module{
	Name: "pg.wraparound",
	Doc:  "Tells how old the oldest transaction and multixact ids are against the server's own limits, and which session, prepared transaction, slot or standby holds them",
	Facts: []fact.Spec{
		{Name: "xid_age", Type: fact.Count, Unit: "transactions", Worse: fact.Higher, Doc: "age of the oldest transaction id of any database"},
		{Name: "xid_used", Type: fact.Percent, Worse: fact.Higher, Doc: "the same as a share of autovacuum_freeze_max_age"},
		{Name: "mxid_age", Type: fact.Count, Unit: "multixacts", Worse: fact.Higher, Doc: "age of the oldest multixact id of any database"},
		{Name: "mxid_used", Type: fact.Percent, Worse: fact.Higher, Doc: "the same as a share of autovacuum_multixact_freeze_max_age"},
		{Name: "left", Type: fact.Count, Unit: "transactions", Worse: fact.Lower, Doc: "transactions until the server refuses to begin one that writes"},
		{Name: "oldest", Type: fact.Text, Doc: "the database that is closest to its end"},
		{Name: "holder", Type: fact.Text, Optional: true, Doc: "who holds back the most transactions; absent if nobody holds back any"},
		{Name: "held", Type: fact.Count, Unit: "transactions", Worse: fact.Higher, Optional: true, Doc: "how many these are; absent where this role may not see everybody"},
		{Name: "prepared", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "prepared transactions that wait for their second phase"},
		{Name: "prepared_age", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the oldest of them was prepared; 0 if there is none"},
	},
	Warn: "xid_used > 110% or mxid_used > 110% or xid_age > 500000000 and xid_used > 100% or mxid_age > 500000000 and mxid_used > 100% or prepared_age > 5m",
	Fail: "xid_used > 150% or mxid_used > 150% or xid_age > 1000000000 and xid_used > 100% or mxid_age > 1000000000 and mxid_used > 100% " +
		"or xid_age > 1600000000 or mxid_age > 1600000000 or prepared_age > 1h",
	Source:  "pgmonitor, postgres-checkup, PostgreSQL's failsafe age",
	Timeout: 10 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.wraparound\nfail: xid_used > 150%",
	Run:     wraparound,
})

// stopMargin: so many transactions before the end the server refuses to assign
// new ids (3,000,000 from version 14 on, a million before; the larger is safe).
const stopMargin = 3_000_000

// idSpace is how many ids lie before the end: half of 32 bits.
const idSpace = 1<<31 - 1

// A frozenDatabase is a database by its oldest ids.
type frozenDatabase struct {
	Name              string
	XIDs, MXIDs       float64 // ages
	XIDUsed, MXIDUsed float64 // percent of the server's settings
}

// worst is what of the two is closer to its end.
func (d frozenDatabase) worst() float64 { return max(d.XIDUsed, d.MXIDUsed) }

const frozenDatabasesSQL = `
SELECT datname::text, age(datfrozenxid)::float8, mxid_age(datminmxid)::float8,
       100 * age(datfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8, 100 * mxid_age(datminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8
FROM pg_database ORDER BY greatest(age(datfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8, mxid_age(datminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8) DESC, 1`

// A frozenTable is one of the tables that keep their database's ids old.
type frozenTable struct {
	Name        string
	XIDs, MXIDs float64
	Size        float64 // bytes, by the catalogue
}

// frozenTablesSQL names a TOAST table by the table it belongs to.
const frozenTablesSQL = `
WITH oldest AS (
  SELECT oid, relname, relnamespace, relkind, relpages, age(relfrozenxid)::float8 AS xids, mxid_age(relminmxid)::float8 AS mxids
  FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relfrozenxid <> '0'
  ORDER BY greatest(age(relfrozenxid) / (SELECT current_setting('autovacuum_freeze_max_age')::float8), mxid_age(relminmxid) / (SELECT current_setting('autovacuum_multixact_freeze_max_age')::float8)) DESC, relpages DESC
  LIMIT 20
)
SELECT CASE o.relkind WHEN 't' THEN 'TOAST of ' || coalesce(d.refobjid::regclass::text, o.relname) ELSE format('%I.%I', n.nspname, o.relname) END, o.xids, o.mxids,
       o.relpages * current_setting('block_size')::float8
FROM oldest o JOIN pg_namespace n ON n.oid = o.relnamespace
LEFT JOIN pg_depend d ON o.relkind = 't' AND d.classid = 'pg_class'::regclass AND d.objid = o.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
ORDER BY o.xids DESC, o.relpages DESC`

func wraparound(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	databases, err := many[frozenDatabase](ctx, s, "pg.wraparound", frozenDatabasesSQL)
	if err != nil {
		return f, err
	}
	if len(databases) == 0 {
		return f, checks.Failed(checks.NoData, "postgres %s lists no database", s.name)
	}
	var missing partial
	tables, why, err := part[frozenTable](ctx, s, "oldest tables", frozenTablesSQL)
	if err != nil {
		return f, err
	}
	missing.miss("which tables are the oldest is", why)
	holders, err := s.holders(ctx, &missing)
	if err != nil {
		return f, err
	}
	reportDatabases(&f, databases)
	holders.report(&f)
	f.Detail = append(f.Detail, missing...)
	f.Tables = []checks.Table{frozenDatabasesTable(databases), frozenTablesTable(tables), holdersTable(holders.all)}
	return f, nil
}

func reportDatabases(f *checks.Findings, databases []frozenDatabase) {
	var most frozenDatabase
	oldest := databases[0]
	for _, d := range databases {
		most.XIDs, most.XIDUsed = max(most.XIDs, d.XIDs), max(most.XIDUsed, d.XIDUsed)
		most.MXIDs, most.MXIDUsed = max(most.MXIDs, d.MXIDs), max(most.MXIDUsed, d.MXIDUsed)
		if d.worst() > oldest.worst() {
			oldest = d
		}
	}
	f.Note = fmt.Sprintf("%s: %s of its freeze age, multixacts %s", word(oldest.Name).Text, fact.PctValue(oldest.XIDUsed), fact.PctValue(oldest.MXIDUsed))
	f.Facts = []fact.Fact{
		fact.Number("xid_age", most.XIDs), fact.Pct("xid_used", most.XIDUsed), fact.Number("mxid_age", most.MXIDs), fact.Pct("mxid_used", most.MXIDUsed),
		fact.Number("left", left(most.XIDs)), fact.Of("oldest", word(oldest.Name)),
	}
	if most.MXIDUsed > 100 {
		f.Detail = append(f.Detail, "the members of multixacts have a space of their own, which no view shows: the server vacuums earlier when that fills up")
	}
}

func left(age float64) float64 { return max(0, idSpace-stopMargin-age) }

func frozenDatabasesTable(databases []frozenDatabase) checks.Table {
	t := checks.Table{Name: "databases", Columns: []checks.Column{
		{Name: "database", Type: fact.Text}, {Name: "xid_age", Type: fact.Count}, {Name: "xid_used", Type: fact.Percent},
		{Name: "mxid_age", Type: fact.Count}, {Name: "mxid_used", Type: fact.Percent}, {Name: "left", Type: fact.Count}, {Name: "mxid_left", Type: fact.Count},
	}}
	for _, d := range databases {
		t.Rows = append(t.Rows, []fact.Value{
			word(d.Name), fact.NumberValue(d.XIDs), fact.PctValue(d.XIDUsed), fact.NumberValue(d.MXIDs), fact.PctValue(d.MXIDUsed),
			fact.NumberValue(left(d.XIDs)), fact.NumberValue(left(d.MXIDs)),
		})
	}
	return t
}

func frozenTablesTable(tables []frozenTable) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "xid_age", Type: fact.Count}, {Name: "mxid_age", Type: fact.Count}, {Name: "size", Type: fact.Bytes},
	}}
	for _, x := range tables {
		t.Rows = append(t.Rows, []fact.Value{word(x.Name), fact.NumberValue(x.XIDs), fact.NumberValue(x.MXIDs), fact.SizeValue(x.Size)})
	}
	return t
}
