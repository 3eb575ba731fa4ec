package documents_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/documents"
)

func TestConformance(t *testing.T) { checktest.Family(t, documents.Family()) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, path, text string, age time.Duration) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
		t.Fatal(err)
	}
}

func site(t *testing.T) checks.Env {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/docs/deploy.md", "# Deploy\n", time.Hour)
	write(t, dir+"/docs/old.md", "# Old\n", 200*24*time.Hour)
	write(t, dir+"/docs/empty.md", "", time.Hour)
	write(t, dir+"/secret", "x", time.Hour)
	if err := os.Symlink("../secret", dir+"/docs/out.md"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead && r.URL.Path == "/noheads":
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path == "/gone":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	all := map[string]checks.Document{"yearly": {Path: "/docs/old.md", Root: "/docs", Review: 365 * 24 * time.Hour}, "down": {URL: "http://127.0.0.1:1/"}}
	for _, name := range []string{"deploy", "old", "empty", "out", "nowhere"} {
		all[name] = checks.Document{Name: name, Path: "/docs/" + name + ".md", Root: "/docs"}
	}
	for _, name := range []string{"here", "noheads", "gone"} {
		all[name] = checks.Document{Name: name, URL: server.URL + "/" + name}
	}
	return checks.Env{Root: dir, HTTP: server.Client(), Now: func() time.Time { return now }, Site: checks.SiteFacts{Documents: all}}
}

func TestLinks(t *testing.T) {
	env := site(t)
	for name, want := range map[string]checks.Level{
		"deploy": checks.OK, "nowhere": checks.Warn, "empty": checks.Warn, "out": checks.Unknown, "unnamed": checks.Skipped,
		"here": checks.OK, "noheads": checks.OK, "gone": checks.Warn, "down": checks.Warn,
	} {
		if res := checktest.Run(t, env, documents.Link, map[string]any{"document": name}); res.Level != want {
			t.Errorf("%s: %v, want %v: %s %s", name, res.Level, want, res.Note, res.Err)
		}
	}
	if res := checktest.Run(t, env, documents.Link, map[string]any{"document": "out"}); res.Class != checks.Denied || !strings.Contains(res.Err, "leads out of") {
		t.Errorf("a link out of the folder: %s %s", res.Class, res.Err)
	}
}

func TestReviews(t *testing.T) {
	env := site(t)
	for name, want := range map[string]checks.Level{"deploy": checks.OK, "old": checks.Warn, "yearly": checks.OK, "nowhere": checks.Crit, "here": checks.Unknown, "out": checks.Unknown, "unnamed": checks.Skipped} {
		if res := checktest.Run(t, env, documents.Review, map[string]any{"document": name}); res.Level != want {
			t.Errorf("%s: %v, want %v: %s %s", name, res.Level, want, res.Note, res.Err)
		}
	}
}

const guide = "# Guide\n\n## Table of Contents\n1. [Daily](#daily)\n\n## Daily\n- look\n\n## Windows\ntext\n\n```\n## not a heading\n```\n\n## Empty\n\n## Also empty\n"

// TestASectionThatTheContentsListOmitsIsMissed unless somebody counts: an
// importer that walks the list of contents loses it.
func TestASectionThatTheContentsListOmitsIsMissed(t *testing.T) {
	env := site(t)
	write(t, env.Root+"/docs/deploy.md", guide, 0)
	var got checks.ImportSummary
	var err error
	env.Import = func(string) (checks.ImportSummary, error) { return got, err }
	for _, c := range []struct {
		name  string
		got   checks.ImportSummary
		err   error
		level checks.Level
		says  string
	}{
		{"whole", checks.ImportSummary{Sections: []string{"Daily", "Windows"}, Tasks: 2}, nil, checks.OK, ""},
		{"by the contents list", checks.ImportSummary{Sections: []string{"Daily"}, Tasks: 1}, nil, checks.Crit, "no section was made of: Windows"},
		{"to resolve", checks.ImportSummary{Sections: []string{"Daily", "Windows"}, Tasks: 2, Unsettled: []string{"line 3 placeholder TOKEN"}}, nil, checks.Warn, "TOKEN"},
		{"no tasks", checks.ImportSummary{Sections: []string{"Daily", "Windows"}}, nil, checks.Crit, ""},
		{"unreadable", checks.ImportSummary{}, errors.New("too long"), checks.Unknown, ""},
	} {
		got, err = c.got, c.err
		res := checktest.Run(t, env, documents.Import, map[string]any{"document": "deploy"})
		if res.Level != c.level || !strings.Contains(strings.Join(res.Detail, "\n"), c.says) {
			t.Errorf("%s: %v %s %s %v", c.name, res.Level, res.Note, res.Err, res.Detail)
		}
	}
	env.Import = nil
	if res := checktest.Run(t, env, documents.Import, map[string]any{"document": "deploy"}); res.Level != checks.Unknown {
		t.Errorf("nobody imports: %v", res.Level)
	}
}
