package ui

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/checklist"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/panes"
	"github.com/advanced-lms/opsdeck/ui/screen"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// The deck with its real panes, on one bad night.

// real is the four panes of the deck.
func real(desk *incident.Desk) []pane.Spec {
	return []pane.Spec{panes.System, panes.Services, panes.Database(nil), checklist.Spec(desk)}
}

// onThatNight starts the deck over a snapshot, with the run of its runbook half
// way, and the keys at the worst-first list.
func onThatNight(t *testing.T, s watch.Snapshot, size pane.Size, o theme.Options, play func(*driver)) {
	t.Helper()
	desk := incident.NewDesk()
	drive(t, s, size, o, real(desk), func(d *driver) {
		d.press("4", "z")
		for range 5 {
			d.press("j")
		}
		for range 5 {
			if d.m.regions[4].point(d.m).Value == "disk-full/disk-full" {
				break
			}
			d.press("k")
		}
		d.press("enter", "x", "x")
		d.typeText("https://tickets.example.com/4711")
		d.press("enter")
		d.typeText("2026-11-23 03:04")
		d.press("enter", "X", "z", "0")
		d.pass(5 * time.Second)
		play(d)
		if err := desk.Close(); err != nil {
			t.Error(err)
		}
	})
}

// still is the screen without what the line to the terminal costs, which
// depends on which messages met.
func (d *driver) still() string { return traffic.ReplaceAllString(d.m.View(), "1.2 kB/s") }

var traffic = regexp.MustCompile(`[0-9.]+ kB/s`)

func TestTheRealDeckLooksAsRecorded(t *testing.T) {
	for _, size := range []pane.Size{{W: 80, H: 24}, {W: 120, H: 40}, {W: 160, H: 45}, {W: 40, H: 10}} {
		name := fmt.Sprintf("deck-real-%dx%d", size.W, size.H)
		t.Run(name, func(t *testing.T) {
			onThatNight(t, incident.Full(), size, theme.Options{ASCII: true}, func(d *driver) { golden(t, name+".txt", d.still()) })
		})
	}
	t.Run("a calm night", func(t *testing.T) {
		drive(t, incident.Calm(), pane.Size{W: 120, H: 40}, theme.Options{ASCII: true}, real(incident.NewDesk()), func(d *driver) {
			golden(t, "deck-calm-120x40.txt", d.still())
		})
	})
	t.Run("a database that is away", func(t *testing.T) {
		onThatNight(t, incident.Full(), pane.Size{W: 120, H: 40}, theme.Options{ASCII: true}, func(d *driver) {
			s := incident.Away()
			s.Seq += 10
			d.monitor.publish(s)
			d.pass(5 * time.Second)
			golden(t, "deck-away-120x40.txt", d.still())
		})
	})
}

func TestNoTextAndNoSizeBreaksTheRealDeck(t *testing.T) {
	drive(t, incident.Hostile(), pane.Size{W: 80, H: 24}, theme.Options{ASCII: true}, real(incident.NewDesk()), func(d *driver) {
		for w := 1; w <= 220; w += 9 {
			for h := 1; h <= 60; h += 5 {
				d.m.resize(pane.Size{W: w, H: h})
				d.m.stale = true
				lines := strings.Split(d.m.View(), "\n")
				if len(lines) > h {
					t.Fatalf("%d lines on a screen of %dx%d", len(lines), w, h)
				}
				for _, line := range lines {
					if pane.Width(line) > w {
						t.Fatalf("a line of %d cells on a screen of %dx%d", pane.Width(line), w, h)
					}
				}
			}
		}
		for i, r := range d.m.regions {
			if r.dead != "" {
				t.Errorf("region %d: %s\n%s", i, r.dead, d.log.String())
			}
		}
	})
}

// The picture of the README is drawn by the program: -run Picture -update
// writes it anew, and without -update it must be the one that is there.
func TestPictureOfTheDeckIsUpToDate(t *testing.T) {
	size := pane.Size{W: 124, H: 38}
	onThatNight(t, incident.Full(), size, theme.Options{Color: theme.Sixteen}, func(d *driver) {
		picture := screen.SVG(d.still(), size.W, size.H)
		path := filepath.Join("testdata", "deck.svg")
		if *update {
			if err := os.WriteFile(path, picture, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(picture) {
			t.Errorf("%s is not what the deck looks like: go test ./ui -run Picture -update", path)
		}
	})
}

// BenchmarkRealDeck draws the whole deck after each snapshot, as it would four
// times a second.
func BenchmarkRealDeck(b *testing.B) {
	s := incident.Full()
	m := newModel(b.Context(), Deps{Monitor: newFakeMonitor(s), Panes: real(incident.NewDesk()), Theme: newTheme(theme.Options{Color: theme.Sixteen}),
		Host: "web1", Now: func() time.Time { return night }, Terminal: &fakeTerminal{}, SelfCost: func() Cost { return Cost{} }})
	m.resize(pane.Size{W: 160, H: 45})
	b.ReportAllocs()
	for b.Loop() {
		s.Seq++
		m.show(s)
		m.stale = true
		m.View()
	}
}
