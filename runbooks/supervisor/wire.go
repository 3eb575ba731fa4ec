package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// protocol is the version of what is said on the socket. A client of another
// version is told which binary serves, and does nothing.
const protocol = 1

// Bounds of what is read from the socket: a client sends little, a supervisor
// sends whole runs.
const (
	maxRequest = 4 << 20 // a runbook's source is at most 1 MiB
	maxAnswer  = 64 << 20
)

// A frame is one line of JSON in either direction. A request has an ID and a
// Method, its answer the same ID; a push has neither.
type frame struct {
	ID     uint64          `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Handle uint64          `json:"handle,omitempty"` // of an opened run
	Params json.RawMessage `json:"params,omitempty"`
	Site   string          `json:"site,omitempty"` // hash of the client's site file, in a request
	Result json.RawMessage `json:"result,omitempty"`
	Err    *wireError      `json:"error,omitempty"`
	News   *news           `json:"news,omitempty"`
}

// news is what happened in a run: the events since the last news, or all of
// them if Reset. Of many there are parts: with More the next one is to be asked
// for, and until the last has come the run is as it was.
type news struct {
	Reset    bool             `json:"reset,omitempty"`
	Recorded bool             `json:"recorded"`
	Events   []runbooks.Event `json:"events,omitempty"`
	More     bool             `json:"more,omitempty"`
	Outdated bool             `json:"outdated,omitempty"`
	Broken   string           `json:"broken,omitempty"`
	Present  []runbooks.Actor `json:"present,omitempty"`
	Site     *SiteFile        `json:"site,omitempty"` // that the supervisor goes by, if it has changed
}

// wireError is an error with what a client decides on.
type wireError struct {
	Text  string    `json:"text"`
	Code  string    `json:"code,omitempty"`
	Need  string    `json:"need,omitempty"`
	Since time.Time `json:"since,omitzero"`

	Driver *runbooks.Actor `json:"driver,omitempty"`
	Site   *SiteFile       `json:"site,omitempty"`
	PID    int             `json:"pid,omitempty"`
	Work   string          `json:"work,omitempty"` // what kept a supervisor from making room for the client's site file
}

// codes name the errors that clients tell apart. It is never written to.
var codes = map[string]error{
	"all-done": runbooks.ErrAllDone, "typed": runbooks.ErrTyped, "signers": runbooks.ErrSigners, "no-actions": runbooks.ErrNoActions,
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for code, sentinel := range codes {
		if errors.Is(err, sentinel) {
			w.Code = code
		}
	}
	var driven *runbooks.DrivenError
	if errors.As(err, &driven) {
		w.Code, w.Driver, w.Since = "driven", &driven.Driver, driven.Since
	}
	var other *SiteError
	if errors.As(err, &other) {
		w.Code, w.Site, w.PID, w.Work = "site", &other.Theirs, other.PID, other.Work
	}
	var held *journal.Held
	if errors.As(err, &held) {
		w.Code = "held"
	}
	var blocked *runbooks.NotReadyError
	if errors.As(err, &blocked) {
		w.Code, w.Need = "not-ready", blocked.Need
	}
	return w
}

// remoteError is an error that came over the socket, in its own words and
// still the error it was.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

func fromWire(w *wireError) error {
	switch {
	case w == nil:
		return nil
	case w.Code == "driven" && w.Driver != nil:
		return &runbooks.DrivenError{Driver: *w.Driver, Since: w.Since}
	case w.Code == "site" && w.Site != nil:
		return &SiteError{Theirs: *w.Site, PID: w.PID, Work: w.Work}
	case w.Code == "held":
		return &remoteError{w.Text, &journal.Held{}}
	case w.Code == "not-ready":
		return &remoteError{w.Text, &runbooks.NotReadyError{Need: w.Need, Why: w.Text}}
	}
	return &remoteError{w.Text, codes[w.Code]}
}

func encode(f frame) ([]byte, error) {
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return append(raw, '\n'), nil
}

// The parameters of requests.
type (
	hello struct {
		Protocol int    `json:"protocol"`
		Version  string `json:"version"`
		TTY      string `json:"tty,omitempty"`
		Site     string `json:"site,omitempty"` // hash of the client's site file
	}
	welcome struct {
		Protocol int            `json:"protocol"`
		Version  string         `json:"version"`
		PID      int            `json:"pid"`
		You      runbooks.Actor `json:"you"`
		Site     SiteFile       `json:"site,omitzero"` // that the supervisor goes by
	}
	openRun struct {
		Path    string        `json:"path"`
		Source  string        `json:"source"`
		Hash    runbooks.Hash `json:"hash"`
		Section string        `json:"section"`
		Parts   bool          `json:"parts,omitempty"` // the client asks for the rest of news that have More
	}
	openedRun struct {
		Handle    uint64                   `json:"handle"`
		Source    string                   `json:"source"` // of the pinned copy
		Path      string                   `json:"path"`
		Section   string                   `json:"section"`
		Estimates map[string]time.Duration `json:"estimates,omitempty"`
		News      news                     `json:"news"`
	}
	recordAsked struct {
		After uint64 `json:"after"`
	}
	recordTold struct {
		Events []runbooks.Event `json:"events"`
		More   bool             `json:"more,omitempty"`
		Fault  string           `json:"fault,omitempty"` // why it is not the whole record
	}
	deed struct { // the parameters of everything that is done to an item
		Item     string             `json:"item,omitempty"`
		Text     string             `json:"text,omitempty"`
		Until    time.Time          `json:"until,omitzero"`
		Evidence map[string]string  `json:"evidence,omitempty"`
		Seen     runbooks.Hash      `json:"seen,omitzero"`
		Frame    *runbooks.Attached `json:"frame,omitempty"`
		Done     bool               `json:"done,omitempty"`
		From     int64              `json:"from,omitempty"`
	}
)
