// Package settled answers the question about the terminal's background before
// anyone asks it. Import it for its effect, in main, before everything else.
//
// bubbletea v1 calls lipgloss.HasDarkBackground in its own init: it writes
// OSC 11 to the terminal and waits up to five seconds for an answer, so on a
// terminal that stays silent even "opsdeck --help" hangs. There is no option
// against it, but lipgloss does not ask once the answer is set. Go initialises
// packages that are ready in the order of their import paths, and this path
// sorts before github.com/charmbracelet/bubbletea, so this init runs first.
//
// Two things keep that true: the package imports lipgloss and nothing else
// that could be initialised later, and the module path sorts before
// github.com/charmbracelet. A test starts a real program on a silent terminal
// and fails if a query is sent. The answer itself is never used: the theme
// takes only the sixteen terminal colours on the default background.
package settled

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
