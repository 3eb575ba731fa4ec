package supervisor

import (
	"runtime/debug"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// drivenRun is a run with those who look at it.
type drivenRun struct {
	key     string
	local   *runbooks.Local
	clients map[*client]*tail // guarded by the server's mu
	joining int               // clients that have the run and are not among those yet; guarded by mu

	siting sync.Mutex
	site   string // hash of the site file that it goes by; guarded by siting

	over      chan struct{} // closed when the run was given up, because it could not be recorded
	unadopted error         // why what goes on in it could not be taken up, if that may pass
}

// tail is how far one client has been told.
type tail struct {
	handle   uint64
	part     int // bytes of events in one message; 0: as many as there are
	sent     int
	behind   bool // there are more, and the client asks for them
	recorded bool
	first    string // id of the run that was told of
	broken   string // why nothing is recorded
	present  int    // how many were at it
	site     SiteFile
}

// tend tells the clients of a run what happens in it, and closes it when
// nobody looks and nothing goes on. It ends with the supervisor, whoever the run
// was opened for: a preview that waits for a signature keeps it no longer.
func (s *server) tend(r *drivenRun) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.ends:
			s.tell(r)
			return
		case <-r.over:
			return
		case <-r.local.Changed():
		case <-tick.C:
		}
		s.keepUp(r)
		s.tell(r)
		if s.deserted(r) && s.leave(r) {
			s.giveBack()
			return
		}
	}
}

// tell sends every client of a run what it has not seen.
func (s *server) tell(r *drivenRun) {
	events, recorded := r.local.Events()
	outdated, failed := r.local.Outdated(), r.local.Err()
	file, _ := s.file()
	s.mu.Lock()
	defer s.mu.Unlock()
	present, broken := r.present(), s.brokenIn(failed)
	for c, t := range r.clients {
		if t.behind {
			continue
		}
		n := t.next(events, recorded)
		n.Outdated, n.Present, n.Broken = outdated, present, broken
		if len(n.Events) > 0 || n.Reset || t.broken != broken || t.site != file || t.present != len(present) {
			t.present, t.broken, t.site, n.Site = len(present), broken, file, &file
			c.push(t.handle, n)
		}
	}
}

// brokenIn is why nothing is recorded in a run that failed, or that has not
// noticed yet: "" while all is. The caller holds mu.
func (s *server) brokenIn(failed error) string {
	if s.broken == "" && failed != nil {
		return failed.Error()
	}
	return s.broken
}

func (r *drivenRun) present() []runbooks.Actor {
	var list []runbooks.Actor
	for c := range r.clients {
		list = append(list, c.who)
	}
	return list
}

// next is what a client has not been told: everything anew if the run it was
// told of is not the one that was recorded.
func (t *tail) next(events []runbooks.Event, recorded bool) news {
	first := ""
	if len(events) > 0 {
		first = events[0].Run
	}
	n := news{Recorded: recorded}
	if recorded != t.recorded || first != t.first || t.sent > len(events) {
		n.Reset, t.sent = true, 0
	}
	n.Events = events[t.sent:]
	if t.part > 0 {
		n.Events = beginning(n.Events, t.part)
	}
	t.sent, t.recorded, t.first = t.sent+len(n.Events), recorded, first
	n.More = t.sent < len(events)
	t.behind = n.More
	return n
}

// besidesData is about what an event takes in a message besides its Data.
const besidesData = 512

// beginning are the first events, of about so many bytes and at least one.
func beginning(events []runbooks.Event, size int) []runbooks.Event {
	for i, e := range events {
		if size -= len(e.Data) + besidesData; size < 0 {
			return events[:max(i, 1)]
		}
	}
	return events
}

// rest sends the next part of what a client is told of a run. It goes the way
// of all news, so that none can overtake another.
func (s *server) rest(c *client, handle uint64) {
	r := c.runs[handle]
	if r == nil {
		return
	}
	events, recorded := r.local.Events()
	outdated, failed := r.local.Outdated(), r.local.Err()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := r.clients[c]
	if t == nil || !t.behind {
		return
	}
	n := t.next(events, recorded)
	n.Outdated, n.Present, n.Broken = outdated, r.present(), s.brokenIn(failed)
	c.push(handle, n)
}

// deserted reports whether nobody looks at the run and nothing goes on in it.
func (s *server) deserted(r *drivenRun) bool {
	if r.local.Busy() { // before the lock: a run asks us who is there while it holds its own
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(r.clients) == 0 && r.joining == 0
}

// leave closes a run that nobody looks at. Whoever comes meanwhile waits, and
// gets a fresh one: a closed run takes nothing. The journal rests when it was the
// last one.
func (s *server) leave(r *drivenRun) bool {
	s.opening.Lock()
	defer s.opening.Unlock()
	if !s.deserted(r) {
		return false
	}
	if err := r.local.Close(); err != nil {
		s.o.Log.Error("closing a run", "run", r.key, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(r)
	s.touched = time.Now()
	if len(s.runs) == 0 && s.o.Rest != nil {
		if err := s.o.Rest(); err != nil {
			s.o.Log.Error("closing the journal", "error", err)
		}
	}
	return true
}

// giveBack returns the memory of runs that were let go to the system, when none
// is left: the next one may be hours away.
func (s *server) giveBack() {
	s.mu.Lock()
	left := len(s.runs)
	s.mu.Unlock()
	if left == 0 {
		debug.FreeOSMemory()
	}
}

// forget takes a run off the list, unless another has its place already. The
// caller holds mu.
func (s *server) forget(r *drivenRun) {
	if s.runs[r.key] == r {
		delete(s.runs, r.key)
	}
}
