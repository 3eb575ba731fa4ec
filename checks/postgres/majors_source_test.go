package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sourceQuery is a statement, or the beginning of one, in the package's source.
type sourceQuery struct {
	at, text  string
	pieces    []string // between the verbs of a format
	versioned bool     // one entry of a byVersion
}

// in reports whether the statement was executed.
func (q sourceQuery) in(heard *recorder) bool {
	for _, sql := range heard.statements() {
		if containsInOrder(sql, q.pieces) {
			return true
		}
	}
	return false
}

func containsInOrder(text string, pieces []string) bool {
	for _, piece := range pieces {
		i := strings.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

var (
	beginsQuery = regexp.MustCompile(`^\s*(SELECT|WITH)\b`)
	verb        = regexp.MustCompile(`%[sdvq]`)
)

// queriesOfSource finds every string of the package that begins as a query.
func queriesOfSource(t *testing.T) []sourceQuery {
	t.Helper()
	var all []sourceQuery
	files := token.NewFileSet()
	for _, name := range goFiles(t) {
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		entries := versionEntries(file)
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil || !beginsQuery.MatchString(text) || notRun(text) {
				return true
			}
			q := sourceQuery{at: files.Position(literal.Pos()).String(), text: text, versioned: entries[literal]}
			for _, piece := range verb.Split(text, -1) {
				q.pieces = append(q.pieces, strings.ReplaceAll(piece, "%%", "%"))
			}
			if !verb.MatchString(text) { // not a format: its % are its own
				q.pieces = []string{text}
			}
			all = append(all, q)
			return true
		})
	}
	if len(all) < 30 {
		t.Fatalf("only %d queries were found in the source", len(all))
	}
	return all
}

// versionEntries are the strings within the literals of type byVersion.
func versionEntries(file *ast.File) map[*ast.BasicLit]bool {
	entries := map[*ast.BasicLit]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		composite, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if name, ok := composite.Type.(*ast.Ident); !ok || name.Name != "byVersion" {
			return true
		}
		ast.Inspect(composite, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok {
				entries[literal] = true
			}
			return true
		})
		return true
	})
	return entries
}

// notRun are strings that begin as a query and are none of the catalogue.
func notRun(text string) bool {
	for _, prefix := range []string{
		"SELECT of what pg_dump",             // a message about a dump's content
		"WITH (FORCE)",                       // of DROP DATABASE
		"WITH old AS MATERIALIZED",           // moves the site's rows: oldrows_test.go
		"SELECT max(",                        // of the site's own column: restore_test.go
		"SELECT count(*) FROM ",              // of the site's own tables: restore_test.go, oldrows_test.go
		"SELECT pg_catalog.set_config",       // of an action's session: acting_test.go
		"SELECT pg_catalog.pg_try_advisory_", // takes a lock: vacuum_full_test.go
	} {
		if strings.HasPrefix(strings.TrimSpace(text), prefix) {
			return true
		}
	}
	return false
}
