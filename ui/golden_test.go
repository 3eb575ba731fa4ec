package ui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew; read the diff before committing")

// golden compares a screen with the one in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", name, diff)
	}
}

func TestScreensLookAsRecorded(t *testing.T) {
	for _, size := range []pane.Size{{W: 80, H: 24}, {W: 120, H: 40}, {W: 160, H: 45}, {W: 40, H: 10}} {
		name := fmt.Sprintf("deck-%dx%d", size.W, size.H)
		t.Run(name, func(t *testing.T) {
			drive(t, scene(), size, theme.Options{ASCII: true}, deck4(), func(d *driver) {
				golden(t, name+".txt", d.m.View())
			})
		})
	}
	t.Run("unicode in colour", func(t *testing.T) {
		drive(t, scene(), pane.Size{W: 80, H: 24}, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
			golden(t, "deck-80x24.ansi", strings.ReplaceAll(d.m.View(), "\x1b", "^["))
		})
	})
	t.Run("debug view", func(t *testing.T) {
		drive(t, scene(), pane.Size{W: 100, H: 60}, theme.Options{ASCII: true}, deck4(), func(d *driver) {
			d.press("enter")
			golden(t, "inspect-100x60.txt", d.m.View())
		})
	})
	t.Run("help", func(t *testing.T) {
		drive(t, scene(), pane.Size{W: 80, H: 60}, theme.Options{ASCII: true}, deck4(), func(d *driver) {
			d.press("1", "?")
			golden(t, "help-80x60.txt", d.m.View())
		})
	})
}
