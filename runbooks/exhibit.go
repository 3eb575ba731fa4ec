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

func exhibit(e Event, p Attached) Exhibit {
	return Exhibit{At: e.At, Actor: e.Actor, Title: p.Title, Seen: p.Seen, Text: p.Text}
}
