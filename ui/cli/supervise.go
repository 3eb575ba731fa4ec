package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/step"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

func (p *program) superviseCommand() *cobra.Command {
	var group string
	var idle time.Duration
	cmd := &cobra.Command{
		Use:   "supervise",
		Short: "The process that owns the runs of a site; started by whoever needs it first",
		Long: `Serves the runs of a site on a Unix socket in its state directory: it alone writes the
record, runs the checks of runs, keeps watches and follows what actions do. Decks and
headless commands start it when they need it and are its clients; it ends a minute
after the last of them. Ending it ends no action.

With --group the members of a Unix group may connect too, so that a second person can
sign under their own login: see opsdeck init --system.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			announced := false
			announce := func(problem error) {
				if !announced {
					supervisor.Announce(problem)
				}
				announced = true
			}
			err := p.supervise(cmd.Context(), group, idle, announce)
			announce(err)
			return err
		},
	}
	cmd.Flags().StringVar(&group, "group", "", "group whose members may connect")
	cmd.Flags().DurationVar(&idle, "idle", time.Minute, "how long to stay when nothing is left to do; 0: for ever")
	return cmd
}

// supervise serves until nothing is left to do or the context ends.
func (p *program) supervise(ctx context.Context, group string, idle time.Duration, announce func(error)) error {
	gid, err := groupOf(group)
	if err != nil {
		return err
	}
	s, err := p.loadSite(ctx)
	if err != nil {
		return err
	}
	log := p.logTo(p.Stderr)
	w, err := p.worldOf(ctx, s, serves, log)
	if err != nil {
		return err
	}
	defer w.close()
	j, err := w.journal()
	if err != nil {
		return err
	}
	if idle == 0 {
		idle = 100 * 365 * 24 * time.Hour
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { defer crash.Recover(); p.follow(ctx, w, w.logReload) }()
	if w.history != nil {
		go func() {
			defer crash.Recover()
			w.history.Keep(ctx, func(err error) { log.Warn("metric history", "error", err) })
		}()
	}
	if err := step.Prune(filepath.Join(w.dir, "steps"), s.Retention.Evidence, time.Now()); err != nil {
		log.Warn("removing old steps", "error", err)
	}
	served := p.served(w, j)
	served.Group, served.Idle, served.Log, served.Socket = gid, idle, log, s.Socket
	err = supervisor.Serve(ctx, served, func() { announce(nil) })
	if err != nil {
		return &exit{exitState, err, ""}
	}
	return nil
}

func groupOf(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, usage("groupadd "+name, "--group: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// served is what the supervisor is made of on this site.
func (p *program) served(w *world, j *journal.Journal) supervisor.Options {
	actions, record := p.actions(w), witness(j)
	drive := func(ctx context.Context, book runbooks.Runbook, section string, who runbooks.Actor, present func(runbooks.Actor) bool) (*runbooks.Local, error) {
		s := w.current()
		return runbooks.Drive(ctx, runbooks.Options{
			Journal: record, Runner: w.runner, Site: s, SiteHash: siteHash(s), Name: s.Name, Zone: s.Zone,
			Runbook: book, Section: section, Actor: who, Present: present, Version: p.Version, Scrub: w.redact,
			Actions: actions, Parse: p.pinned,
		})
	}
	return supervisor.Options{
		Dir: w.dir, Version: p.Version, Drive: drive, Book: p.bookFor(w), Rest: j.Release,
		Events: j.Events, Site: w.siteInUse,
		Reload: func() {
			if r := p.reread(w); r != (reload{}) {
				w.logReload(r)
			}
		},
		Newest: func() (uint64, error) { head, err := j.Head(); return head.Seq, err },
		Failed: j.Err,
		Recover: func() error {
			if j.Err() == nil {
				return nil
			}
			return j.Reopen()
		},
		Unsettled: func() ([]supervisor.Unsettled, error) { return p.unsettled(w, j) },
	}
}

// bookFor is the runbook that a client means. The shelf's own is taken by its
// bytes, and from anybody who may walk runs here the document of one ad hoc
// action; another only from our own user, who could write to the shelf as well.
func (p *program) bookFor(w *world) func(string, []byte, runbooks.Hash, bool) (runbooks.Runbook, error) {
	return func(path string, source []byte, hash runbooks.Hash, mayBring bool) (runbooks.Runbook, error) {
		for _, book := range w.shelf().Runbooks {
			if book.Hash == hash {
				return book.Runbook, nil
			}
		}
		if !mayBring {
			if book, ok := p.adHocOf(source); ok {
				return book, nil
			}
			if problem := refusedIn(w.shelf()); problem != nil {
				return runbooks.Runbook{}, errors.New(cmp.Or(p.openShelf(w), problem.Error()))
			}
			return runbooks.Runbook{}, fmt.Errorf("%s is not a runbook of this supervisor: put it into /etc/opsdeck/runbooks and start it anew", path)
		}
		book, problems := markdown.Parse(path, source, markdown.Options{Registry: p.registry, Layer: path})
		if markdown.HasErrors(problems) {
			return runbooks.Runbook{}, fmt.Errorf("%s cannot be run: %s", path, problems[0])
		}
		return book, nil
	}
}

// unsettled finds the runs of this site in which something goes on. What another
// look at the same record cannot mend is logged and not returned: events that fit
// nowhere, and a pinned runbook that this build cannot read.
func (p *program) unsettled(w *world, j *journal.Journal) ([]supervisor.Unsettled, error) {
	record := runbooks.ReadRecord(j.Events())
	err := record.Unread()
	if err == nil && record.Fault() != nil {
		w.log.Error("what is recorded belongs to no run", "error", record.Fault())
	}
	var list []supervisor.Unsettled
	for _, id := range record.IDs() {
		if record.Ended(id) != "" || record.Opened(id).Site != w.site.Name {
			continue
		}
		r, foldErr := record.Fold(id, runbooks.InBrief)
		if foldErr != nil {
			w.log.Error("a run has events that do not fit", "run", id, "error", foldErr)
		}
		if !r.Unsettled() {
			continue
		}
		book, parseErr := p.pinned(r.Opened.Path, []byte(r.Opened.Source))
		if parseErr != nil {
			w.log.Error("what goes on in a run cannot be taken up", "run", id, "error", parseErr)
			continue
		}
		list = append(list, supervisor.Unsettled{Book: book, Section: r.Opened.Section, Driver: r.Driver})
	}
	return list, err
}

// actions is how runs of this site change anything.
func (p *program) actions(w *world) *runbooks.Actions {
	return &runbooks.Actions{
		Prober: w.runner, Deeds: p.deeds(w),
		Refuse:   func() string { return cmp.Or(w.mayNotAct(), p.openShelf(w)) },
		Holder:   func(target string) string { return p.holder(w, target) },
		NewToken: func() string { return "opsdeck/" + strings.ToLower(rand.Text()[:12]) },
		Advice:   p.advice,
	}
}

// leastFree is how much room the state directory must have before anything is
// changed: enough for the record of what comes of it.
const leastFree = 8 << 20

// mayNotAct is why nothing may be changed here now. Of a supervisor that runs as
// another user only itself can say: it refuses the preview.
func (w *world) mayNotAct() string {
	if w.far() {
		return ""
	}
	if path := w.current().Path; path != "" {
		if why := stranger(path); why != "" {
			return why
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(w.dir, &fs); err != nil {
		return fmt.Sprintf("the state directory cannot be looked at: %v", err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < leastFree {
		return fmt.Sprintf("the state directory %s has %d KiB left, and %d KiB are needed to record what comes of an action", w.dir, free>>10, leastFree>>10)
	}
	return ""
}

// forbids is why the site as it is now does not allow an action at all; ""
// if it does.
func (w *world) forbids(module string) string {
	m, ok := w.catalog.Lookup(module)
	if !ok || m.Allowed == nil {
		return ""
	}
	if err := m.Allowed(w.current().Facts().Allow); err != nil {
		return err.Error()
	}
	return ""
}

// stranger is why a file may not steer us; "" if it may.
func stranger(path string) string {
	rule, err := owner.Current()
	if err == nil {
		err = rule.Check(path)
	}
	var refused *owner.Refusal
	switch {
	case errors.As(err, &refused):
		return refused.At + " can be changed by others: " + err.Error()
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err.Error()
	}
	return ""
}

// openShelf says which runbooks of an installed supervisor others can change:
// they would have it act with its rights.
func (p *program) openShelf(w *world) string {
	if w.site.Socket == "" {
		return "" // its user could do the same without it
	}
	for _, layer := range p.layers()[1:] {
		files, _ := filepath.Glob(filepath.Join(layer.Name, "*.md")) //nolint:errcheck // the pattern is ours
		for _, path := range append(files, layer.Name) {
			if _, err := os.Lstat(path); err != nil {
				continue
			}
			if why := stranger(path); why != "" {
				return why
			}
		}
	}
	return ""
}

// client reaches the site's supervisor, and starts one where the site has no
// socket of its own.
func (p *program) client(w *world) *supervisor.Client {
	c := &supervisor.Client{Version: p.Version, TTY: identity.Current().TTY, Parse: p.pinned, Site: w.file}
	if c.Socket = w.site.Socket; c.Socket != "" {
		return c
	}
	c.Socket = supervisor.SocketIn(w.dir)
	c.Start = func(ctx context.Context) error {
		return supervisor.Spawn(ctx, w.dir, p.selfArgs(w, "supervise")...)
	}
	return c
}

// selfArgs are the arguments for another process of ours on the same site.
func (p *program) selfArgs(w *world, command ...string) []string {
	args := command
	for _, flag := range []struct{ name, path string }{{"--site", w.site.Path}, {"--state", p.flags.state}, {"--runbooks", p.flags.runbooks}} {
		if flag.path == "" {
			continue
		}
		if abs, err := filepath.Abs(flag.path); err == nil {
			args = append(args, flag.name, abs)
		}
	}
	return args
}
