package site

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/advanced-lms/opsdeck/checks"
)

// archive reads which old rows are moved to which table.
func (p *builder) archive(n ast.Node) { p.oldRows(n, "archive", p.site.Archive, "into") }

// purge reads which old rows are deleted for good.
func (p *builder) purge(n ast.Node) { p.oldRows(n, "purge", p.site.Purge, "where") }

// oldRows reads a section of entries that differ in one key: an archive has
// no condition, since what it leaves behind would look archived.
func (p *builder) oldRows(n ast.Node, section string, to map[string]checks.OldRows, own string) {
	for _, f := range p.fields(n, section) {
		o := checks.OldRows{Name: f.key, Origin: p.place(f.at)}
		what := section + " " + f.key
		known := map[string]func(ast.Node){
			"table": p.into(&o.Table, what+".table"), "column": p.into(&o.Column, what+".column"),
			"older_than": p.duration(&o.OlderThan, what+".older_than"),
		}
		required := []string{"table", "older_than"}
		switch own {
		case "into":
			known["into"] = p.into(&o.Into, what+".into")
			required = append(required, "into")
		case "where":
			known["where"] = p.into(&o.Where, what+".where")
		}
		p.dispatch(f.value, what, known, required...)
		if o.OlderThan != 0 && o.OlderThan < 24*time.Hour {
			p.at(f.at, Error, codeWrongType, fmt.Sprintf("%s.older_than is %s, which is less than a day", what, o.OlderThan), "write for example 90d")
		}
		if o.Into != "" && o.Into == o.Table {
			p.at(f.at, Error, codeWrongType, what+" archives a table into itself", "name another table")
		}
		if strings.ContainsRune(o.Where, ';') {
			p.at(f.at, Error, codeWrongType, what+".where has a semicolon", "write one condition: is_read")
		}
		o.Column = cmp.Or(o.Column, "created_at")
		to[f.key] = o
	}
}
