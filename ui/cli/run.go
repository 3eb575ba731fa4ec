package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/report"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// lockPatience is how long "run" waits for whoever writes the journal.
const lockPatience = 5 * time.Second

func (p *program) runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run SECTION",
		Short: "Walk a section without a terminal: checks run, the rest stays pending and is listed",
		Long: `Walks a section of a runbook without a terminal. Checks run and are recorded; what
needs a person or has an effect stays pending and is listed. Run again in the
same period it joins the same run: what passed is kept, what did not is tried again.`,
		Args: exactly(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return p.sectionNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := p.enter(cmd.Context(), keeps)
			if err != nil {
				return err
			}
			defer w.close()
			book, section, err := p.section(w, file, args[0])
			if err != nil {
				return err
			}
			run, err := p.walk(cmd.Context(), w, book, section)
			if err != nil {
				return err
			}
			if err := p.printRun(run); err != nil {
				return err
			}
			return verdict(run.Level())
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "runbook to take the section from, instead of the library")
	return cmd
}

func (p *program) sectionNames() []string {
	shelf := markdown.Load(markdown.Options{Registry: p.registry}, p.layers()...)
	var names []string
	for _, book := range shelf.Runbooks {
		for _, s := range book.Sections {
			names = append(names, s.ID)
		}
	}
	return names
}

// section finds what is to be walked: in a file of the user's, or on the shelf.
func (p *program) section(w *world, file, name string) (runbooks.Runbook, string, error) {
	if file == "" {
		if err := w.refusedBooks(); err != nil {
			return runbooks.Runbook{}, "", err
		}
		loaded, section, err := w.shelf().Section(name)
		if err != nil {
			return runbooks.Runbook{}, "", usage(checks.Nearest(name, p.sectionNames()), "%w", err)
		}
		return loaded.Runbook, section.ID, nil
	}
	source, err := readSteering(file)
	if err != nil {
		return runbooks.Runbook{}, "", refusal(fmt.Errorf("reading the runbook: %w", err))
	}
	book, diagnostics := markdown.Parse(file, source, markdown.Options{Registry: p.registry, Now: time.Now(), Layer: file})
	if markdown.HasErrors(diagnostics) {
		for _, d := range diagnostics {
			fmt.Fprintln(p.Stderr, clean.Line(d.String(), 0))
		}
		return runbooks.Runbook{}, "", &exit{exitData, fmt.Errorf("%s cannot be run", file), ""}
	}
	if _, ok := book.Section(name); !ok {
		var names []string
		for _, s := range book.Sections {
			names = append(names, s.ID)
		}
		return runbooks.Runbook{}, "", usage(checks.Nearest(name, names), "%s has no section %q", file, name)
	}
	return book, name, nil
}

// walk runs every check of a section and returns the run as it was left.
func (p *program) walk(ctx context.Context, w *world, book runbooks.Runbook, section string) (runbooks.Run, error) {
	session, err := p.client(w).Open(ctx, book, section)
	if err != nil {
		return runbooks.Run{}, &exit{exitState, fmt.Errorf("preparing the run: %w", err), ""}
	}
	err = patiently(ctx, func() error { return start(session) })
	if err == nil {
		err = settled(ctx, session)
	}
	if err == nil && session.Run().Closable() == nil && session.Run().State == runbooks.Open {
		err = session.Finish("walked without a terminal")
	}
	err = errors.Join(err, session.Close())
	return session.Run(), recording(err)
}

// patiently tries again while another process writes the journal.
func patiently(ctx context.Context, do func() error) error {
	for until := time.Now().Add(lockPatience); ; {
		err := do()
		if !inUse(err) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// inUse says that somebody else has what we need: the journal, or the run.
func inUse(err error) bool {
	var held *journal.Held
	var driven *runbooks.DrivenError
	return errors.As(err, &held) || errors.As(err, &driven)
}

// start starts what is pending, and again what an earlier walk of the same
// period found failing or could not find out: cron walks until it is green.
func start(s runbooks.Session) error {
	if err := s.StartAll(); !errors.Is(err, runbooks.ErrAllDone) {
		return err
	}
	return nil
}

// settled waits until no check runs and none can be started.
func settled(ctx context.Context, s runbooks.Session) error {
	for {
		if err := s.Err(); err != nil {
			return err
		}
		if !busy(s.Run()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Changed():
		case <-time.After(time.Second):
		}
	}
}

// busy reports whether a check runs, or could be started.
func busy(run runbooks.Run) bool {
	for _, it := range run.Items {
		if it.State == runbooks.Running {
			return true
		}
		if it.Kind == runbooks.Check && it.State == runbooks.Pending && run.Ready(it.ID, time.Now()) == nil {
			return true
		}
	}
	return false
}

// recording gives errors of the journal the exit code of state that cannot be
// written.
func recording(err error) error {
	var other *supervisor.SiteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &other):
		return &exit{exitData, err, ""}
	case inUse(err):
		return &exit{exitState, err, "wait for it, or look with opsdeck history"}
	}
	return &exit{exitState, err, ""}
}

// itemJSON is an item of "run --json" and "show --json": the fields of its
// newest result and those of the run.
type itemJSON struct {
	Item     string            `json:"item"`
	Title    string            `json:"title"`
	Kind     runbooks.Kind     `json:"kind"`
	State    runbooks.State    `json:"state"`
	Actor    string            `json:"actor,omitempty"`
	Started  string            `json:"started,omitempty"`
	Ended    string            `json:"ended,omitempty"`
	Typed    map[string]string `json:"typed,omitempty"`    // a confirmation's fields
	Evidence string            `json:"evidence,omitempty"` // sha256 of the result as recorded
	Attempts int               `json:"attempts"`
	Guide    []int             `json:"guide,omitempty"`
	Skipped  *runbooks.Remark  `json:"skipped,omitempty"`
	Override *runbooks.Remark  `json:"override,omitempty"`
	Ack      *runbooks.Remark  `json:"acknowledged,omitempty"`
	Notes    []runbooks.Remark `json:"notes,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Result   *checks.Result    `json:"-"`
}

// MarshalJSON joins the item's fields with its result's.
func (i itemJSON) MarshalJSON() ([]byte, error) { return joined(i) }

func itemOf(run runbooks.Run, it runbooks.ItemRun) itemJSON {
	out := itemJSON{
		Item: it.ID, Title: it.Title, Kind: it.Kind, State: it.State, Attempts: it.Attempts.Len(), Guide: it.Guide,
		Skipped: it.Skip, Override: it.Override, Ack: it.Ack, Notes: it.Notes.List(), Result: it.Result(),
	}
	if a, ok := it.Latest(); ok {
		out.Actor, out.Reason = a.Actor.String(), a.Reason
		out.Started = a.Started.Format(time.RFC3339Nano)
		if !a.Ended.IsZero() {
			out.Ended = a.Ended.Format(time.RFC3339Nano)
		}
		if len(a.Evidence) > 0 {
			out.Typed = a.Evidence
		}
	}
	if out.Result != nil {
		out.Evidence = report.ResultHash(out.Result)
	}
	return out
}

type runJSON struct {
	Run     string            `json:"run"`
	Site    string            `json:"site"`
	Runbook string            `json:"runbook"`
	Section string            `json:"section"`
	Period  string            `json:"period,omitempty"`
	State   runbooks.RunState `json:"state"`
	Level   checks.Level      `json:"level"`
	Opened  time.Time         `json:"opened"`
	Closed  *time.Time        `json:"closed,omitempty"`
	By      string            `json:"by"`
	Items   []itemJSON        `json:"items"`
}

func runOf(run runbooks.Run) runJSON {
	out := runJSON{
		Run: run.ID, Site: run.Opened.Site, Runbook: run.Opened.Runbook, Section: run.Opened.Section, Period: run.Opened.Period,
		State: run.State, Level: run.Level(), Opened: run.OpenedAt, By: run.OpenedBy.String(), Items: []itemJSON{},
	}
	if !run.ClosedAt.IsZero() {
		out.Closed = &run.ClosedAt
	}
	for _, it := range run.Items {
		out.Items = append(out.Items, itemOf(run, it))
	}
	return out
}

// printRun shows a run: its verdict, then every item, the exceptions with why.
func (p *program) printRun(run runbooks.Run) error {
	if p.flags.json {
		return printJSON(p.Stdout, runOf(run), true)
	}
	progress := run.Progress(time.Now())
	tally := fmt.Sprintf("%d of %d items decided, %s", progress.Decided, progress.Total, run.State)
	fmt.Fprintf(p.Stdout, "%s\nrun %s\n", p.painter().verdict(run.Level(), worstItem(run), tally), run.ID)
	group := ""
	for _, it := range run.Items {
		if it.Group != group {
			group = it.Group
			fmt.Fprintf(p.Stdout, "\n%s\n", clean.Line(group, 0))
		}
		p.printItem(it)
	}
	return nil
}

// worstItem is the first item at the run's level.
func worstItem(run runbooks.Run) string {
	for _, it := range run.Items {
		if it.State.Level() == run.Level() {
			return it.ID
		}
	}
	return run.Opened.Section
}

func (p *program) printItem(it runbooks.ItemRun) {
	note := ""
	if r := it.Result(); r != nil {
		note = summary(*r)
	} else if a, ok := it.Latest(); ok {
		note = a.Reason
	}
	switch {
	case it.Skip != nil:
		note = "skipped: " + it.Skip.Text
	case it.State == runbooks.Pending && it.Kind != runbooks.Check:
		note = "needs a person"
	}
	fmt.Fprintf(p.Stdout, "  %-14s %-22s %s\n", it.State, it.ID, clean.Line(note, 0))
	p.printAsked(it)
	if r := it.Result(); r != nil && it.State != runbooks.Passed {
		for _, b := range r.Why {
			fmt.Fprintf(p.Stdout, "  %14s %s\n", "", breachText(b))
		}
	}
}

// printAsked shows what an action was asked to do, and what its preview said.
func (p *program) printAsked(it runbooks.ItemRun) {
	a, ok := it.Latest()
	if !ok || a.Armed == nil {
		return
	}
	fmt.Fprintf(p.Stdout, "  %14s previewed: %s\n", "", clean.Line(a.Armed.Preview.Note, 0))
	for _, g := range report.Asked(a.Armed.With) {
		fmt.Fprintf(p.Stdout, "  %14s %s: %s\n", "", clean.Line(g.Name, 0), clean.Line(g.Value, 0))
	}
}
