package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// A world is a site ready to be looked at: connections that dial on first
// use, a runner over them, and the runbooks that apply. Close it.
type world struct {
	site    *site.Site
	redact  *clean.Redactor
	runner  *checks.Runner
	handles *handles
	history *journal.History      // nil when none is kept
	shelf   func() markdown.Shelf // read when it is first asked for: the first frame does not wait for it
	catalog *checks.Registry
	events  func() (iter.Seq2[runbooks.Event, error], error)
	dir     string // state of this site
	kept    bool   // the directory was there, and passed the rule of ownership
	role    role
	latest  atomic.Pointer[site.Site]
	wait    time.Duration                   // how long checks by difference wait for enough data
	taking  sync.Mutex                      // one reload at a time; guards handles
	problem atomic.Pointer[string]          // why the site file as it is now is not used; nil if it is
	record  atomic.Pointer[journal.Journal] // once it was opened
	log     *slog.Logger
}

// A role is what a process does with the state of a site.
type role int

const (
	looks  role = iota // it reads, and makes nothing
	keeps              // it needs a supervisor: its own, and then there is state of our own
	audits             // it reads, and the files of the record themselves where they are named
	serves             // it is the supervisor, or one of its steps
)

// far reports whether the state belongs to a supervisor that runs as another
// user: it alone reads and writes it, and tells us of it.
func (w *world) far() bool { return w.site.Socket != "" && w.role != serves }

// loadSite finds and reads the site file, or detects the site.
func (p *program) loadSite(ctx context.Context) (*site.Site, error) {
	path, err := site.Find(p.flags.site, p.Env)
	if err != nil {
		return nil, &exit{exitData, err, "opsdeck init writes a site file from what this host has"}
	}
	if path == "" {
		return site.Detect(ctx, site.ThisHost(p.Env), p.registry), nil
	}
	if p.names {
		fmt.Fprintf(p.Stderr, "site file %s\n", clean.Line(absolute(path), 0))
	}
	s, problems, err := site.Load(path, p.registry, p.Env)
	if err != nil {
		return nil, refusal(err)
	}
	for _, problem := range problems {
		fmt.Fprintln(p.Stderr, problem.Pointed())
	}
	if s == nil {
		return nil, &exit{exitData, fmt.Errorf("%s cannot be used: %d problems", path, len(problems)), ""}
	}
	return s, nil
}

// absolute is a path from the root; "" stays.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

// enter loads the site and makes its world. The state directory is made for
// those who keep state.
func (p *program) enter(ctx context.Context, as role) (*world, error) {
	p.names = !p.machine && as != serves
	s, err := p.loadSite(ctx)
	if err != nil {
		return nil, err
	}
	return p.worldOf(ctx, s, as, slog.New(slog.DiscardHandler))
}

func (p *program) worldOf(ctx context.Context, s *site.Site, as role, log *slog.Logger) (*world, error) {
	if as == serves && len(s.Withheld) > 0 {
		return nil, &exit{exitData, fmt.Errorf("the supervisor needs every secret of %s: %s", s.Path, s.Withheld[0]), "make it readable for the supervisor's user"}
	}
	if as != serves && as != audits && s.Socket != "" && p.flags.state != "" {
		return nil, usage("leave --state out; opsdeck verify --state reads the files themselves",
			"--state has no effect here: %s gives the record to the supervisor at %s", s.Path, s.Socket)
	}
	p.redact.Add(s.Secrets()...)
	w := &world{role: as, site: s, redact: &p.redact, log: log}
	if err := p.settle(w); err != nil {
		return nil, err
	}
	if w.kept {
		if err := crash.Log(filepath.Join(w.dir, logName), as != looks && as != audits && !w.far()); err != nil {
			log.Warn("a crash is told on standard error only", "error", err)
		}
	}
	crash.Point("opened")
	if as == serves {
		w.wait = checks.DefaultWait
	}
	if err := w.openHistory(ctx); err != nil {
		log.Warn("metric history", "error", err)
	}
	w.latest.Store(s)
	w.events = func() (iter.Seq2[runbooks.Event, error], error) { return p.events(w) }
	w.catalog = p.registry
	w.handles = newHandles(p.registry, s)
	w.runner = checks.NewRunner(w.env(s, w.handles), w.redact)
	w.shelf = p.bookshelf()
	return w, nil
}

// openHistory opens the metric history if the state directory is ours. One that
// cannot be opened now is tried again while it is kept.
func (w *world) openHistory(ctx context.Context) error {
	if !w.kept {
		return nil
	}
	h, err := journal.OpenHistory(ctx, w.dir, w.site.Retention.Metrics)
	if err != nil {
		return err
	}
	w.history = h
	return h.Err()
}

// env is what modules may touch on a site.
func (w *world) env(s *site.Site, h *handles) checks.Env {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: -1}
	env := checks.Env{
		Root: "/", Dialer: dialer, Resolver: net.DefaultResolver, Now: time.Now, Log: w.log,
		HTTP: &http.Client{
			Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Exec: command.NewExec(), Site: s.Facts(), Handle: h.open, Runs: w.runs, Runbooks: w.shelved, Import: imported,
		Wait: w.wait,
	}
	if w.history != nil {
		env.History = w.history
	}
	return env
}

// current is the site as its file was last read; its name never changes.
func (w *world) current() *site.Site { return w.latest.Load() }

// layers are the runbooks' folders, the later ones before the earlier. A runbook
// that somebody else could have written is a problem of its layer.
func (p *program) layers() []markdown.Layer {
	rule, err := owner.Current()
	if err != nil {
		rule = owner.Rule{} // root's alone; the command itself ends with the error
	}
	layers := []markdown.Layer{{Name: "shipped", FS: p.Library}}
	own := ""
	if config, err := xdg.Config(p.Env); err == nil { // a user without a home has no runbooks in it
		own = filepath.Join(config, "opsdeck", "runbooks")
	}
	for _, dir := range []string{"/etc/opsdeck/runbooks", own, p.flags.runbooks} {
		if dir != "" {
			layers = append(layers, markdown.Layer{Name: dir, FS: rule.FS(dir)})
		}
	}
	return layers
}

// bookshelf reads the runbooks when they are first asked for, and again as long
// as one of them is refused.
func (p *program) bookshelf() func() markdown.Shelf {
	var mu sync.Mutex
	var read *markdown.Shelf
	return func() markdown.Shelf {
		mu.Lock()
		defer mu.Unlock()
		if read == nil || refusedIn(*read) != nil {
			shelf := markdown.Load(markdown.Options{Registry: p.registry, Now: time.Now()}, p.layers()...)
			read = &shelf
		}
		return *read
	}
}

// refusedIn is the first runbook or folder of a shelf that somebody else could
// have written; nil if there is none.
func refusedIn(shelf markdown.Shelf) error {
	for _, problem := range shelf.Problems {
		var refused *owner.Refusal
		if errors.As(problem, &refused) {
			return problem
		}
	}
	return nil
}

// refusedBooks ends a command whose runbooks are refused: nothing else is taken
// in their place without a word.
func (w *world) refusedBooks() error {
	if problem := refusedIn(w.shelf()); problem != nil {
		return refusal(problem)
	}
	return nil
}

// oldConnections is how long connections outlive the site file that named them:
// longer than any check that was begun with them.
const oldConnections = 2 * time.Minute

// swap puts a site that was read again in place: its checks find its
// connections, and the old ones are closed when their runs are over. The caller
// holds taking.
func (w *world) swap(s *site.Site, registry *checks.Registry) {
	w.redact.Add(s.Secrets()...)
	old, fresh := w.handles, newHandles(registry, s)
	w.handles = fresh
	w.latest.Store(s)
	w.runner.Use(w.env(s, fresh))
	time.AfterFunc(oldConnections, func() { defer crash.Recover(); old.close() })
}

// close ends what the world opened. Samples that were not written are.
func (w *world) close() {
	if w.history != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := errors.Join(w.history.Flush(ctx), w.history.Close()); err != nil {
			w.log.Warn("metric history", "error", err)
		}
	}
	w.taking.Lock()
	defer w.taking.Unlock() // the site file may be being read again
	w.handles.close()
}

// journal opens the site's journal for this user, once a process: one that
// writes it must read it through the same database, because closing any other
// descriptor of the file would drop its locks.
func (w *world) journal() (*journal.Journal, error) {
	if j := w.record.Load(); j != nil {
		return j, nil
	}
	who := identity.Current()
	j, err := journal.Open(w.dir, journal.Holder{User: who.String(), Host: who.Host, TTY: who.TTY, Command: "opsdeck"})
	if err != nil {
		return nil, unfit(err)
	}
	w.record.CompareAndSwap(nil, j)
	return w.record.Load(), nil
}

// pinned reads the copy of a runbook that a run has kept.
func (p *program) pinned(path string, source []byte) (runbooks.Runbook, error) {
	parsed, problems := markdown.Parse(path, source, markdown.Options{Registry: p.registry})
	if markdown.HasErrors(problems) {
		return runbooks.Runbook{}, fmt.Errorf("the pinned copy of %s cannot be read by this opsdeck: %s", path, problems[0])
	}
	return parsed, nil
}

// handles opens each named connection once, when it is first asked for.
type handles struct {
	registry *checks.Registry
	site     *site.Site
	mu       sync.Mutex
	opened   map[string]checks.Handle
}

func newHandles(r *checks.Registry, s *site.Site) *handles {
	return &handles{registry: r, site: s, opened: map[string]checks.Handle{}}
}

func (h *handles) open(kind, name string) (checks.Handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := kind + "/" + name
	if opened, ok := h.opened[key]; ok {
		return opened, nil
	}
	c, ok := h.site.Connection(kind, name)
	if !ok {
		return nil, checks.Failed(checks.Unconfigured, "is not in the site file")
	}
	if c.Withheld != "" {
		return nil, checks.Failed(checks.Denied, "has a secret that only the supervisor can have: %s", c.Withheld)
	}
	for _, f := range h.registry.Families() {
		if f.Kind == kind && f.Open != nil {
			opened, err := f.Open(c)
			if err != nil {
				return nil, err
			}
			h.opened[key] = opened
			return opened, nil
		}
	}
	return nil, checks.Failed(checks.Unconfigured, "no module of this build opens it")
}

func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, opened := range h.opened {
		opened.Close() //nolint:errcheck // read-only connections: nothing is lost with one that does not close
	}
}
