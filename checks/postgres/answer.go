package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// answer is what a statement of the site gave, as text. Rows beyond those that
// may be shown are counted and not kept.
type answer struct {
	columns []column
	rows    [][]cell
	count   int
	took    time.Duration
}

type column struct {
	name string
	oid  uint32
}

type cell struct {
	text string
	null bool
}

// keptRows is more than any limit parameter allows.
const keptRows = 501

// ask prepares the statement, which makes the server type its parameters and
// refuse a second statement, and reads the rows as text.
func (s *Server) ask(ctx context.Context, q checks.Query) (answer, error) {
	var got answer
	err := s.readOwn(ctx, "query "+q.Name, func(ctx context.Context, r *reading) error {
		began := time.Now()
		described, err := r.conn.PgConn().Prepare(ctx, "", q.SQL, nil)
		if err != nil {
			return err
		}
		if len(described.ParamOIDs) != len(q.Args) {
			return checks.Failed(checks.Parse, "the statement takes %d values, %d are given", len(described.ParamOIDs), len(q.Args))
		}
		values := make([][]byte, len(q.Args))
		for i, arg := range q.Args {
			values[i] = []byte(arg)
		}
		for _, f := range described.Fields {
			got.columns = append(got.columns, column{f.Name, f.DataTypeOID})
		}
		err = got.read(r, r.conn.PgConn().ExecPrepared(ctx, "", values, nil, nil))
		got.took = time.Since(began)
		return err
	})
	return got, err
}

// read counts the rows and keeps the first. An answer beyond the bounds is cut
// off together with the session: the rest would have to be read to reuse it.
func (a *answer) read(r *reading, result *pgconn.ResultReader) error {
	size := 0
	for result.NextRow() {
		a.count++
		values := result.Values()
		for _, v := range values {
			size += len(v)
		}
		if a.count > maxRows || size > maxBytes {
			r.drop = true
			return checks.Failed(checks.Limit, "the answer is longer than %d rows or %s", maxRows, fact.FormatBytes(maxBytes))
		}
		if a.count > keptRows {
			continue
		}
		row := make([]cell, len(values))
		for i, v := range values {
			row[i] = cell{strings.ToValidUTF8(string(v), "\uFFFD"), v == nil}
		}
		a.rows = append(a.rows, row)
	}
	_, err := result.Close()
	return err
}

// value is the one number, or the number of rows. NULL is no number: a sum
// over nothing must not read as 0.
func (a answer) value(want string) (float64, error) {
	single := a.count == 1 && len(a.columns) == 1 && numeric(a.columns[0].oid)
	switch {
	case want == "rows":
		return float64(a.count), nil
	case want == "value" && a.count == 0:
		return 0, checks.Failed(checks.NoData, "no row, where one number is expected")
	case want == "value" && !single:
		return 0, checks.Failed(checks.Parse, "%d rows of %d columns, where one number is expected", a.count, len(a.columns))
	case !single && a.count == 1 && len(a.columns) == 1 && a.rows[0][0].null:
		return 0, checks.Failed(checks.NoData, "the answer is NULL")
	case !single:
		return float64(a.count), nil
	case a.rows[0][0].null:
		return 0, checks.Failed(checks.NoData, "the answer is NULL: there was nothing to compute it from")
	}
	n, err := number(a.rows[0][0].text)
	if err != nil {
		return 0, checks.Failed(checks.Parse, "the answer %q is not a finite number", a.rows[0][0].text)
	}
	return n, nil
}

func numeric(oid uint32) bool {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.BoolOID:
		return true
	}
	return false
}

// number reads a number, or a bool as 0 or 1.
func number(text string) (float64, error) {
	switch text {
	case "t":
		return 1, nil
	case "f":
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not finite", text)
	}
	return n, nil
}

// against compares the first column with the reviewed values. More rows than
// are kept cannot be compared.
func (a answer) against(expect []string, f *checks.Findings) error {
	if expect == nil {
		return nil
	}
	if a.count > len(a.rows) {
		return checks.Failed(checks.Limit, "%d rows are too many to be compared with what is expected", a.count)
	}
	missing := slices.Clone(expect)
	var unexpected []string
	for _, row := range a.rows {
		if i := slices.Index(missing, row[0].text); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else if !slices.Contains(expect, row[0].text) {
			unexpected = append(unexpected, row[0].text)
		}
	}
	f.Facts = append(f.Facts, fact.Number("unexpected", len(unexpected)), fact.Number("missing", len(missing)))
	for _, name := range unexpected {
		f.Detail = append(f.Detail, "not expected: "+name)
	}
	for _, name := range missing {
		f.Detail = append(f.Detail, "expected and not there: "+name)
	}
	return nil
}

// table shows the first rows. A column of numbers with a NULL or a NaN in it is
// shown as text, because a cell must not invent a number.
func (a answer) table(limit int) checks.Table {
	shown := a.rows[:min(limit, len(a.rows))]
	t := checks.Table{Name: "rows"}
	for i, c := range a.columns {
		kind := fact.Text
		if numeric(c.oid) && c.oid != pgtype.BoolOID && allNumbers(shown, i) {
			kind = fact.Count
		}
		t.Columns = append(t.Columns, checks.Column{Name: strings.ToValidUTF8(c.name, "\uFFFD"), Type: kind})
	}
	for _, row := range shown {
		cells := make([]fact.Value, len(row))
		for i, c := range row {
			cells[i] = fact.WordValue(c.text)
			if n, err := number(c.text); t.Columns[i].Type == fact.Count && err == nil {
				cells[i] = fact.NumberValue(n)
			}
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

func allNumbers(rows [][]cell, column int) bool {
	for _, row := range rows {
		if _, err := number(row[column].text); row[column].null || err != nil {
			return false
		}
	}
	return true
}

func (a answer) notes(limit int) []string {
	if a.count <= limit {
		return nil
	}
	return []string{fmt.Sprintf("the first %d of %d rows are kept", limit, a.count)}
}
