// Package pane is the contract between the deck and what it shows, and the kit
// panes are drawn with.
//
// A Pane is a plain object: it is shown the newest snapshot, offers actions and
// draws itself into a frame of any size. It owns its cursor, scroll position
// and filter and nothing else; it does no I/O in any of its methods, and what
// takes time is a tea.Cmd returned by an action, whose answer comes back to
// Handle. The deck alone is a tea.Model.
//
// Read this file, then overlay.go for questions to the operator, then kit.go
// for drawing: everything a pane draws goes through the kit, which cuts by
// cells and lets no control character through.
package pane

import (
	"context"
	"log/slog"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/theme"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// A Size is a number of columns and rows.
type Size struct{ W, H int }

// A Spec is one kind of pane: a literal in a package variable, one file each.
type Spec struct {
	ID    string // "services": names the pane in messages and on the command line
	Title string // "SERVICES": upper case in the rule above the pane
	Order int    // place in the deck and digit key, 1 to 9
	Min   Size   // below this the deck shows Summary instead of View

	// Needs names the checks the pane shows: R reruns them. Nil: none. Use
	// Checks for a fixed list.
	Needs func(watch.Snapshot) []string

	New func(Deps) Pane
}

// Checks is a Needs that names a fixed list of check ids.
func Checks(ids ...string) func(watch.Snapshot) []string {
	return func(watch.Snapshot) []string { return ids }
}

// Deps is what every pane may use. What only one pane needs (a session of a
// runbook, a database to cancel queries in) is closed over by its New.
type Deps struct {
	Ctx  context.Context  // ends with the deck; commands take their deadline from it
	Now  func() time.Time // for commands; drawing uses Frame.Now
	Zone *time.Location   // the site's; times on screen are UTC unless they say otherwise
	Log  *slog.Logger
}

// A Pane shows one part of the world.
type Pane interface {
	// Show gives the newest snapshot. It must be quick and may keep it.
	Show(watch.Snapshot)

	// Handle takes the answer to a command this pane issued: the Body of a Msg
	// addressed to it.
	Handle(body any) tea.Cmd

	// Actions is what can be done now. It feeds the keys, the help line and
	// the help page. Movement of a Table or Scroll is offered by its Moves.
	Actions() []Action

	// Summary is the worst thing in 30 cells or less: it stands in the rule
	// above the pane, and alone where the pane has no room. It should change
	// only when something happens.
	Summary() string

	// View draws the pane: at most f.H lines, none wider than f.W cells. The
	// deck calls it only when something changed; it must not assign.
	View(f Frame) string
}

// A Looker is a pane or an overlay that shows checks on demand: they are
// sampled while it is on the screen and names them.
type Looker interface{ Looks() []string }

// A Pointer is a pane with a cursor. Enter opens the debug view of the check,
// r reruns it, y copies the value, then the line and the statement.
type Pointer interface{ Point() Point }

// A Point is what is under the cursor; empty fields are not offered.
type Point struct {
	Check string // id of a check
	Value string // the value alone: "140 ms"
	Line  string // the line in words
	Query string // a statement in full
}

// A Finder is a pane that can be filtered or searched: "/" gives the text as
// it is typed ("!" in front inverts, "" ends it), n and N step by 1 and -1.
type Finder interface {
	Find(text string)
	Next(step int)
}

// A Frame is the space a pane draws into.
type Frame struct {
	W, H    int
	Focused bool
	Theme   *theme.Theme
	Now     time.Time // whole seconds; ages are computed from it
}

// In is the frame with another size, for a part of it.
func (f Frame) In(w, h int) Frame {
	f.W, f.H = max(0, w), max(0, h)
	return f
}

// Unfocused is the frame for a part that shows no cursor.
func (f Frame) Unfocused() Frame {
	f.Focused = false
	return f
}

// An Action is a key, a sentence, and either a deed or the reason why not.
type Action struct {
	ID   string // "rerun": the name on the command line
	Key  key.Binding
	Help string // two or three words for the help line; "" leaves it to the help page
	Off  string // why it is not available now; "" if it is
	Do   func() tea.Cmd
}

// Msg carries the answer of a command to one pane, by its Spec.ID; it is never
// broadcast.
type Msg struct {
	To   string
	Body any
}

// Reply wraps a function as a command whose result goes to the pane to.
func Reply(to string, ask func() any) tea.Cmd {
	return func() tea.Msg { return Msg{To: to, Body: ask()} }
}

// NoticeMsg is one line for the operator. Crit stays until it is acknowledged
// with esc, everything else goes by itself.
type NoticeMsg struct {
	Level checks.Level
	Text  string
	Topic string // of what it tells: a later notice of the same one takes it away; "" for none
}

// Notice says something in the notice line. OK is an information.
func Notice(level checks.Level, text string) tea.Cmd {
	return func() tea.Msg { return NoticeMsg{Level: level, Text: text} }
}

// FocusMsg moves the keys to a pane by its id.
type FocusMsg struct{ Pane string }

// Focus moves the keys to a pane by its id.
func Focus(id string) tea.Cmd {
	return func() tea.Msg { return FocusMsg{id} }
}

// InspectMsg opens the debug view of a check.
type InspectMsg struct{ Check string }

// Inspect opens the debug view of a check.
func Inspect(check string) tea.Cmd {
	return func() tea.Msg { return InspectMsg{check} }
}

// AgainMsg asks the monitor to run checks now.
type AgainMsg struct{ Checks []string }

// Again asks the monitor to run checks now.
func Again(ids ...string) tea.Cmd {
	return func() tea.Msg { return AgainMsg{ids} }
}

// CopyMsg sends text to the terminal's clipboard.
type CopyMsg struct{ What, Text string }

// Copy sends text to the terminal's clipboard by OSC 52; what names it.
func Copy(what, text string) tea.Cmd {
	return func() tea.Msg { return CopyMsg{what, text} }
}
