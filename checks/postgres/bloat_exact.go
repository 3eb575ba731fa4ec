package postgres

import (
	"context"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// extensionAtSQL is where an extension's functions are.
const extensionAtSQL = `
SELECT e.extversion, quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1`

// A measuredTable is what pgstattuple_approx found. Pages that the visibility
// map calls all visible are not read: their free room is taken from the free
// space map.
type measuredTable struct {
	Name                 string
	Size, Dead, Free     float64 // bytes
	DeadRows, ScannedPct float64
}

const exactBloatSQL = `
SELECT format('%%I.%%I', n.nspname, c.relname), b.table_len::float8, b.dead_tuple_len::float8, b.approx_free_space::float8, b.dead_tuple_count::float8, b.scanned_percent
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL %s.pgstattuple_approx(c.oid) b
WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'm')`

// exactBloat reads one table, as far as it has to.
func exactBloat(ctx context.Context, s *Server, table string) (checks.Findings, error) {
	type place struct{ Version, Schema string }
	f := checks.Findings{Target: s.Target()}
	at, err := many[place](ctx, s, "pg.bloat", extensionAtSQL, "pgstattuple")
	if err != nil {
		return f, err
	}
	if len(at) == 0 {
		return f, checks.Failed(checks.Missing, "the extension pgstattuple is not in %s: pg.extension would create it", s.Target())
	}
	found, err := many[measuredTable](ctx, s, "pg.bloat", fmt.Sprintf(exactBloatSQL, at[0].Schema), table)
	if err != nil {
		return f, err
	}
	if len(found) == 0 {
		return f, checks.Failed(checks.NoData, "there is no table %s", table)
	}
	m := found[0]
	name, wasted := word(m.Name).Text, m.Dead+m.Free
	share := 100 * wasted / max(1, m.Size)
	f.Note = fmt.Sprintf("%s %s of %s, measured", name, fact.PctValue(share), fact.FormatBytes(m.Size))
	f.Facts = []fact.Fact{
		fact.Pct("bloat", share).On(name), fact.Pct("worst_bloat", share), fact.Size("wasted", wasted), fact.Number("tables", 1), fact.Number("unknown", 0), fact.Word("worst", name),
	}
	f.Detail = []string{fmt.Sprintf("%s of dead rows (%s) and %s of free room; %s of its pages were read, the rest is all visible", fact.FormatBytes(m.Dead), fact.FormatNumber(m.DeadRows), fact.FormatBytes(m.Free), fact.PctValue(m.ScannedPct))}
	f.Tables = []checks.Table{{Name: "tables", Columns: bloatColumns, Rows: [][]fact.Value{{
		fact.WordValue(name), fact.SizeValue(m.Size), fact.WordValue(fact.FormatBytes(wasted)), fact.WordValue(fact.PctValue(share).String()), fact.WordValue("exact"), none,
	}}}}
	return f, nil
}
