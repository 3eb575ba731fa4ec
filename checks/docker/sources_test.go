package docker

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSourcesAreWhatAComposeFileTakesIn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	text := `include: [more.yaml, {path: [a.yaml], env_file: a.env}]
services:
  web: {extends: {file: base.yaml, service: x}, env_file: [web.env, {path: /srv/b.env}]}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more.yaml"), []byte("services: {db: {env_file: db.env}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := sources(file)
	for _, want := range []string{"compose.yaml", ".env", "more.yaml", "a.yaml", "a.env", "base.yaml", "web.env", "db.env"} {
		if !slices.Contains(got, filepath.Join(dir, want)) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	if !slices.Contains(got, "/srv/b.env") {
		t.Errorf("/srv/b.env is not among %q", got)
	}
}
