package panes

import (
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// An object is what a row is about, in the terms in which something could be
// done to it: a session by its pid and its start, everything else by its name.
type object struct {
	kind  string // of the facet's rows: "session", "table", "index"
	pid   int    // of a session; 0 for a prepared transaction, and for all else
	began string // of a session: a pid is used again
	name  string // of all else
}

// objectOf reads the object of a row.
func objectOf(f facet, cell func(string) fact.Value) object {
	o := object{kind: f.rows}
	if pid := cell("pid"); f.rows == "session" && pid.Type == fact.Count {
		o.pid, o.began = int(pid.Num), cell("began").String()
		if o.pid != 0 {
			return o
		}
		o.kind = "prepared transaction"
		o.name = cell("query").Text
		return o
	}
	o.name = cell(f.names()[0]).String()
	return o
}

// String names the object: "session 4411 since 02:58:01", "table public.users".
func (o object) String() string {
	if o.kind == "session" {
		return strings.TrimSuffix(o.kind+" "+strconv.Itoa(o.pid)+" since "+o.began, " since ")
	}
	return o.kind + " " + o.name
}

// names are the columns by which a row is known.
func (f facet) names() []string {
	if f.key != nil {
		return f.key
	}
	return []string{f.columns[0].name}
}

// id is the identity of a row: it stays when the row moves and its numbers
// change.
func (f facet) id(cell func(string) fact.Value) string {
	var parts []string
	for _, name := range f.names() {
		parts = append(parts, cell(name).String())
	}
	return strings.Join(parts, " ")
}
