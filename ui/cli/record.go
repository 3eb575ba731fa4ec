package cli

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// events are the record's: read from our own files, or told by the supervisor
// that runs as a service and whose files are closed to us.
func (p *program) events(w *world) (iter.Seq2[runbooks.Event, error], error) {
	if w.far() {
		return p.client(w).Events(context.Background()), nil
	}
	if _, err := os.Stat(w.dir); err != nil {
		return func(func(runbooks.Event, error) bool) {}, nil // nothing was ever recorded
	}
	j, err := w.journal()
	if err != nil {
		return nil, err
	}
	return j.Events(), nil
}

// recordOf is the world of a site whose record is to be read: the site of the
// site file, or one that is only known by its name, such as a demo that ended.
func (p *program) recordOf(ctx context.Context, name string, as role) (*world, error) {
	if name == "" {
		return p.enter(ctx, as)
	}
	w, err := p.worldOf(ctx, site.Named(name), as, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(w.dir); err != nil {
		w.close()
		return nil, usage("opsdeck history without --of shows the site of the site file", "no record of a site %q in %s", name, filepath.Dir(w.dir))
	}
	return w, nil
}

// ofFlag lets a record be read without its site file.
func ofFlag(cmd *cobra.Command, of *string) *cobra.Command {
	cmd.Flags().StringVar(of, "of", "", "name of the site whose record to read, without its site file")
	return cmd
}

func (p *program) historyCommand() *cobra.Command {
	var of string
	return ofFlag(&cobra.Command{
		Use:   "history",
		Short: "Past runs, the newest first",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := p.recordOf(cmd.Context(), of, looks)
			if err != nil {
				return err
			}
			defer w.close()
			all, err := p.runsInBrief(w)
			if err != nil {
				return err
			}
			if p.flags.json {
				out := []runJSON{}
				for i := len(all) - 1; i >= 0; i-- {
					run := runOf(all[i])
					run.Items = nil
					out = append(out, run)
				}
				return printJSON(p.Stdout, out, true)
			}
			if len(all) == 0 {
				fmt.Fprintf(p.Stdout, "no runs recorded for %s in %s\n", w.site.Name, w.place())
			}
			p.printHistory(all)
			return nil
		},
	}, &of)
}

// printHistory is a line for each run, the newest first.
func (p *program) printHistory(all []runbooks.Run) {
	ids, states := 0, 0
	for _, r := range all {
		ids, states = max(ids, len(r.ID)), max(states, len(r.State))
	}
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		fmt.Fprintf(p.Stdout, "%s %-*s %-*s %s  %s\n", p.painter().level(r.Level()), ids, r.ID, states, r.State, r.OpenedAt.Format("2006-01-02 15:04 MST"), r.OpenedBy)
	}
}

func (p *program) showCommand() *cobra.Command {
	var of string
	return ofFlag(&cobra.Command{
		Use:   "show RUN",
		Short: "One run with every item and its evidence (RUN may be shortened, or \"last\")",
		Args:  exactly(1),
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
			id, err := pick(record.IDs(), args[0])
			if err != nil {
				return err
			}
			return p.printRun(p.foldOf(record, id, runbooks.Newest))
		},
	}, &of)
}

func (p *program) verifyCommand() *cobra.Command {
	var witness, of string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the journal's chain: every event, every hash, and its end against a witness",
		Long: `Reads the whole journal and checks every event against its hash and the one before
it, and its end against the head file or a head that was kept elsewhere.
Exits 0 intact and witnessed, 1 intact but not witnessed, 2 damaged, 3 cannot tell.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := p.recordOf(cmd.Context(), of, audits)
			if err != nil {
				return err
			}
			defer w.close()
			var given *journal.Head
			if witness != "" {
				head, err := journal.ParseHead(witness)
				if err != nil {
					return usage(`write it as it was shown: "NUMBER HASH"`, "--witness: %w", err)
				}
				given = &head
			}
			report := verified(w, p.flags.state, given)
			if err := p.printReport(cmp.Or(p.flags.state, w.place()), report); err != nil {
				return err
			}
			if report.Status != journal.Intact {
				return &exit{code: int(report.Status)}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&witness, "witness", "", `head to hold the journal against: "NUMBER HASH"`)
	return ofFlag(cmd, &of)
}

// verified is what the files say. Those of a supervisor that runs as another
// user are not ours to read: what it tells of them is no proof.
func verified(w *world, state string, given *journal.Head) journal.Report {
	if !w.far() || state != "" {
		return journal.Verify(w.dir, given)
	}
	return journal.Report{Status: journal.Undetermined, Problem: fmt.Sprintf(
		"the files of the record belong to %s, and what their supervisor tells of them is no proof: sudo -u %[1]s opsdeck verify --site %s --state DIRECTORY", w.owner(), w.site.Path)}
}

// owner is the user whose supervisor serves the site.
func (w *world) owner() string {
	id, ok := w.ownerID()
	if !ok {
		return "the supervisor's user"
	}
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(id)
}

// ownerID is whose the site's socket is; not ok if it cannot be seen.
func (w *world) ownerID() (id int, ok bool) {
	info, err := os.Stat(w.site.Socket)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// place is where the record is.
func (w *world) place() string {
	if w.far() {
		return "the supervisor at " + w.site.Socket
	}
	return w.dir
}

func (p *program) printReport(dir string, r journal.Report) error {
	if p.flags.json {
		return printJSON(p.Stdout, map[string]any{
			"status": r.Status.String(), "code": int(r.Status), "events": r.Events, "head": r.Head.String(), "bad": r.Bad, "problem": r.Problem, "state": dir,
		}, true)
	}
	fmt.Fprintf(p.Stdout, "%s: %d events\n", r.Status, r.Events)
	if r.Problem != "" {
		fmt.Fprintf(p.Stdout, "  %s\n", r.Problem)
	}
	if r.Events > 0 {
		fmt.Fprintf(p.Stdout, "  head %s\n", r.Head)
	}
	fmt.Fprintf(p.Stdout, "  state %s\n", dir)
	return nil
}
