package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Bloat estimates the room that tables take beyond what their rows need. It
// reads no table for that: an exact answer would, page by page, and is given for
// one table that is named, never as a sweep.
var Bloat = module(checks.Module{
	Name: "pg.bloat",
	Doc:  "Estimates from the statistics, without reading any table, how much of each table's room no row needs, or measures one table",
	Params: []checks.Param{
		{Name: "min_size", Type: checks.BytesParam, Default: "100MiB", Doc: "tables smaller than this are left out; rewriting them gains nothing"},
		limitParam("limit", 20, "how many tables to list", 100),
		{Name: "exact", Type: checks.TextParam, Doc: "measure this one table instead, by pgstattuple_approx, which reads the pages of it that are not all visible", Example: "public.audit_logs"},
	},
	Facts: []fact.Spec{
		{Name: "bloat", Type: fact.Percent, Label: "table", Worse: fact.Higher, Optional: true, Doc: "estimated share of a table's room that no row needs, for the tables listed"},
		{Name: "worst_bloat", Type: fact.Percent, Worse: fact.Higher, Doc: "the highest estimated share of all; 0 if no table is of this size"},
		{Name: "wasted", Type: fact.Bytes, Worse: fact.Higher, Doc: "estimated room that no row needs, in all of them"},
		{Name: "tables", Type: fact.Count, Doc: "tables of this size"},
		{Name: "unknown", Type: fact.Count, Unit: "tables", Worse: fact.Higher, Doc: "those that cannot be estimated: never analysed, or not readable for this role"},
		{Name: "worst", Type: fact.Text, Optional: true, Doc: "the table with the highest share"},
	},
	Warn: "worst_bloat > 30%", Fail: "worst_bloat > 50%", Source: "proposed",
	Timeout: 30 * time.Second, Every: 10 * time.Minute,
	Example: "use: pg.bloat\nwith: {min_size: 100MiB}",
	Run:     bloat,
})

// estimateTime bounds the estimate: a bloated catalogue has kept such a
// statement busy for an hour.
const estimateTime = 10 * time.Second

func bloat(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if table := args.Text("exact"); table != "" {
		return exactBloat(ctx, s, table)
	}
	ctx, cancel := context.WithTimeout(ctx, estimateTime)
	defer cancel()
	var found []tableBloat
	err = s.readOnly(ctx, "pg.bloat", func(ctx context.Context, r *reading) (err error) {
		found, err = r.tableBloat(ctx, args.Number("min_size"))
		return err
	})
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f, err := bloatFindings(found, args.Number("min_size"), args.Int("limit"))
	f.Target = s.Target()
	return f, err
}

// byShare orders the worst first, those that are not known behind.
func byShare(a, b tableBloat) int {
	if a.known() != b.known() {
		return cmp.Compare(boolean(b.known()), boolean(a.known()))
	}
	if !a.known() {
		return cmp.Compare(b.Size, a.Size)
	}
	return cmp.Or(cmp.Compare(b.share(), a.share()), cmp.Compare(a.Name, b.Name))
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func bloatFindings(found []tableBloat, minSize float64, limit int) (checks.Findings, error) {
	found = slices.SortedFunc(slices.Values(found), byShare)
	f := checks.Findings{Note: "no table of " + fact.FormatBytes(minSize) + " or more", Tables: []checks.Table{bloatTable(found[:min(limit, len(found))])}}
	var wasted, worst float64
	unknown, unread := 0, 0
	for i, b := range found {
		switch {
		case !b.known():
			unknown++
			unread += boolean(b.Unread)
			continue
		case i < limit:
			f.Facts = append(f.Facts, fact.Pct("bloat", b.share()).On(word(b.Name).Text))
		}
		wasted += b.wasted()
	}
	if unknown > 0 && unknown == len(found) {
		class, why := checks.NoData, "run pg.analyze"
		if unread > 0 {
			class, why = checks.Denied, fmt.Sprintf("the role may not SELECT from %d, and so not see their statistics", unread)
		}
		return f, checks.Failed(class, "none of %d tables can be estimated: %s", unknown, why)
	}
	if len(found) > 0 {
		worst = found[0].share()
		f.Note = fmt.Sprintf("%s %s, an estimate; %s in all", word(found[0].Name).Text, fact.PctValue(worst), fact.FormatBytes(wasted))
		f.Facts = append(f.Facts, fact.Of("worst", word(found[0].Name)))
	}
	if unknown > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d tables cannot be estimated: never analysed, or the role may not SELECT from them (%d)", unknown, unread))
	}
	f.Facts = append(f.Facts, fact.Pct("worst_bloat", worst), fact.Size("wasted", wasted), fact.Number("tables", len(found)), fact.Number("unknown", unknown))
	return f, nil
}

// bloatColumns: the badge is estimate, exact or unknown.
var bloatColumns = []checks.Column{
	{Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "wasted", Type: fact.Text},
	{Name: "bloat", Type: fact.Text}, {Name: "badge", Type: fact.Text}, {Name: "analyzed", Type: fact.Text},
}

func bloatTable(found []tableBloat) checks.Table {
	t := checks.Table{Name: "tables", Columns: bloatColumns}
	for _, b := range found {
		wasted, share, badge, analyzed := "", "", "unknown", "never"
		if b.known() {
			wasted, share, badge = fact.FormatBytes(b.wasted()), fact.PctValue(b.share()).String(), "estimate"
		}
		if b.Analyzed != nil {
			analyzed = b.Analyzed.UTC().Format(time.RFC3339)
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(b.Name), fact.SizeValue(b.Size), fact.WordValue(wasted), fact.WordValue(share), fact.WordValue(badge), fact.WordValue(analyzed),
		})
	}
	return t
}
