package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// A reload is what came of reading the site file again.
type reload struct {
	site   *site.Site // now in use, if the file was edited and can be used
	kept   error      // why the old one stays; nil if it does not
	mended bool       // the file could not be used, and is the one in use again
}

// follow reads the site file again whenever it changes, until ctx ends, for a
// deck as for a supervisor: the file is validated and built whole, then swapped
// in, or the old one stays. tell is told of both.
func (p *program) follow(ctx context.Context, w *world, tell func(reload)) {
	if w.site.Path == "" {
		return
	}
	updates := site.Watch(ctx, w.site.Path, p.registry, p.Env)
	if r := p.reread(w); r != (reload{}) { // edited between reading and watching it
		tell(r)
	}
	for update := range updates {
		crash.Point(w.reloadPoint())
		if r := p.take(w, update); r != (reload{}) {
			tell(r)
		}
	}
}

// reloadPoint is where a test has a reload panic.
func (w *world) reloadPoint() string {
	if w.role == serves {
		return "supervisor-reload"
	}
	return "deck-reload"
}

// reread reads the site file now.
func (p *program) reread(w *world) reload {
	path := w.site.Path
	if path == "" || site.Digest(path) == w.current().Hash {
		w.problem.Store(nil)
		return reload{}
	}
	s, problems, err := site.Load(path, p.registry, p.Env)
	return p.take(w, site.Update{Site: s, Problems: problems, Err: err})
}

// take puts a site that was read again in place, unless it cannot be used. It is
// zero if nothing changed.
func (p *program) take(w *world, update site.Update) reload {
	w.taking.Lock()
	defer w.taking.Unlock()
	if s := update.Site; s != nil && s.Hash != site.Digest(w.site.Path) {
		return reload{} // edited again meanwhile: another update follows
	}
	kept := w.keeps(update)
	if kept != nil {
		text := kept.Error()
		w.problem.Store(&text)
		return reload{kept: kept}
	}
	before := w.problem.Swap(nil)
	if update.Site.Hash == w.current().Hash {
		return reload{mended: before != nil}
	}
	w.swap(update.Site, p.registry)
	return reload{site: update.Site}
}

// keeps is why the old site stays.
func (w *world) keeps(update site.Update) error {
	s := update.Site
	switch {
	case update.Err != nil:
		return update.Err
	case s == nil:
		return unusable(update.Problems)
	case s.Name != w.site.Name:
		return errors.New("the file names another site: start opsdeck again for it")
	case s.Socket != w.site.Socket:
		return errors.New("the file names another socket of the supervisor: start both again")
	case w.role == serves && len(s.Withheld) > 0:
		return fmt.Errorf("a secret of the file cannot be read by the supervisor: %s", s.Withheld[0])
	}
	return nil
}

// unusable is the first problem that keeps a file from being used. What is wrong
// stands before the path, which may be longer than a line.
func unusable(problems site.Problems) error {
	problems = slices.DeleteFunc(slices.Clone(problems), func(p site.Problem) bool { return p.Severity != site.Error })
	if len(problems) == 0 {
		return errors.New("the file cannot be used")
	}
	first, hint, count := problems[0], "", "1 problem"
	if first.Hint != "" {
		hint = " (" + first.Hint + ")"
	}
	if n := len(problems); n > 1 {
		count = fmt.Sprintf("the first of %d problems", n)
	}
	return fmt.Errorf("%d:%d %s%s; %s in %s", first.Line, first.Col, first.Msg, hint, count, first.File)
}

// siteHash is the hash of a site's file, by which processes compare it. It is of
// the bytes: who cannot read the secrets that it names has the same.
func siteHash(s *site.Site) string {
	if s.Path == "" {
		return "detected"
	}
	return hex.EncodeToString(s.Hash[:])
}

// file is the site file as this process uses it.
func (w *world) file() supervisor.SiteFile {
	s := w.current()
	f := supervisor.SiteFile{Path: absolute(s.Path), Hash: siteHash(s)}
	if problem := w.problem.Load(); problem != nil {
		f.Problem = *problem
	}
	return f
}

// siteInUse is what runs at a supervisor go by.
func (w *world) siteInUse() (supervisor.SiteFile, runbooks.Site) { return w.file(), w.current() }

// logReload says what came of reading the site file again.
func (w *world) logReload(r reload) {
	if r.kept != nil {
		w.log.Warn("the old site stays", "problem", r.kept)
		return
	}
	if r.mended {
		w.log.Info("the site file is the one in use again")
		return
	}
	w.log.Info("the site file was read again", "hash", siteHash(r.site))
}

// examineSiteFile says when the supervisor goes by another site file than this
// command: it begins nothing for people who have read this one.
func (p *program) examineSiteFile(ctx context.Context, w *world) []finding {
	_, theirs, err := p.client(w).Greet(ctx)
	ours := w.file()
	if err != nil || theirs.Hash == "" || theirs.Hash == ours.Hash {
		return nil // one that does not answer has its own finding
	}
	says := fmt.Sprintf("the supervisor goes by %s %s, here it is %s %s",
		theirs.Path, runbooks.ShortHash(theirs.Hash), ours.Path, runbooks.ShortHash(ours.Hash))
	if theirs.Problem != "" {
		says += ": it cannot use the new one, " + theirs.Problem
	}
	return []finding{{checks.Warn, "site file", says, "let both use one file; nothing begins before that"}}
}
