package cli_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// notShipped are folders that no goroutine of the product comes from.
var notShipped = []string{
	"ui/screen", "checks/checktest", "checks/sandbox/pgserver/pgtest", "checks/core/hostfs/hostfstest", "checks/core/crash",
}

// TestEveryGoroutineIsRecovered: what is given to go, to a group's Go or to
// AfterFunc is a function literal whose last leading defer is crash.Recover, so
// that a panic in it ends the process with 70 and before anything else is told.
func TestEveryGoroutineIsRecovered(t *testing.T) {
	root := filepath.Join("..", "..")
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || strings.HasPrefix(rel, ".git") || slices.Contains(notShipped, filepath.ToSlash(rel)) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			found += goroutinesOf(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("only %d goroutines were found", found)
	}
}

// goroutinesOf holds one file to the rule and counts its goroutines.
func goroutinesOf(t *testing.T, path string) (found int) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		started, ok := goroutine(n)
		if !ok {
			return true
		}
		found++
		if literal, ok := started.(*ast.FuncLit); !ok || !recovers(literal.Body) {
			t.Errorf("%s: a goroutine without crash.Recover as the last of its first defers", files.Position(n.Pos()))
		}
		return true
	})
	return found
}

// goroutine is the function that a node starts on a goroutine of its own.
func goroutine(n ast.Node) (ast.Expr, bool) {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call.Fun, true
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		if ok && len(n.Args) > 0 && (method.Sel.Name == "Go" || method.Sel.Name == "AfterFunc") {
			return n.Args[len(n.Args)-1], true
		}
	}
	return nil, false
}

func recovers(body *ast.BlockStmt) bool {
	last := ""
	for _, s := range body.List {
		d, ok := s.(*ast.DeferStmt)
		if !ok {
			break
		}
		last = ""
		if call, ok := d.Call.Fun.(*ast.SelectorExpr); ok {
			if of, ok := call.X.(*ast.Ident); ok {
				last = of.Name + "." + call.Sel.Name
			}
		}
	}
	return last == "crash.Recover"
}
