package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSourcesAreWhatAComposeFileTakesIn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	text := `include: [more.yaml, {path: [a.yaml], env_file: a.env, project_directory: ../p}, "b$$c.yaml"]
services:
  web: {extends: {file: base.yaml, service: x}, env_file: [web.env, {path: /srv/b.env}]}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more.yaml"), []byte("services: {db: {env_file: db.env}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := sources(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"compose.yaml", ".env", "more.yaml", "a.yaml", "a.env", "base.yaml", "web.env", "db.env", "b$c.yaml", "../p/.env"} {
		if !slices.Contains(got, filepath.Join(dir, want)) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	if !slices.Contains(got, "/srv/b.env") {
		t.Errorf("/srv/b.env is not among %q", got)
	}
}

// TestSourcesThatAreNotAllKnownAreAnError: what is not looked at could be of
// anybody.
func TestSourcesThatAreNotAllKnownAreAnError(t *testing.T) {
	many := "include:\n"
	for i := range 300 {
		many += fmt.Sprintf("  - %d.yaml\n", i)
	}
	for name, tt := range map[string]struct{ text, says string }{
		"a variable in braces":           {"include: ['${WHERE}/x.yaml']", "has a variable"},
		"a variable":                     {"services: {web: {extends: {file: $WHERE/x.yaml, service: x}}}", "has a variable"},
		"a variable in the path of .env": {"services: {web: {env_file: '${FILE:-.env}'}}", "has a variable"},
		"a file of another host":         {"include: ['https://example.org/x.git']", "comes from another host"},
		"more files than are looked at":  {many, "more than 200 files"},
		"a file larger than is read":     {strings.Repeat("#\n", maxConfig), "is larger than 4 MiB"},
		"a file that is no YAML":         {"include: [", "not YAML"},
	} {
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if found, err := sources(file); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v, want %q", name, found, err, tt.says)
		}
	}
}
