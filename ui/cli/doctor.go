package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// A finding is one line of the doctor.
type finding struct {
	Level  checks.Level `json:"level"`
	What   string       `json:"what"`
	Says   string       `json:"says"`
	Remedy string       `json:"remedy,omitempty"`
}

func (p *program) doctorCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What can be reached, which rights and tools each check lacks, and how to get them",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := p.enter(cmd.Context(), looks)
			if err != nil {
				return err
			}
			defer w.close()
			w.waits(wait)
			findings := append(p.examineSite(w), p.examineEnvironment()...)
			findings = append(findings, examineOwners()...)
			findings = append(findings, examinePrograms(command.LeftOut())...)
			findings = append(findings, p.examineState(cmd.Context(), w)...)
			for _, st := range w.once(cmd.Context(), w.site.Checks(p.registry)).States {
				findings = append(findings, examine(st.Result))
			}
			findings = append(findings, p.examineRunbooks(w)...)
			findings = append(findings, p.examineActions(w)...)
			findings = append(findings, p.examineSignatures(cmd.Context(), w)...)
			worst := checks.OK
			for _, f := range findings {
				worst = checks.Worst(worst, f.Level)
			}
			if p.flags.json {
				err = printJSON(p.Stdout, findings, true)
			} else {
				p.printFindings(findings)
			}
			if err != nil {
				return err
			}
			return verdict(worst)
		},
	}
	waitFlag(cmd, &wait)
	return cmd
}

// printFindings says the worst first, then every finding in its order.
func (p *program) printFindings(findings []finding) {
	paint := p.painter()
	counts := map[checks.Level]int{}
	worst, what := checks.OK, "all here"
	for _, f := range findings {
		counts[f.Level]++
		if w := checks.Worst(worst, f.Level); w != worst {
			worst, what = w, f.What
		}
	}
	tally := counted(counts, []checks.Level{checks.Crit, checks.Unknown, checks.Warn, checks.OK, checks.Skipped}, "wrong", "not known", "to look at", "in order", "not here")
	fmt.Fprintf(p.Stdout, "%s\n\n", paint.verdict(worst, what, tally))
	for _, f := range findings {
		fmt.Fprintf(p.Stdout, "%s %-24s %s\n", paint.level(f.Level), f.What, f.Says)
		if f.Remedy != "" {
			fmt.Fprintf(p.Stdout, "        -> %s\n", f.Remedy)
		}
	}
}

func (p *program) examineSite(w *world) []finding {
	if w.site.Detected {
		return []finding{{checks.OK, "site", "detected from this host, read-only", "opsdeck init writes it down to be completed"}}
	}
	return []finding{{checks.OK, "site", w.site.Path, ""}}
}

// examineOwners says as whom opsdeck runs if that is root, and whose files are
// taken beside the user's own and root's.
func examineOwners() []finding {
	var found []finding
	if os.Geteuid() == 0 {
		found = append(found, finding{checks.OK, "user",
			"root, which is not needed: what a check lacks as another user is named here, with how to get it",
			"opsdeck init --system says how opsdeck gets a user of its own"})
	}
	rule, err := owner.Current()
	if err != nil {
		return append(found, finding{checks.Crit, "trusted owners", err.Error(), ""})
	}
	for _, who := range rule.Trusted() {
		found = append(found, finding{checks.OK, "trusted owner", who, ""})
	}
	for _, note := range rule.Notes() {
		found = append(found, finding{checks.Warn, "trusted owners", note, ""})
	}
	return found
}

// examinePrograms names the folders in which no program is looked up.
func examinePrograms(leftOut []error) []finding {
	var found []finding
	for _, why := range leftOut {
		f := finding{checks.Warn, "programs", why.Error(), ""}
		var refused *owner.Refusal
		if errors.As(why, &refused) {
			f.Says, f.Remedy = "no program is looked up there: "+refused.Cause(), refused.Remedy
		}
		found = append(found, f)
	}
	return found
}

func (p *program) examineState(ctx context.Context, w *world) []finding {
	if w.far() {
		return p.examineSupervisor(ctx, w)
	}
	if _, err := os.Stat(w.dir); err != nil {
		return []finding{{checks.OK, "state", w.dir + " will be made with the first run", ""}}
	}
	if _, err := journal.Open(w.dir, journal.Holder{}); err != nil {
		return []finding{{checks.Crit, "state", err.Error(), "name another directory with --state"}}
	}
	found := []finding{{checks.OK, "state", w.dir, ""}}
	if who, held := journal.WhoHolds(w.dir); held {
		found = append(found, finding{checks.OK, "journal", "being written by " + who.String(), ""})
	}
	report := journal.Verify(w.dir, nil)
	level, remedy := checks.OK, ""
	if report.Status == journal.Damaged || report.Status == journal.Undetermined {
		level, remedy = checks.Crit, "opsdeck verify says where; keep the state directory as it is"
	}
	return append(found, finding{level, "journal", report.Status.String() + " " + report.Problem, remedy})
}

// examineSupervisor asks one that runs as another user whether it answers us,
// and says what only it can have.
func (p *program) examineSupervisor(ctx context.Context, w *world) []finding {
	recorded := uint64(0)
	for e, err := range p.client(w).Events(ctx) {
		if err != nil {
			return []finding{{checks.Crit, "supervisor", err.Error(), "opsdeck init --system shows how it is set up"}}
		}
		recorded = e.Seq
	}
	found := []finding{{checks.OK, "supervisor", fmt.Sprintf("%s serves at %s, %d events recorded", w.owner(), w.site.Socket, recorded), ""}}
	found = append(found, p.examineSiteFile(ctx, w)...)
	for _, why := range w.site.Withheld {
		found = append(found, finding{checks.Skipped, "secret", "the supervisor's alone: " + why, ""})
	}
	return found
}

// examineActions says what stands in the way of changing anything here: what
// forbids it, and a log-out that would end it.
func (p *program) examineActions(w *world) []finding {
	var found []finding
	if _, err := os.Stat(w.dir); err != nil {
		// It is made with the first run.
	} else if why := w.mayNotAct(); why != "" {
		found = append(found, finding{checks.Warn, "actions", "none may begin: " + why, ""})
	}
	if open := p.openShelf(w); open != "" {
		found = append(found, finding{checks.Warn, "actions", "none may begin: " + open, ""})
	}
	found = append(found, examineLocks()...)
	if why := step.Logind(); why != "" && !w.far() {
		found = append(found, finding{checks.Warn, "actions", why, "loginctl enable-linger, or KillUserProcesses=no"})
	}
	return found
}

// examine asks of a check only whether it could find out, not what it found.
func examine(r checks.Result) finding {
	switch r.Level {
	case checks.Unknown:
		return finding{checks.Unknown, r.ID, string(r.Class) + ": " + r.Err, remedies[r.Class]}
	case checks.Skipped:
		return finding{checks.Skipped, r.ID, r.Err, ""}
	}
	return finding{checks.OK, r.ID, "can be found out", ""}
}

// remedies say how a class of failure is usually put right.
var remedies = map[checks.Class]string{
	checks.Denied:       "give the user or the role that opsdeck runs as the right to read this (for PostgreSQL: GRANT pg_monitor)",
	checks.Missing:      "install or switch on what is named, or take the check out of the site file",
	checks.Auth:         "check user and password of the connection in the site file",
	checks.Refused:      "start the server, or correct its address in the site file",
	checks.Timeout:      "look at the network and at the target; opsdeck check MODULE shows where the time goes",
	checks.DNS:          "correct the name in the site file, or the resolver of this host",
	checks.TLS:          "opsdeck check tls.expiry shows the chain",
	checks.Parse:        "the data is not in a form that opsdeck knows: see the check's detail",
	checks.NoData:       "wait for data, or widen the window",
	checks.Unconfigured: "complete the site file: opsdeck lint FILE",
	checks.Internal:     "this is a fault of opsdeck: the log has the stack",
}

// examineRunbooks names broken runbooks, and items that this site cannot run.
func (p *program) examineRunbooks(w *world) []finding {
	var found []finding
	for _, err := range w.shelf().Problems {
		found = append(found, finding{checks.Warn, "runbooks", err.Error(), ""})
	}
	for _, b := range w.shelf().Broken {
		found = append(found, finding{checks.Crit, "runbook " + b.Path, b.Diagnostics[0].String(), "opsdeck lint " + b.Path})
	}
	for _, b := range w.shelf().Runbooks {
		found = append(found, w.examineRunbook(b.Runbook)...)
	}
	return found
}

// examineRunbook counts the checks that can run here and names the others,
// with what the site file would have to say.
func (w *world) examineRunbook(b runbooks.Runbook) []finding {
	runnable := 0
	var absent []finding
	for _, s := range b.Sections {
		for _, it := range s.Items {
			if it.Kind != runbooks.Check {
				continue
			}
			check, err := runbooks.Resolve(it, w.site, nil)
			if err == nil {
				err = w.lacks(check)
			}
			if err != nil {
				absent = append(absent, finding{checks.Skipped, b.ID + " " + it.ID, "not at this site: " + err.Error(), ""})
				continue
			}
			runnable++
		}
	}
	summary := finding{checks.OK, "runbook " + b.ID, fmt.Sprintf("%d checks can run here, %d are not at this site", runnable, len(absent)), ""}
	return append([]finding{summary}, absent...)
}

// lacks is what a check names that the site file does not have; nil if nothing.
func (w *world) lacks(c checks.Check) error {
	facts := w.site.Facts()
	if kind := c.Module.Kind; kind != "" {
		name := cmp.Or(c.Connection, "main")
		if _, ok := w.site.Connection(kind, name); !ok {
			return fmt.Errorf("no connection %s.%s", kind, name)
		}
	}
	for _, param := range c.Module.Params {
		name := c.Args.Text(param.Name)
		if name != "" && param.Names != "" && !slices.Contains(param.Shipped, name) && !slices.Contains(facts.Entries(param.Names), name) {
			return fmt.Errorf("no %q under %s", name, param.Names)
		}
	}
	return nil
}
