package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/checklist"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// The letters of the views of the database pane, in their order.
var databaseViews = strings.Split("o s b u m t v i n p r w c x e h l", " ")

// atTheDatabase starts the deck on the bad night with the database pane alone,
// over a monitor that answers what is looked at.
func atTheDatabase(t *testing.T, size pane.Size, play func(*driver)) {
	t.Helper()
	drive(t, incident.Full(), size, theme.Options{ASCII: true}, real(incident.NewDesk()), func(d *driver) {
		d.monitor.answer = func(s watch.Snapshot, ids ...string) watch.Snapshot {
			if len(ids) == 0 {
				return s
			}
			return incident.Looked(s, ids...)
		}
		d.press("3", "z")
		play(d)
	})
}

func TestEveryViewOfTheDatabaseLooksAsRecorded(t *testing.T) {
	for _, size := range []pane.Size{{W: 80, H: 24}, {W: 120, H: 40}, {W: 200, H: 50}, {W: 40, H: 10}} {
		name := fmt.Sprintf("database-%dx%d", size.W, size.H)
		t.Run(name, func(t *testing.T) {
			atTheDatabase(t, size, func(d *driver) {
				var all strings.Builder
				for _, letter := range databaseViews {
					d.press("w", letter)
					d.pass(time.Second)
					all.WriteString("== " + letter + "\n" + d.still() + "\n")
				}
				golden(t, name+".txt", all.String())
			})
		})
	}
}

func TestTheListOfViewsLooksAsRecorded(t *testing.T) {
	atTheDatabase(t, pane.Size{W: 80, H: 24}, func(d *driver) {
		d.press("w")
		golden(t, "database-list-80x24.txt", d.still())
		d.press("p") // progress, not pause
		d.pass(time.Second)
		d.shows("progress 3", "VACUUM")
		d.hides("PAUSED")
	})
}

// A check on demand is sampled from the moment its view is on the screen until
// it is not.
func TestTheMonitorIsToldWhatIsOnTheScreen(t *testing.T) {
	atTheDatabase(t, pane.Size{W: 120, H: 40}, func(d *driver) {
		looks := func(doing string, want ...string) {
			t.Helper()
			if !slices.Equal(d.monitor.looked, want) {
				t.Errorf("%s: looked at %v, want %v", doing, d.monitor.looked, want)
			}
		}
		looks("the overview")
		d.press("w", "s")
		looks("sessions", "pg.sessions")
		d.pass(time.Second)
		d.shows("sessions 16", "4411")
		d.press("enter")
		looks("a row in full", "pg.sessions")
		d.press("esc", "p")
		looks("paused", "pg.sessions")
		d.press("p", "1")
		looks("another pane alone")
		d.press("z")
		looks("all panes", "pg.sessions")
		d.press("3", "v", "v")
		looks("saturation", "pg.saturation")
		d.press("R")
		if !slices.Contains(d.monitor.again, "pg.saturation") || !slices.Contains(d.monitor.again, "pg.locks") || slices.Contains(d.monitor.again, "pg.sessions") {
			t.Errorf("R asked for %v", d.monitor.again)
		}
	})
}

func TestWhatNobodyLooksAtIsNotListed(t *testing.T) {
	drive(t, incident.Full(), pane.Size{W: 120, H: 40}, theme.Options{ASCII: true}, real(incident.NewDesk()), func(d *driver) {
		d.press("0", "z", "G")
		d.hides("pg.sessions", "pg.settings")
		d.shows(fmt.Sprintf("%d checks", len(incident.Full().States)-11))
		d.hides("not run yet")
		d.monitor.publish(incident.Looked(incident.Full(), "pg.settings"))
		d.pass(time.Second)
		d.shows("pg.settings")
	})
}

func TestAPausedViewStays(t *testing.T) {
	atTheDatabase(t, pane.Size{W: 120, H: 40}, func(d *driver) {
		d.press("w", "b")
		d.pass(time.Second)
		d.press("p")
		s := incident.Away()
		s.Seq += 100
		d.monitor.publish(s)
		d.pass(2 * time.Second)
		d.shows("PAUSED", "root pid 4411", "+-4502")
		d.press("j", "enter")
		d.shows("session 4502 since", "UPDATE enrollments")
		d.press("esc", "p")
		d.shows("connection refused")
		if !slices.Contains(d.monitor.looked, "pg.host") {
			t.Errorf("the server is away and looked at is %v", d.monitor.looked)
		}
	})
}

func TestARowIsCopiedByValueLineAndQuery(t *testing.T) {
	atTheDatabase(t, pane.Size{W: 120, H: 40}, func(d *driver) {
		d.press("w", "s")
		d.pass(time.Second)
		for _, what := range []string{"value", "line", "query", "pane"} {
			d.press("y")
			d.shows(what + " sent to the terminal")
		}
	})
}

// sessionsLive publishes every two seconds what changes on a busy server: all
// ages and some waits.
func sessionsLive(d *driver, from, to int) {
	for i := from / 2; i < to/2; i++ {
		s := incident.Looked(incident.Full(), "pg.sessions")
		s.Seq += uint64(100 + i)
		for j := range s.States {
			if st := &s.States[j]; st.Check.ID == "pg.sessions" {
				incident.Older(st, time.Duration(2*i)*time.Second)
			}
		}
		d.monitor.publish(s)
		d.pass(2 * time.Second)
	}
}

func TestSessionsStayInTheBudgetOfTheWire(t *testing.T) {
	for _, size := range []pane.Size{{W: 80, H: 24}, {W: 120, H: 40}} {
		atTheDatabase(t, size, func(d *driver) {
			d.press("w", "s")
			sessionsLive(d, 0, 10)
			d.wire = 0
			sessionsLive(d, 10, 70)
			rate := d.wire / 60
			t.Logf("%dx%d: %d bytes a second", size.W, size.H, rate)
			if rate > 200 {
				t.Errorf("%dx%d: %d bytes a second for 16 sessions, the budget is 200", size.W, size.H, rate)
			}
		})
	}
}

func TestAFrameBecomesEvidenceOfTheOpenRun(t *testing.T) {
	onThatNight(t, incident.Full(), pane.Size{W: 120, H: 40}, theme.Options{ASCII: true}, func(d *driver) {
		d.press("3", "w", "b", "E")
		d.pass(time.Second)
		d.shows("attached to", "database: blocking")
		d.press("o", "t")
		d.shows("terminate session 4411", "frees 12", "Why?")
		d.typeText("holds up twelve others")
		d.press("enter")
		d.pass(time.Second)
		if d.m.regions[d.m.focus].spec.ID != checklist.ID {
			t.Error("the pane that previews and records does not have the keys")
		}
	})
}
