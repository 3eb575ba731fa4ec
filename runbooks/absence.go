package runbooks

import "time"

// An Absence is a time in which nobody who drives was at the run although
// something went on in it.
type Absence struct {
	Actor Actor
	From  time.Time
	To    time.Time // zero: the driver did not come back
	Items []string  // what went on when it began
}

// away reports whether the driver has left and is not back.
func (r Run) away() bool {
	last, ok := r.Absences.Newest()
	return ok && last.To.IsZero() && last.Actor.Identity() == r.Driver.Identity()
}

func (r Run) driverLeft(e Event, p DriverLeft) (Run, error) {
	if e.Actor.Identity() != r.Driver.Identity() || r.away() {
		return r, illegal(e, "%s does not drive, or has left already", e.Actor.Identity())
	}
	r.Absences = r.Absences.with(Absence{Actor: e.Actor, From: e.At, Items: p.Items})
	return r, nil
}

func (r Run) driverReturned(e Event) (Run, error) {
	if !r.away() {
		return r, illegal(e, "the driver has not left")
	}
	last, _ := r.Absences.Newest()
	last.To = e.At
	r.Absences = r.Absences.replaced(last)
	return r, nil
}

// goingOn are the items that go on without anybody.
func (r Run) goingOn() []string {
	var ids []string
	for _, it := range r.Items {
		if (it.Kind == Action || it.Kind == Hold) && (it.State == Running || it.State == Cancelling) {
			ids = append(ids, it.ID)
		}
	}
	return ids
}

// Left records that the driver's last connection ended, if something goes on
// that is done without anybody. Whoever else leaves is not told of.
func (l *Local) Left(who Actor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	going := l.run.goingOn()
	if !l.live || l.run.State.Ended() || l.accepts() != nil || l.run.away() || len(going) == 0 || who.Identity() != l.run.Driver.Identity() {
		return nil
	}
	l.who = who
	return l.append("", 0, DriverLeft{Items: going})
}

// Returned records that the driver who had left is back.
func (l *Local) Returned(who Actor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live || l.run.State.Ended() || l.accepts() != nil || !l.run.away() || who.Identity() != l.run.Driver.Identity() {
		return nil
	}
	l.who = who
	return l.append("", 0, DriverReturned{})
}
