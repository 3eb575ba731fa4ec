package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
	"github.com/advanced-lms/opsdeck/ui/checklist"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// freshen is how often the desk looks whether somebody else recorded
// something, or drives.
const freshen = 5 * time.Second

// A desk gives the runbook pane its sections and sessions. What it answers
// from memory is kept fresh by keep.
type desk struct {
	p *program
	w *world
	j *journal.Journal // nil where the record is the supervisor's alone

	client *supervisor.Client
	say    func(pane.NoticeMsg) // to whom looks at the deck
	files  supervisor.SiteFile  // that the supervisor went by; only keep uses it

	mu       sync.Mutex
	sections []checklist.SectionInfo
	err      error
	seen     journal.Head    // of the record in our own files; only keep uses it
	all      runbooks.Folder // of the record as far as it is known; only keep uses it
	fresh    bool            // all holds what sections does not show; only keep uses it
	sessions []*supervisor.Session
}

// newDesk reads how things stand; keep goes on from there.
func newDesk(p *program, w *world, say func(pane.NoticeMsg)) (*desk, error) {
	d := &desk{p: p, w: w, say: say, client: p.client(w), err: errReading, all: runbooks.Folder{Brief: true}}
	if w.far() {
		return d, nil
	}
	var err error
	d.j, err = w.journal()
	return d, err
}

// errReading stands until the record has been read for the first time: what
// is not known yet must not look as if there were nothing.
var errReading = errors.New("reading the record")

// keep refreshes until ctx ends. The first look is at once.
func (d *desk) keep(ctx context.Context) {
	tick := time.NewTicker(freshen)
	defer tick.Stop()
	d.look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.look()
			d.compareFiles()
		}
	}
}

// compareFiles says when the supervisor goes by another site file than before,
// or cannot use the one that is there.
func (d *desk) compareFiles() {
	d.mu.Lock()
	var now supervisor.SiteFile
	if n := len(d.sessions); n > 0 {
		now = d.sessions[n-1].SiteFile()
	}
	d.mu.Unlock()
	before := d.files
	if now == before || now.Hash == "" {
		return
	}
	d.files = now
	switch {
	case now.Problem != "":
		d.say(pane.NoticeMsg{Level: checks.Unknown, Text: "the supervisor keeps the old site file: " + now.Problem, Topic: "supervisor's site file"})
	case before.Problem != "" && before.Hash == now.Hash:
		d.say(pane.NoticeMsg{Level: checks.OK, Text: "the supervisor can use the site file again", Topic: "supervisor's site file"})
	case before.Hash != "" && before.Hash != now.Hash:
		d.say(pane.NoticeMsg{Level: checks.Warn, Text: "the supervisor has read the site file again: what was previewed under the old one is taken back", Topic: "supervisor's site file"})
	case now.Hash != d.w.file().Hash:
		d.say(pane.NoticeMsg{Level: checks.Warn, Text: "the supervisor goes by another site file: " + now.Path + " " + runbooks.ShortHash(now.Hash)})
	}
}

// look folds what was recorded since the last look. A record that could not be
// read to its end is read from its start the next time; one that only took too
// long is gone on with.
func (d *desk) look() {
	d.mu.Lock()
	first, settled := d.sections == nil, d.sections != nil && d.err == nil
	d.mu.Unlock()
	err := d.learn()
	if err == nil && !d.fresh && settled {
		return
	}
	late := errors.Is(err, context.DeadlineExceeded)
	all, faults := d.all.Runs()
	var sections []checklist.SectionInfo
	if d.fresh && !late || first && err == nil {
		sections, d.fresh = d.list(all), false
	}
	if err != nil && !late {
		d.all = runbooks.Folder{Brief: true}
	}
	if faults != nil {
		err = errors.Join(err, fmt.Errorf("the record has faults, see opsdeck verify: %w", faults))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err = err; sections != nil {
		d.sections = sections
	}
}

// learn folds what is new of the record. Only keep asks.
func (d *desk) learn() error {
	if d.j == nil {
		ctx, cancel := context.WithTimeout(context.Background(), freshen)
		defer cancel()
		return d.add(d.client.EventsAfter(ctx, d.all.Seq()))
	}
	head, err := d.j.Head()
	if err == nil && head == d.seen && d.all.Seq() > 0 {
		return nil
	}
	if head.Seq < d.seen.Seq {
		d.all = runbooks.Folder{Brief: true} // another record lies there now
	}
	readErr := d.add(d.j.After(d.all.Seq()))
	if d.seen = head; readErr != nil {
		d.seen = journal.Head{} // the next look tries again
	}
	return errors.Join(err, readErr)
}

// add folds events up to one that cannot be read.
func (d *desk) add(events iter.Seq2[runbooks.Event, error]) error {
	for e, err := range events {
		if err != nil {
			return fmt.Errorf("reading the record: %w", err)
		}
		d.all.Add(e)
		d.fresh = true
	}
	return nil
}

// list is every section of the shelf with how it stands, then the broken
// documents, which can be seen but not opened.
func (d *desk) list(all []runbooks.Run) []checklist.SectionInfo {
	list := []checklist.SectionInfo{}
	for _, book := range d.w.shelf().Runbooks {
		for _, s := range book.Sections {
			list = append(list, d.info(book.Runbook, s, all))
		}
	}
	for _, book := range d.w.shelf().Broken {
		list = append(list, checklist.SectionInfo{ID: book.ID, Runbook: book.ID, Title: book.Path, Problem: book.Diagnostics[0].String()})
	}
	for _, problem := range d.w.shelf().Problems {
		var refused *owner.Refusal
		if errors.As(problem, &refused) {
			list = append(list, checklist.SectionInfo{ID: refused.Path, Runbook: refused.Path, Title: refused.Path, Problem: refused.Error()})
		}
	}
	return list
}

func (d *desk) info(book runbooks.Runbook, s runbooks.Section, all []runbooks.Run) checklist.SectionInfo {
	zone := d.w.site.Zone
	if book.Zone != nil {
		zone = book.Zone
	}
	info := checklist.SectionInfo{ID: book.ID + "/" + s.ID, Runbook: book.ID, Title: s.Title, Items: len(s.Items), Plan: s.Plan.In(zone)}
	for _, r := range all {
		if r.Opened.Site != d.w.site.Name || r.Opened.Runbook != book.ID || r.Opened.Section != s.ID || r.Opened.Rehearsal {
			continue
		}
		progress := r.Progress(time.Now())
		switch r.State {
		case runbooks.Open, runbooks.Suspended:
			info.Unfinished = &checklist.Unfinished{Run: r.ID, Driver: r.Driver.String(), Decided: progress.Decided, Total: progress.Total, Last: r.Last}
		case runbooks.Completed, runbooks.CompletedWithExceptions:
			info.Last, info.LastBy, info.LastRun = r.OpenedAt, r.Driver.String(), r.ID
			info.LastBad = progress.ByState[runbooks.Failed] + progress.ByState[runbooks.Errored]
		}
	}
	return info
}

// Sections implements checklist.Provider.
func (d *desk) Sections() ([]checklist.SectionInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sections, d.err
}

// Open implements checklist.Provider.
func (d *desk) Open(ctx context.Context, id string) (runbooks.Session, error) {
	book, section, err := d.w.shelf().Section(id)
	if err != nil {
		return nil, err
	}
	return d.open(ctx, book.Runbook, section.ID)
}

// OpenAdHoc implements checklist.Provider.
func (d *desk) OpenAdHoc(ctx context.Context, a runbooks.AdHoc) (runbooks.Session, error) {
	book, err := d.p.adHoc(a)
	if err != nil {
		return nil, err
	}
	return d.open(ctx, book, book.Sections[0].ID)
}

func (d *desk) open(ctx context.Context, book runbooks.Runbook, section string) (runbooks.Session, error) {
	s, err := d.client.Open(ctx, book, section)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = append(d.sessions, s)
	return s, nil
}

// close leaves the sessions that are still open; what runs in them goes on.
// Closing twice does nothing.
func (d *desk) close() error {
	d.mu.Lock()
	sessions := d.sessions
	d.sessions = nil
	d.mu.Unlock()
	var errs []error
	for _, s := range sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

var _ checklist.Provider = (*desk)(nil)
