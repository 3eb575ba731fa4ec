package runbooks

import "time"

// An Exhibit is a frame that somebody attached: what a screen showed at a
// moment, word for word.
type Exhibit struct {
	At    time.Time // when it was attached
	Actor Actor
	Title string
	Seen  time.Time // when what it shows was found out
	Text  string
}

// frames counts the frames attached to the run and to its items.
func (r Run) frames() int {
	n := len(r.Exhibits)
	for _, it := range r.Items {
		n += len(it.Exhibits)
	}
	return n
}

func exhibit(e Event, p Attached) Exhibit {
	return Exhibit{At: e.At, Actor: e.Actor, Title: p.Title, Seen: p.Seen, Text: p.Text}
}
