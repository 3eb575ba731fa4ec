package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/charmbracelet/lipgloss"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/ui"
	"github.com/advanced-lms/opsdeck/ui/checklist"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/panes"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// deckGarbage is how much garbage may lie beside what the deck holds, in
// percent. It holds some 5 MB and throws away little: half of the usual costs
// no processor time that can be measured, and saves 2 MB.
const deckGarbage = 50

// deck opens the screen on the site. It owns nothing that must survive it:
// what was recorded is in the journal, the rest is sampled anew.
func (p *program) deck(ctx context.Context) error {
	if !isTerminal(p.Stdout) {
		return usage("opsdeck triage, run and check work without one", "the deck needs a terminal")
	}
	s, err := p.loadSite(ctx)
	if err != nil {
		return err
	}
	logFile, logPath := p.openLog(s)
	defer logFile.Close()
	log := p.logTo(logFile)
	w, err := p.worldOf(ctx, s, keeps, log)
	if err != nil {
		return err
	}
	defer w.close()
	if p.Env("GOGC") == "" {
		debug.SetGCPercent(deckGarbage)
	}
	ctx, cancel := context.WithCancel(ctx)
	monitor := watch.NewMonitor(w.runner, s.Checks(p.registry))
	notices := make(chan pane.NoticeMsg)
	var background sync.WaitGroup
	background.Go(func() { defer crash.Recover(); monitor.Run(ctx) }) //nolint:errcheck // it ends with ctx and never fails
	if w.history != nil {
		background.Go(func() {
			defer crash.Recover()
			w.history.Keep(ctx, historyTrouble(ctx, log, notices))
		})
	}
	say := func(n pane.NoticeMsg) {
		select {
		case notices <- n:
		case <-ctx.Done():
		}
	}
	background.Go(func() { defer crash.Recover(); p.follow(ctx, w, p.reloaded(monitor, say)) })
	desk, err := newDesk(p, w, say)
	if err != nil {
		cancel()
		background.Wait()
		return err
	}
	background.Go(func() { defer crash.Recover(); desk.keep(ctx) })
	background.Go(func() { defer crash.Recover(); giveBack(ctx, log) })
	err = ui.Run(ctx, p.deckDeps(w, monitor, desk, notices, log, logPath))
	cancel()
	err = errors.Join(err, desk.close())
	background.Wait()
	p.farewell(w)
	return err
}

// historyTrouble logs that the metric history cannot be written, and says it in
// the deck when it begins. It is tried again and again: see History.Keep.
func historyTrouble(ctx context.Context, log *slog.Logger, notices chan<- pane.NoticeMsg) func(error) {
	var known string
	return func(err error) {
		log.Warn("metric history", "error", err)
		if err.Error() == known {
			return
		}
		known = err.Error()
		notice := pane.NoticeMsg{Level: checks.Unknown, Text: "no metric history is written, it is tried every half minute: " + known}
		select {
		case notices <- notice:
		case <-ctx.Done():
		}
	}
}

func (p *program) deckDeps(w *world, monitor *watch.Monitor, desk *desk, notices <-chan pane.NoticeMsg, log *slog.Logger, logPath string) ui.Deps {
	who := identity.Current()
	if uid, ok := w.ownerID(); ok && w.far() {
		who.Claimed = who.Claimed && uid == who.UID // to a supervisor of another user the kernel vouches for us
	}
	options := theme.Detect(p.Env, theme.Flags{ASCII: p.flags.ascii, Color: p.flags.color})
	return ui.Deps{
		Monitor: monitor,
		Panes:   []pane.Spec{panes.System, panes.Services, panes.Database(w.forbids), checklist.Spec(desk)},
		Theme:   theme.New(lipgloss.NewRenderer(os.Stdout), options),
		Host:    who.Host, Site: w.site.Name, SiteFile: absolute(w.site.Path), User: who.String(),
		ReadOnly: w.mayNotAct() != "", Zone: w.site.Zone,
		Notices: notices, Log: log, LogPath: logPath, Env: p.Env,
	}
}

// openLog opens the program's own log in the state directory; without one the
// log goes nowhere, and never to the terminal.
func (p *program) openLog(s *site.Site) (*os.File, string) {
	dir, err := journal.StateDir(p.flags.state, s.Name, p.Env)
	path := filepath.Join(dir, logName)
	if err == nil {
		_, err = journal.Open(dir, journal.Holder{}) // the log lies in a directory that is ours, or nowhere
	}
	if err == nil {
		rotate(path)
		if f, err := journal.OpenLog(dir, logName); err == nil {
			return f, path
		}
	}
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return os.Stderr, ""
	}
	return f, ""
}

// logName is the program's own log in the state directory.
const logName = "opsdeck.log"

// maxLog is when the program's log is put aside; one older log is kept.
const maxLog = 4 << 20

func rotate(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		os.Rename(path, path+".1") //nolint:errcheck // a log that cannot be put aside goes on growing
	}
}

// reloaded tells the deck what came of reading the site file again.
func (p *program) reloaded(monitor *watch.Monitor, say func(pane.NoticeMsg)) func(reload) {
	return func(r reload) {
		switch {
		case r.kept != nil:
			say(pane.NoticeMsg{Level: checks.Unknown, Text: "the old site stays: " + r.kept.Error(), Topic: "site file"})
		case r.mended:
			say(pane.NoticeMsg{Level: checks.OK, Text: "the site file is as it was read before", Topic: "site file"})
		default:
			monitor.Replace(r.site.Checks(p.registry))
			say(pane.NoticeMsg{Level: checks.OK, Text: "the site file was read again", Topic: "site file"})
		}
	}
}
