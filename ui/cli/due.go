package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// standing is how a section stands on this site.
type standing struct {
	Section string          `json:"section"`
	Runbook string          `json:"runbook"`
	Title   string          `json:"title"`
	Cadence string          `json:"cadence"`
	State   schedule.State  `json:"state"`
	Due     *time.Time      `json:"due,omitempty"`
	Last    *time.Time      `json:"last,omitempty"`
	Missed  int             `json:"missed,omitempty"`
	Open    string          `json:"open_run,omitempty"`
	Item    string          `json:"item,omitempty"` // of a follow-up in an open run
	status  schedule.Status // the whole of it
}

// standings are all sections of the shelf with a cadence, those that should
// have been done first, then by cadence.
func (w *world) standings(all []runbooks.Run, now time.Time) []standing {
	var list []standing
	for _, book := range w.shelf().Runbooks {
		for _, s := range book.Sections {
			zone := w.site.Zone
			if book.Zone != nil {
				zone = book.Zone
			}
			list = append(list, w.followUps(all, book.Runbook, s, now)...)
			if book.Window != nil && s.InWindow() {
				list = append(list, w.nextWindow(all, book.Runbook, s, now, zone))
			}
			if !s.Plan.Recurs() {
				continue
			}
			last, open := lastDone(all, w.site.Name, book.ID, s.ID)
			status := s.Plan.In(zone).Status(now, last)
			st := standing{Section: s.ID, Runbook: book.ID, Title: s.Title, Cadence: string(s.Plan.Cadence), State: status.State, Missed: status.Missed, Open: open, status: status}
			if !status.Due.IsZero() {
				st.Due = &status.Due
			}
			if !last.IsZero() {
				st.Last = &last
			}
			list = append(list, st)
		}
	}
	slices.SortStableFunc(list, func(a, b standing) int {
		return cmp.Or(a.urgency()-b.urgency(), a.rhythm()-b.rhythm())
	})
	return list
}

// urgency is the place in the list by what should have been done.
func (s standing) urgency() int {
	return slices.Index([]schedule.State{schedule.Overdue, schedule.DueNow, schedule.Never, planned, schedule.Done, schedule.Unbound}, s.State)
}

// rhythm is the place in the list by how often.
func (s standing) rhythm() int {
	if i := slices.Index(schedule.Cadences(), schedule.Cadence(s.Cadence)); i >= 0 {
		return i
	}
	return len(schedule.Cadences())
}

// level is what a section that should have been done is worth as exit code.
func (s standing) level() checks.Level {
	switch s.State {
	case schedule.Overdue:
		return checks.Crit
	case schedule.DueNow, schedule.Never:
		return checks.Warn
	}
	return checks.OK
}

// nextWindow is a section that waits for its window: it is due when that opens.
func (w *world) nextWindow(all []runbooks.Run, book runbooks.Runbook, s runbooks.Section, now time.Time, zone *time.Location) standing {
	last, open := lastDone(all, w.site.Name, book.ID, s.ID)
	opening := book.Window.In(zone).Next(now)
	st := standing{Section: s.ID, Runbook: book.ID, Title: s.Title, Cadence: "window", State: schedule.Unbound, Open: open}
	if !opening.IsZero() {
		st.Due, st.State = &opening.Start, planned
		if opening.Contains(now) && !last.After(opening.Start) {
			st.State = schedule.DueNow
		}
	}
	if !last.IsZero() {
		st.Last = &last
	}
	return st
}

// planned is the state of a window, and of a follow-up, whose time has not come.
const planned schedule.State = "planned"

// followUps are the items of open runs that fall due some time after another.
func (w *world) followUps(all []runbooks.Run, book runbooks.Runbook, s runbooks.Section, now time.Time) []standing {
	var list []standing
	for _, r := range all {
		if r.Opened.Site != w.site.Name || r.Opened.Runbook != book.ID || r.Opened.Section != s.ID || r.State.Ended() {
			continue
		}
		for _, it := range r.Items {
			due, ok := r.FollowUp(it)
			if !ok {
				continue
			}
			st := standing{Section: s.ID, Runbook: book.ID, Title: it.Title, Cadence: "follow-up", State: planned, Due: &due, Open: r.ID, Item: it.ID}
			if !due.After(now) {
				st.State = schedule.DueNow
			}
			list = append(list, st)
		}
	}
	return list
}

// deciding are the runs of a record that what is due rests on: of each section
// those that go on, and the newest that was completed.
func (p *program) deciding(record *runbooks.Record) []runbooks.Run {
	newest := map[string]string{}
	opened := func(id string) time.Time { return record.Events(id)[0].At }
	for _, id := range record.IDs() {
		key := record.Opened(id).Key()
		if record.Ended(id) == (runbooks.RunClosed{}).Kind() && !record.Opened(id).Rehearsal &&
			(newest[key] == "" || opened(id).After(opened(newest[key]))) {
			newest[key] = id
		}
	}
	var list []runbooks.Run
	for _, id := range record.IDs() {
		if record.Ended(id) == "" || newest[record.Opened(id).Key()] == id {
			list = append(list, p.foldOf(record, id, runbooks.InBrief))
		}
	}
	return list
}

// lastDone is when the run that last completed the section was opened, and
// the id of one that is not finished.
func lastDone(all []runbooks.Run, siteName, book, section string) (last time.Time, open string) {
	for _, r := range all {
		if r.Opened.Site != siteName || r.Opened.Runbook != book || r.Opened.Section != section || r.Opened.Rehearsal {
			continue
		}
		switch r.State {
		case runbooks.Completed, runbooks.CompletedWithExceptions:
			if r.OpenedAt.After(last) {
				last = r.OpenedAt
			}
		case runbooks.Open, runbooks.Suspended:
			open = r.ID
		}
	}
	return last, open
}

func (p *program) dueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "due",
		Short: "What is due, overdue and never done, by cadence",
		Long:  "Lists every section with a cadence. Exits 0 when nothing is due, 1 when something is, 2 when something is overdue.",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := p.enter(cmd.Context(), looks)
			if err != nil {
				return err
			}
			defer w.close()
			if err := w.refusedBooks(); err != nil {
				return err
			}
			record, err := p.record(w)
			if err != nil {
				return err
			}
			list := w.standings(p.deciding(record), p.Now())
			if p.flags.json {
				if list == nil {
					list = []standing{}
				}
				err = printJSON(p.Stdout, list, true)
			} else {
				p.printDue(list, w.site.Zone)
			}
			return errors.Join(err, dueVerdict(list))
		},
	}
}

// printDue says the most urgent first, then every section on a line.
func (p *program) printDue(list []standing, zone *time.Location) {
	if len(list) == 0 {
		fmt.Fprintln(p.Stdout, p.painter().verdict(checks.OK, "nothing recurs", "no section has a cadence"))
		return
	}
	counts := map[schedule.State]int{}
	for _, s := range list {
		counts[s.State]++
	}
	tally := counted(counts, []schedule.State{schedule.Overdue, schedule.DueNow, schedule.Never, planned, schedule.Done}, "overdue", "due", "never done", "planned", "done")
	fmt.Fprintln(p.Stdout, p.painter().verdict(list[0].level(), list[0].name(), tally))
	for _, s := range list {
		line := fmt.Sprintf("%-11s %-10s %-24s", s.State, s.Cadence, s.name())
		if s.Due != nil {
			line += " due " + s.Due.In(zone).Format("2006-01-02 15:04 MST")
		}
		if s.Last != nil {
			line += ", last " + s.Last.In(zone).Format("2006-01-02")
		}
		if s.Open != "" {
			line += ", open: " + s.Open
		}
		fmt.Fprintln(p.Stdout, line)
	}
}

// name is the section, with the item that a follow-up is about.
func (s standing) name() string {
	if s.Item != "" {
		return s.Section + "/" + s.Item
	}
	return s.Section
}

func dueVerdict(list []standing) error {
	worst := checks.OK
	for _, s := range list {
		worst = checks.Worst(worst, s.level())
	}
	return verdict(worst)
}
