package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// A SiteFile is the site file that a supervisor goes by.
type SiteFile struct {
	Path    string `json:"path,omitempty"`    // "" for a site without a file
	Hash    string `json:"hash"`              // of its bytes as they were read
	Problem string `json:"problem,omitempty"` // why what stands in the file now is not used; "" if it is
}

// A SiteError says that something was not begun, because a client has another
// site file than the supervisor.
type SiteError struct {
	Theirs SiteFile // the supervisor's
	Ours   SiteFile // the client's
	PID    int      // of the supervisor
	Work   string   // the run in which something goes on, if the supervisor would end for us after it
}

// Error names both files and what mends it.
func (e *SiteError) Error() string {
	theirs, ours := runbooks.ShortHash(e.Theirs.Hash), runbooks.ShortHash(e.Ours.Hash)
	switch {
	case e.Work != "":
		return fmt.Sprintf("nothing was begun: the supervisor goes by another site file, %s (%s), than %s (%s), until nothing runs in %s any more. Try again then",
			place(e.Theirs), theirs, place(e.Ours), ours, e.Work)
	case e.Theirs.Problem != "":
		return fmt.Sprintf("nothing was begun: the supervisor keeps the site file as it was (%s, here it is %s), since it cannot use the new one: %s. Mend that and try again",
			theirs, ours, e.Theirs.Problem)
	case e.Theirs.Path == e.Ours.Path:
		return fmt.Sprintf("nothing was begun: %s was edited since it was read here (%s, the supervisor has %s). Start this again with the new one",
			e.Ours.Path, ours, theirs)
	}
	remedy := fmt.Sprintf("Use that one with --site %s, or close the decks that do: the supervisor ends by itself a minute after its last client, or at once with kill %d, which ends no action",
		e.Theirs.Path, e.PID)
	if e.Theirs.Path == "" {
		remedy = fmt.Sprintf("Try again: the supervisor ends when it is asked while nothing runs, or at once with kill %d, which ends no action", e.PID)
	}
	return fmt.Sprintf("nothing was begun: the supervisor goes by another site file, %s (%s), than %s (%s). %s",
		place(e.Theirs), theirs, place(e.Ours), ours, remedy)
}

func place(f SiteFile) string {
	if f.Path == "" {
		return "a detected site"
	}
	return f.Path
}

// begins are the verbs that begin something by what the site file says. It is
// never written to.
var begins = map[string]bool{"start": true, "start-all": true, "retry": true, "arm": true, "approve": true}

// file is the site file in use; ok is false if this supervisor compares none.
func (s *server) file() (f SiteFile, ok bool) {
	if s.o.Site == nil {
		return SiteFile{}, false
	}
	f, _ = s.o.Site()
	return f, true
}

// meet reads the site file again if a client has another one. An older client
// does not say which it has.
func (s *server) meet(theirs string) {
	if now, ok := s.file(); ok && theirs != "" && theirs != now.Hash && s.o.Reload != nil {
		s.o.Reload()
	}
}

// fits is nil if a client may do that under the site file in use.
func (s *server) fits(method, theirs string) error {
	if !begins[method] || theirs == "" {
		return nil
	}
	s.meet(theirs)
	now, ok := s.file()
	if !ok || now.Hash == theirs {
		return nil
	}
	refused := &SiteError{Theirs: now, Ours: SiteFile{Hash: theirs}, PID: os.Getpid()}
	if s.stale(theirs) {
		refused.Work = s.work()
	}
	return refused
}

// errReplaced says that the supervisor makes room for one that goes by the
// client's site file.
var errReplaced = errors.New("its site file is gone or was none, a client has another one, and nothing runs")

// replaceable reports whether the supervisor can end for a client that has
// another site file: it could not follow that file, and nothing is lost with it.
// Who has a socket of its own is started by a service, not by its clients.
func (s *server) replaceable(theirs string) bool {
	return s.o.Socket == "" && s.stale(theirs) && !s.adopting() && s.work() == ""
}

// stale reports whether a client has another site file than the supervisor,
// whose own is gone or was none.
func (s *server) stale(theirs string) bool {
	now, ok := s.file()
	return ok && theirs != "" && theirs != now.Hash && (now.Path == "" || s.siteGone())
}

// siteGone reports whether the site file in use is not there any more.
func (s *server) siteGone() bool {
	now, ok := s.file()
	if !ok || now.Path == "" {
		return false
	}
	_, err := os.Lstat(now.Path)
	return errors.Is(err, fs.ErrNotExist)
}

// work is the first run in which something goes on: a check, an action or a
// watch; "" if there is none.
func (s *server) work() string {
	s.mu.Lock()
	runs := slices.SortedFunc(maps.Values(s.runs), func(a, b *drivenRun) int { return cmp.Compare(a.key, b.key) })
	s.mu.Unlock()
	for _, r := range runs { // without the lock: a run asks us who is there while it holds its own
		for _, it := range r.local.Run().Items {
			if it.State == runbooks.Running || it.State == runbooks.Cancelling {
				return r.key
			}
		}
	}
	return ""
}

// keepUp has a run go by the site file in use.
func (s *server) keepUp(r *drivenRun) {
	if s.o.Site == nil {
		return
	}
	r.siting.Lock()
	defer r.siting.Unlock()
	now, site := s.o.Site()
	if now.Hash == r.site {
		return
	}
	s.o.Log.Info("a run goes on with the site file as it is now", "run", r.key, "from", r.site, "to", now.Hash)
	r.site = now.Hash
	if err := r.local.UseSite(site, now.Hash); err != nil {
		s.o.Log.Error("taking back what was armed under the old site file", "run", r.key, "error", err)
	}
}
