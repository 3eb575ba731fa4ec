package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Sequences compares where each sequence is with where it ends: its own limit,
// or that of the column it fills, whichever comes first. An integer column ends
// at 2,147,483,647 however far its bigint sequence may count.
var Sequences = module(checks.Module{
	Name: "pg.sequences",
	Doc:  "Tells how much of each sequence is used up, by the type of the column that it fills",
	Params: []checks.Param{
		limitParam("limit", 50, "how many sequences to list, the fullest first", 500),
	},
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Label: "sequence", Worse: fact.Higher, Optional: true, Doc: "share of a sequence's values that is used up, for those listed that are beyond half"},
		{Name: "worst_used", Type: fact.Percent, Worse: fact.Higher, Doc: "the highest share of all; 0 if there is no sequence; one that starts over is left out"},
		{Name: "worst", Type: fact.Text, Optional: true, Doc: "the sequence with the highest share"},
		{Name: "sequences", Type: fact.Count, Doc: "sequences outside the system schemas"},
		{Name: "unknown", Type: fact.Count, Unit: "sequences", Worse: fact.Higher, Doc: "those whose value this role may not read, or that are locked"},
	},
	Warn: "worst_used > 75%", Fail: "worst_used > 90%", Source: "pgmonitor (75 %), PgHero (90 %)",
	Timeout: 20 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.sequences\nfail: worst_used > 90%",
	Run:     sequences,
})

// A sequence is one of the catalogue, with its value.
type sequence struct {
	OID                          uint32
	Name                         string
	Column, Type                 string // that it fills; several: the one that ends first
	Start, Limit, Step, OwnLimit float64
	Cycle, Readable              bool

	last float64 // NaN: not known
}

// sequencesSQL knows the columns that a sequence belongs to (serial, identity)
// and those whose default draws from it.
const sequencesSQL = `
WITH fills AS (
  SELECT d.objid AS seq, d.refobjid AS rel, d.refobjsubid AS attnum FROM pg_sequence s
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  UNION
  SELECT d.refobjid, f.adrelid, f.adnum FROM pg_sequence s
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.seqrelid AND d.classid = 'pg_attrdef'::regclass AND d.deptype = 'n' JOIN pg_attrdef f ON f.oid = d.objid
), bound AS (
  SELECT DISTINCT ON (f.seq) f.seq, format('%I.%I.%I', tn.nspname, t.relname, a.attname) AS col, a.atttypid,
         CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 WHEN 'int8'::regtype THEN 9223372036854775807 END::float8 AS most
  FROM fills f JOIN pg_attribute a ON a.attrelid = f.rel AND a.attnum = f.attnum JOIN pg_class t ON t.oid = f.rel JOIN pg_namespace tn ON tn.oid = t.relnamespace
  ORDER BY f.seq, most NULLS LAST, col
)
SELECT c.oid, format('%I.%I', n.nspname, c.relname), coalesce(b.col, ''), format_type(coalesce(b.atttypid, s.seqtypid), NULL), s.seqstart::float8,
       CASE WHEN s.seqincrement > 0 THEN least(s.seqmax::float8, b.most) ELSE greatest(s.seqmin::float8, -b.most - 1) END, s.seqincrement::float8,
       CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END::float8, s.seqcycle,
       has_sequence_privilege(c.oid, 'SELECT, USAGE') AND NOT (pg_is_in_recovery() AND c.relpersistence = 'u')
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN bound b ON b.seq = c.oid
WHERE c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 2`

// lastValuesSQL opens each sequence, so it leaves out those that somebody has
// locked in a way that would make it wait, or waits for.
const lastValuesSQL = `
SELECT o::oid, coalesce(pg_sequence_last_value(o), 'NaN'::float8)::float8, pg_sequence_last_value(o) IS NULL FROM unnest($1::oid[]) o
WHERE NOT EXISTS (
  SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
  WHERE l.locktype = 'relation' AND l.relation = o AND l.pid IS DISTINCT FROM pg_backend_pid() AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))`

// sequencesAtOnce bounds the locks of one transaction: each sequence that is
// read takes one of the few that all sessions share.
const sequencesAtOnce = 200

func sequences(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	found, err := many[sequence](ctx, s, "pg.sequences", sequencesSQL)
	if err != nil {
		return f, err
	}
	why, err := s.lastValues(ctx, found)
	if err != nil {
		return f, err
	}
	return sequenceFindings(f, found, why, args.Int("limit"))
}

// lastValues fills in where the sequences are, batch by batch. The first reason
// for which a batch was refused is enough.
func (s *Server) lastValues(ctx context.Context, all []sequence) (reason string, err error) {
	type value struct {
		OID    uint32
		Last   float64
		Unused bool
	}
	byOID := map[uint32]*sequence{}
	var readable []uint32
	for i := range all {
		all[i].last = math.NaN()
		byOID[all[i].OID] = &all[i]
		if all[i].Readable {
			readable = append(readable, all[i].OID)
		}
	}
	for batch := range slices.Chunk(readable, sequencesAtOnce) {
		values, why, err := part[value](ctx, s, "values of sequences", lastValuesSQL, batch)
		if err != nil {
			return reason, err
		}
		reason = cmp.Or(reason, why)
		for _, v := range values {
			q := byOID[v.OID]
			q.last = v.Last
			if v.Unused {
				q.last = q.Start - q.Step
			}
		}
	}
	return reason, nil
}

func (q sequence) known() bool { return !math.IsNaN(q.last) }

// used is the share of the way from its start to its end, in percent.
func (q sequence) used() float64 {
	return max(0, 100*(q.last-q.Start+q.Step)/(q.Limit-q.Start+q.Step))
}

// left is how many values are left.
func (q sequence) left() float64 { return max(0, math.Floor((q.Limit-q.last)/q.Step)) }

// startsOver: it never ends, unless its column does before.
func (q sequence) startsOver() bool { return q.Cycle && q.Limit == q.OwnLimit }

func sequenceFindings(f checks.Findings, found []sequence, why string, limit int) (checks.Findings, error) {
	slices.SortStableFunc(found, func(a, b sequence) int {
		if a.known() != b.known() {
			return cmp.Compare(boolean(b.known()), boolean(a.known()))
		}
		if !a.known() {
			return 0
		}
		return cmp.Or(cmp.Compare(boolean(a.startsOver()), boolean(b.startsOver())), cmp.Compare(b.used(), a.used()))
	})
	unknown, unread := 0, 0
	for _, q := range found {
		unknown += boolean(!q.known())
		unread += boolean(!q.Readable)
	}
	f.Tables = []checks.Table{sequencesTable(found[:min(limit, len(found))])}
	if unknown > 0 && unknown == len(found) {
		if unread == unknown {
			return f, checks.Failed(checks.Denied, "the role may read none of %d sequences: GRANT SELECT ON ALL SEQUENCES", unknown)
		}
		return f, checks.Failed(checks.Timeout, "none of %d sequences could be read: %s", unknown, cmp.Or(why, "another session has locked them"))
	}
	if unread > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d sequences are not known: the role has neither SELECT nor USAGE on them", unread))
	}
	if locked := unknown - unread; locked > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d sequences are not known: %s", locked, cmp.Or(why, "another session has locked them")))
	}
	f.Note = "no sequences outside the system schemas"
	worst := 0.0
	if len(found) > 0 {
		f.Note = fmt.Sprintf("%d sequences, none has an end", len(found))
		if first := found[0]; !first.startsOver() {
			worst = first.used()
			f.Note = fmt.Sprintf("%s %s used, %s left", word(first.Name).Text, fact.PctValue(worst), fact.FormatNumber(first.left()))
			f.Facts = append(f.Facts, fact.Of("worst", word(first.Name)))
		}
	}
	f.Facts = append(f.Facts, fact.Pct("worst_used", worst), fact.Number("sequences", len(found)), fact.Number("unknown", unknown))
	for _, q := range found[:min(limit, len(found))] {
		if q.known() && !q.startsOver() && q.used() > 50 {
			f.Facts = append(f.Facts, fact.Pct("used", q.used()).On(word(q.Name).Text))
		}
	}
	return f, nil
}

func sequencesTable(found []sequence) checks.Table {
	t := checks.Table{Name: "sequences", Columns: []checks.Column{
		{Name: "used", Type: fact.Percent}, {Name: "sequence", Type: fact.Text}, {Name: "column", Type: fact.Text}, {Name: "type", Type: fact.Text},
		{Name: "last", Type: fact.Count}, {Name: "limit", Type: fact.Count}, {Name: "left", Type: fact.Count}, {Name: "cycle", Type: fact.Bool},
	}}
	for _, q := range found {
		used, left := math.NaN(), math.NaN()
		if q.known() {
			used, left = q.used(), q.left()
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.PctValue(used), word(q.Name), word(q.Column), word(q.Type),
			fact.NumberValue(q.last), fact.NumberValue(q.Limit), fact.NumberValue(left), fact.FlagValue(q.startsOver()),
		})
	}
	return t
}
