package markdown

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func document(id, section string) string {
	return "---\nrunbook: " + id + "\nschema: 1\n---\n# X\n```yaml section\nid: " + section + "\ncadence: daily\n```\n- [ ] a\n"
}

func TestLaterLayersShadowEarlierOnesById(t *testing.T) {
	shelf := Load(Options{Registry: catalogue(t)},
		Layer{"shipped", fstest.MapFS{"daily.md": file(document("daily", "daily")), "weekly.md": file(document("weekly", "weekly")), "notes.txt": file("x")}},
		Layer{"/nowhere", missing{}},
		Layer{"mine", fstest.MapFS{"other-name.md": file(document("daily", "daily")), "bad.md": file(strings.Replace(document("weekly", "weekly"), "schema: 1", "schema: 9", 1))}},
	)
	if len(shelf.Problems) > 0 || len(shelf.Runbooks) != 2 {
		t.Fatalf("got %+v", shelf)
	}
	if daily := shelf.Runbooks[0]; daily.Layer != "mine" || daily.Shadows != "shipped" || daily.Path != "mine/other-name.md" {
		t.Errorf("daily comes from %s (%s) and shadows %q", daily.Layer, daily.Path, daily.Shadows)
	}
	if weekly := shelf.Runbooks[1]; weekly.Layer != "shipped" {
		t.Errorf("a broken runbook shadows a usable one: %+v", weekly.Layer)
	}
	if len(shelf.Broken) != 1 || shelf.Broken[0].Path != "mine/bad.md" {
		t.Errorf("broken %+v", shelf.Broken)
	}
}

func TestTwoRunbooksOfOneIdInOneLayerAreAnError(t *testing.T) {
	shelf := Load(Options{Registry: catalogue(t)}, Layer{"mine", fstest.MapFS{"a.md": file(document("x", "a")), "b.md": file(document("x", "b"))}})
	if len(shelf.Runbooks) != 1 || len(shelf.Broken) != 1 || shelf.Broken[0].Diagnostics[0].Code != "duplicate-id" {
		t.Errorf("got %+v", shelf)
	}
}

func TestSectionsAreFoundByNameUnlessAmbiguous(t *testing.T) {
	shelf := Load(Options{Registry: catalogue(t)}, Layer{"mine", fstest.MapFS{
		"a.md": file(document("a", "daily")), "b.md": file(document("b", "daily")), "c.md": file(document("c", "weekly")),
	}})
	if book, section, err := shelf.Section("weekly"); err != nil || book.ID != "c" || section.ID != "weekly" {
		t.Error(book.ID, section.ID, err)
	}
	if book, _, err := shelf.Section("b/daily"); err != nil || book.ID != "b" {
		t.Error(book.ID, err)
	}
	for _, name := range []string{"daily", "monthly", "c/daily"} {
		if _, _, err := shelf.Section(name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
}

func TestAPipeOrAHugeFileIsAProblemAndNotRead(t *testing.T) {
	shelf := Load(Options{Registry: catalogue(t)}, Layer{"mine", fstest.MapFS{
		"pipe.md": {Mode: fs.ModeNamedPipe}, "huge.md": file(strings.Repeat("a\n", maxSize)),
	}}, Layer{"locked", denied{}})
	if len(shelf.Problems) != 3 || !errors.Is(errors.Join(shelf.Problems...), fs.ErrPermission) {
		t.Errorf("got %v", shelf.Problems)
	}
}

type missing struct{}

func (missing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

type denied struct{}

func (denied) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}
