package ui

import (
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/ui/pane"
)

func TestASiteFilesPathIsShortenedFromTheLeft(t *testing.T) {
	want := []string{"/etc/opsdeck/opsdeck.yaml", "~/opsdeck/opsdeck.yaml", "~/opsdeck.yaml"}
	if got := shortened("/etc/opsdeck/opsdeck.yaml", "~"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := shortened("", "~"); got != nil {
		t.Errorf("a detected site has the file %q", got)
	}
}

func TestTheHeaderNamesTheSiteFile(t *testing.T) {
	for _, c := range []struct {
		width int
		says  string
	}{{200, "  /etc/opsdeck/opsdeck.yaml  "}, {80, "/opsdeck.yaml"}} {
		drive(t, scene(), pane.Size{W: c.width, H: 24}, ascii8, deck4(), func(d *driver) {
			d.m.deps.SiteFile = "/etc/opsdeck/opsdeck.yaml"
			if head := d.m.header(pane.Frame{W: c.width, H: 1, Theme: d.m.theme}); !strings.Contains(head, c.says) || !strings.Contains(head, "web1 PROD") {
				t.Errorf("%d columns: %q does not say %q", c.width, head, c.says)
			}
		})
	}
}
