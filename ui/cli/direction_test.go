package cli_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const path = "github.com/advanced-lms/opsdeck"

// pkg is what "go list -json" tells of a package.
type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", path+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestDependenciesRunOneWay: main -> ui -> runbooks -> checks, never back, and
// drivers stay where they belong.
func TestDependenciesRunOneWay(t *testing.T) {
	rules := []struct {
		from   string   // the package, or with /... everything below it
		except []string // below from
		direct bool     // only what it imports itself; else all that it is linked with
		never  []string
	}{
		{from: "checks/...", never: []string{path + "/runbooks", path + "/ui", "github.com/charmbracelet/bubbletea"}},
		{from: "checks", never: []string{"github.com/jackc/", "github.com/redis/", "github.com/moby/", "github.com/shirou/", "modernc.org/"}},
		{from: "checks/watch", never: []string{"github.com/jackc/", "github.com/shirou/", "modernc.org/"}},
		{from: "checks/rule", never: []string{path + "/checks"}, direct: true},
		{from: "checks/...", except: []string{"checks/system"}, direct: true, never: []string{"github.com/shirou/gopsutil"}},
		{from: "runbooks/...", never: []string{path + "/ui", "github.com/charmbracelet/bubbletea", "github.com/shirou/"}},
		{from: "runbooks/...", except: []string{"runbooks/journal/team"}, never: []string{"github.com/jackc/"}},
		{from: "runbooks", never: []string{"modernc.org/", "github.com/yuin/goldmark"}},
		// What executes templates reaches methods by name, and then the linker keeps every method of every library.
		{from: "...", direct: true, never: []string{"text/template", "html/template"}},
		{from: "ui/...", except: []string{"ui/cli", "ui/screen"}, never: []string{"github.com/jackc/", "github.com/shirou/", "github.com/redis/", "github.com/moby/"}},
		{from: "ui/...", except: []string{"ui/screen"}, direct: true, never: []string{"github.com/jackc/", "github.com/shirou/", "os/exec", "database/sql"}},
	}
	all := packages(t)
	if len(all) < 20 {
		t.Fatalf("only %d packages were listed", len(all))
	}
	for _, p := range all {
		name := strings.TrimPrefix(p.ImportPath, path+"/")
		for _, r := range rules {
			if !matches(name, r.from) || slices.ContainsFunc(r.except, func(e string) bool { return matches(name, e+"/...") }) {
				continue
			}
			linked := p.Deps
			if r.direct {
				linked = p.Imports
			}
			for _, d := range linked {
				if slices.ContainsFunc(r.never, func(n string) bool { return forbidden(d, n) }) {
					t.Errorf("%s must not depend on %s", name, d)
				}
			}
		}
	}
}

func matches(name, pattern string) bool {
	if pattern == "..." {
		return true
	}
	below, all := strings.CutSuffix(pattern, "/...")
	return name == pattern || all && (name == below || strings.HasPrefix(name, below+"/"))
}

// forbidden: a prefix for other people's modules, the very package for ours,
// with what is below runbooks and ui.
func forbidden(dep, never string) bool {
	if never == path+"/checks" {
		return dep == never
	}
	return dep == never || strings.HasPrefix(dep, strings.TrimSuffix(never, "/")+"/")
}
