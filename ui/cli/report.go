package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/report"
)

// forms are what a report can be written as. It is never written to.
var forms = map[string]func(io.Writer, report.Report) error{"md": report.Markdown, "html": report.HTML, "json": report.JSON}

func (p *program) reportCommand() *cobra.Command {
	var of, format, output string
	var force bool
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "The evidence of a run, for a change ticket (RUN may be shortened, or \"last\")",
		Long: `Tells who did what when in a run, what was found by which rule, what was overridden
until when, how long it took against its budget, and the head of the record, so that
a ticket can pin it. The HTML is one file without scripts and prints well.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := forms[format]
			if p.flags.json {
				write, ok = report.JSON, true
			}
			if !ok {
				return usage("one of md, html, json", "there is no format %q", format)
			}
			w, err := p.recordOf(cmd.Context(), of, looks)
			if err != nil {
				return err
			}
			defer w.close()
			r, err := p.reportOf(w, args[0])
			if err != nil {
				return err
			}
			if output == "" {
				return write(p.Stdout, r)
			}
			var b bytes.Buffer
			if err := write(&b, r); err != nil {
				return err
			}
			return place(output, b.Bytes(), force)
		},
	}
	cmd.Flags().StringVar(&format, "format", "md", "md, html or json")
	cmd.Flags().StringVar(&output, "output", "", "file to write to, instead of stdout")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return ofFlag(cmd, &of)
}

// reportOf is the report of a run, with the runs of its section before it.
func (p *program) reportOf(w *world, name string) (report.Report, error) {
	record, err := p.record(w)
	if err != nil {
		return report.Report{}, err
	}
	id, err := pick(record.IDs(), name)
	if err != nil {
		return report.Report{}, err
	}
	run := p.foldOf(record, id, runbooks.InFull)
	o := report.Options{Now: p.Now(), Version: p.Version, Verified: "told by its supervisor, not verified here", Scrub: w.redact}
	if !w.far() {
		v := journal.Verify(w.dir, nil)
		o.Verified, o.Head, o.HeadHash = v.Status.String(), v.Head.Seq, runbooks.Hash(v.Head.Hash)
		if v.Problem != "" {
			o.Verified += ": " + v.Problem
		}
	}
	if w.far() {
		if o.Head, o.HeadHash, err = p.toldHead(w); err != nil {
			return report.Report{}, err
		}
	}
	o.Earlier = p.earlier(record, run)
	if book, err := p.pinned(run.Opened.Path, []byte(run.Opened.Source)); err == nil {
		if section, ok := book.Section(run.Opened.Section); ok {
			o.Budget, o.InWindow = section.Budget, section.InWindow()
		}
	}
	return report.Of(run, o), nil
}

// earlier are the runs of the same section that were opened before this one.
func (p *program) earlier(record *runbooks.Record, run runbooks.Run) []runbooks.Run {
	var list []runbooks.Run
	for _, id := range record.IDs() {
		opened, at := record.Opened(id), record.Events(id)[0].At
		if id != run.ID && at.Before(run.OpenedAt) && opened.Key() == run.Opened.Key() {
			list = append(list, p.foldOf(record, id, runbooks.Newest))
		}
	}
	return list
}

// toldHead is the end of the record as its supervisor tells it: enough to pin
// in a ticket, and to be held against the files by their owner.
func (p *program) toldHead(w *world) (seq uint64, hash runbooks.Hash, err error) {
	events, err := p.events(w)
	if err != nil {
		return 0, hash, err
	}
	for e, err := range events {
		if err != nil {
			return 0, hash, fmt.Errorf("asking for the end of the record: %w", err)
		}
		seq, hash = e.Seq, e.Hash
	}
	return seq, hash, nil
}

// place writes a report where nothing is, or with force over a file. It follows
// no link, and there is never half of a report.
func place(path string, content []byte, force bool) error {
	write := hostfs.WriteNew
	if force {
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			return usage("write it elsewhere", "%s is not a file", path)
		}
		write = hostfs.WriteAtomic
	}
	err := write(path, content, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return usage("--force overwrites a file", "%s exists", path)
	case err != nil:
		return &exit{exitState, fmt.Errorf("writing the report: %w", err), ""}
	}
	return nil
}

func (p *program) diffCommand() *cobra.Command {
	var of string
	return ofFlag(&cobra.Command{
		Use:   "diff RUN RUN",
		Short: "What is different between two runs: facts compared, what is new, gone, worse",
		Long:  "Compares two runs item by item and fact by fact, with their units.\nExits 0 when nothing got worse, 1 when something did.",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := p.recordOf(cmd.Context(), of, looks)
			if err != nil {
				return err
			}
			defer w.close()
			record, err := p.record(w)
			if err != nil {
				return err
			}
			old, err := pick(record.IDs(), args[0])
			if err != nil {
				return err
			}
			now, err := pick(record.IDs(), args[1])
			if err != nil {
				return err
			}
			d := report.Compare(p.foldOf(record, old, runbooks.Newest), p.foldOf(record, now, runbooks.Newest), p.specOf)
			if p.flags.json {
				err = printJSON(p.Stdout, d, true)
			} else {
				err = d.Text(p.Stdout)
			}
			if err == nil && d.Worse() {
				err = &exit{code: 1}
			}
			return err
		},
	}, &of)
}

// specOf says which way a module's fact gets worse.
func (p *program) specOf(module, factName string) (fact.Spec, bool) {
	m, ok := p.registry.Lookup(module)
	if !ok {
		return fact.Spec{}, false
	}
	return m.FactSpec(factName)
}

// farewell is what a deck says when it has closed: where the record ends.
func (p *program) farewell(w *world) {
	if w.far() {
		return
	}
	j, err := w.journal()
	if err != nil {
		return
	}
	head, err := j.Head()
	if err != nil || head.Seq == 0 {
		return
	}
	fmt.Fprintf(p.Stdout, "the record ends with event %d: %s\n", head.Seq, report.Words(runbooks.Hash(head.Hash)))
}
