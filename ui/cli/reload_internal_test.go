package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/site"
)

// TestWhatIsWrongStandsBeforeThePath: a deck's line may end before the path does.
func TestWhatIsWrongStandsBeforeThePath(t *testing.T) {
	path := filepath.Join("/", strings.Repeat("a-long-name/", 20), "opsdeck.yaml")
	note := site.Problem{File: path, Line: 1, Col: 1, Severity: site.Warning, Msg: "a warning"}
	wrong := site.Problem{File: path, Line: 3, Col: 5, Severity: site.Error, Msg: `found "vras", expected a key`, Hint: "vars"}
	for name, c := range map[string]struct {
		problems site.Problems
		count    string
	}{
		"one":              {site.Problems{wrong}, "1 problem"},
		"two":              {site.Problems{wrong, wrong}, "the first of 2 problems"},
		"one and a remark": {site.Problems{note, wrong}, "1 problem"},
	} {
		want := `3:5 found "vras", expected a key (vars); ` + c.count + " in " + path
		if got := unusable(c.problems).Error(); got != want {
			t.Errorf("%s:\nsays %s\nwant %s", name, got, want)
		}
	}
}

// TestAFileThatIsGoodAgainIsTold, though it is the one in use.
func TestAFileThatIsGoodAgainIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "opsdeck.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "schema: 1\nsite: ward\n"
	write(good)
	registry, err := checks.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{registry: registry, Program: Program{Env: os.Getenv}}
	s, problems, err := site.Load(path, registry, os.Getenv)
	if s == nil {
		t.Fatal(problems, err)
	}
	w := &world{site: s}
	w.latest.Store(s)
	read := func() reload {
		s, problems, err := site.Load(path, registry, os.Getenv)
		return p.take(w, site.Update{Site: s, Problems: problems, Err: err})
	}
	write(good + "vras: {}\n")
	if r := read(); r.kept == nil || w.file().Problem == "" {
		t.Errorf("a broken file: %+v", r)
	}
	write(good)
	if r := read(); !r.mended || r.kept != nil || w.file().Problem != "" {
		t.Errorf("the file in use again: %+v", r)
	}
	if r := read(); r != (reload{}) {
		t.Errorf("nothing changed: %+v", r)
	}
}
