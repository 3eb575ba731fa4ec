package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/importer"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// runs are the recorded runs of a section, for modules that ask for them; of
// every section if it is "".
func (w *world) runs(section string) ([]checks.RunSummary, error) {
	events, err := w.events()
	if err != nil {
		return nil, err
	}
	record := runbooks.ReadRecord(events)
	faults := []error{record.Fault()}
	var found []checks.RunSummary
	for _, id := range record.IDs() {
		opened := record.Opened(id)
		if opened.Site != w.site.Name || section != "" && opened.Section != section {
			continue
		}
		run, err := record.Fold(id, runbooks.Newest)
		found, faults = append(found, w.summary(run)), append(faults, err)
	}
	return found, errors.Join(faults...)
}

func (w *world) summary(r runbooks.Run) checks.RunSummary {
	progress := r.Progress(time.Now())
	s := checks.RunSummary{
		ID: r.ID, Section: r.Opened.Section, Opened: r.OpenedAt, Closed: r.ClosedAt, State: string(r.State), Level: r.Level(),
		Rehearsal: r.Opened.Rehearsal, Failed: progress.ByState[runbooks.Failed] + progress.ByState[runbooks.Errored],
	}
	for _, it := range r.Items {
		sum := checks.ItemSummary{ID: it.ID, State: string(it.State), Overridden: it.Override != nil}
		if a, ok := it.Latest(); ok {
			sum.Started, sum.Ended = a.Started, a.Ended
		}
		if res := it.Result(); res != nil {
			sum.Module = res.Module
			sum.Measures = w.measures(res)
		}
		s.Items = append(s.Items, sum)
	}
	return s
}

// measures are the numbers of a result, with what the module says of them.
func (w *world) measures(res *checks.Result) []checks.Measure {
	var list []checks.Measure
	m, known := w.catalog.Lookup(res.Module)
	for _, f := range res.Facts {
		if !f.Type.Numeric() {
			continue
		}
		measure := checks.Measure{Fact: f}
		if known {
			for _, spec := range m.AllFacts() {
				if spec.Name == f.Name {
					measure.Worse = spec.Worse
				}
			}
		}
		list = append(list, measure)
	}
	return list
}

// runbooks are those on the shelf, with what lint says of them.
func (w *world) shelved() ([]checks.RunbookSummary, error) {
	var list []checks.RunbookSummary
	for _, l := range append(w.shelf().Runbooks, w.shelf().Broken...) {
		s := checks.RunbookSummary{ID: l.ID, File: l.Path, ReviewBy: l.ReviewBy}
		for _, section := range l.Sections {
			s.Sections = append(s.Sections, section.ID)
		}
		for _, d := range l.Diagnostics {
			if d.Severity == markdown.Error {
				s.Errors++
			} else {
				s.Warnings++
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// imported is what an import of a guide would make of it.
func imported(path string) (checks.ImportSummary, error) {
	source, err := hostfs.Read(path, maxLintFile)
	if err != nil {
		return checks.ImportSummary{}, err
	}
	g, err := importer.Import(source)
	if err != nil {
		return checks.ImportSummary{}, err
	}
	s := checks.ImportSummary{Tasks: g.Tasks()}
	for _, section := range g.Sections {
		s.Sections = append(s.Sections, section.Title)
	}
	for _, code := range []string{importer.Contradiction, importer.Placeholder, importer.Misdecoded} {
		for _, f := range g.Of(code) {
			s.Unsettled = append(s.Unsettled, fmt.Sprintf("line %d %s %s", f.Line, f.Code, f.Text))
		}
	}
	return s, nil
}
