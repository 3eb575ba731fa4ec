package runbooks

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// A Runbook is one document: prose, sections and items. It is a value made by
// package markdown and never changes; a run pins the copy it was opened with.
type Runbook struct {
	ID       string // front matter "runbook"
	Title    string // the first heading, or the ID
	Owner    string
	ReviewBy time.Time         // zero: none given
	Zone     *time.Location    // nil: the site's
	Vars     map[string]string // ${name} in its blocks; a site's variable of the same name gives way
	Window   *civil.Window     // nil: none is declared; its Zone nil: the site's
	Guide    []int             // rows of the guide the document itself covers
	Sections []Section

	Source []byte // the document as it was read
	Hash   Hash   // SHA-256 of Source
	Path   string // where it was read from: "library/daily.md"
	Layer  string // "shipped", "/etc/opsdeck/runbooks", …
}

// Section returns the section of that id.
func (b Runbook) Section(id string) (Section, bool) {
	for _, s := range b.Sections {
		if s.ID == id {
			return s, true
		}
	}
	return Section{}, false
}

// Item returns the item of that id, in whichever section it is.
func (b Runbook) Item(id string) (Item, bool) {
	for _, s := range b.Sections {
		if it, ok := s.Item(id); ok {
			return it, true
		}
	}
	return Item{}, false
}

// A Section is what one run walks through: "daily", "window".
type Section struct {
	ID       string
	Title    string
	Note     string // prose between the heading and the first item
	Plan     schedule.Plan
	Mode     Mode
	Requires []string      // conditions of the whole section: in_window
	Abort    []string      // items offered first when the run is aborted
	Budget   time.Duration // how long the section may take; 0: not bounded
	Guide    []int
	Groups   []Group // sub-headings, in order
	Items    []Item
	Line     int
}

// InWindow reports whether actions of the section begin inside the window only.
func (s Section) InWindow() bool { return slices.Contains(s.Requires, "in_window") }

// Item returns the item of that id.
func (s Section) Item(id string) (Item, bool) {
	for _, it := range s.Items {
		if it.ID == id {
			return it, true
		}
	}
	return Item{}, false
}

// A Group is a heading inside a section; Item.Group names its ID.
type Group struct {
	ID    string
	Title string
	Note  string
	Line  int
}

// Mode says how a section is walked.
type Mode string

// The modes.
const (
	DoConfirm Mode = "do-confirm" // run everything, then review the exceptions
	ReadDo    Mode = "read-do"    // one item at a time
)

// A Hash is a SHA-256. The zero Hash means "not there yet".
type Hash [32]byte

// String is the hash in hexadecimal, "" for the zero Hash.
func (h Hash) String() string {
	if h.IsZero() {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText writes the hexadecimal form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	*h = Hash{}
	if len(text) == 0 {
		return nil
	}
	if len(text) != 2*len(h) {
		return fmt.Errorf("a hash of %d characters, expected %d", len(text), 2*len(h))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("decoding a hash: %w", err)
	}
	return nil
}
