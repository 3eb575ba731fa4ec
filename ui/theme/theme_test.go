package theme

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

func make(o Options) *Theme { return New(lipgloss.NewRenderer(io.Discard), o) }

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestTheEnvironmentDecidesWhatATerminalGets(t *testing.T) {
	utf8 := "LANG=en_US.UTF-8"
	for _, tt := range []struct {
		name  string
		env   []string
		flags Flags
		want  Options
	}{
		{"an ordinary terminal", []string{"TERM=xterm-256color", utf8}, Flags{}, Options{Color: Sixteen}},
		{"tmux in a C locale", []string{"TERM=tmux-256color", "LANG=C"}, Flags{}, Options{ASCII: true, Color: Sixteen}},
		{"LC_ALL wins over LANG", []string{"TERM=xterm", utf8, "LC_ALL=C"}, Flags{}, Options{ASCII: true, Color: Sixteen}},
		{"NO_COLOR leaves bold and reverse", []string{"TERM=xterm", utf8, "NO_COLOR=1"}, Flags{}, Options{Color: Mono}},
		{"an empty NO_COLOR says nothing", []string{"TERM=xterm", utf8, "NO_COLOR="}, Flags{}, Options{Color: Sixteen}},
		{"--color wins over NO_COLOR", []string{"TERM=xterm", utf8, "NO_COLOR=1"}, Flags{Color: "always"}, Options{Color: Sixteen}},
		{"--color=never", []string{"TERM=xterm", utf8}, Flags{Color: "never"}, Options{Color: Plain}},
		{"a dumb terminal", []string{"TERM=dumb", utf8}, Flags{}, Options{ASCII: true, Color: Plain}},
		{"no TERM at all", nil, Flags{}, Options{ASCII: true, Color: Plain}},
		{"a vt220", []string{"TERM=vt220", "LANG=C"}, Flags{}, Options{ASCII: true, Color: Mono}},
		{"the Linux console", []string{"TERM=linux", utf8}, Flags{}, Options{ASCII: true, Color: Sixteen}},
		{"--ascii", []string{"TERM=xterm", utf8}, Flags{ASCII: true}, Options{ASCII: true, Color: Sixteen}},
	} {
		if got := Detect(environment(tt.env...), tt.flags); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestColorFlagIsChecked(t *testing.T) {
	if err := ParseColor("auto"); err != nil {
		t.Error(err)
	}
	if err := ParseColor("maybe"); err == nil {
		t.Error("--color=maybe was accepted")
	}
}

func TestEveryGlyphIsOneCellAndHasATwin(t *testing.T) {
	u, a := reflect.ValueOf(unicodeGlyphs), reflect.ValueOf(asciiGlyphs)
	for i := range u.NumField() {
		name := u.Type().Field(i).Name
		pretty, twin := glyphs(u.Field(i)), glyphs(a.Field(i))
		if len(pretty) != len(twin) || len(pretty) == 0 {
			t.Errorf("%s: %d glyphs and %d twins", name, len(pretty), len(twin))
		}
		for _, g := range append(pretty, twin...) {
			if ansi.StringWidth(g) != 1 {
				t.Errorf("%s: %q is %d cells wide", name, g, ansi.StringWidth(g))
			}
		}
		for _, g := range twin {
			if g[0] < ' ' || g[0] > '~' {
				t.Errorf("%s: %q is not ASCII", name, g)
			}
		}
	}
}

func glyphs(v reflect.Value) []string {
	if v.Kind() == reflect.String {
		return []string{v.String()}
	}
	list, _ := v.Interface().([]string)
	return list
}

func TestMarksTellLevelsApartWithoutColour(t *testing.T) {
	seen := map[string]checks.Level{}
	for _, l := range checks.Levels() {
		mark := Mark(l)
		if len(mark) != MarkWidth {
			t.Errorf("the mark of %s is %q", l, mark)
		}
		if other, ok := seen[mark]; ok {
			t.Errorf("%s and %s have the same mark", l, other)
		}
		seen[mark] = l
		if got := make(Options{}).Mark(l); got != mark {
			t.Errorf("plain mark of %s is %q", l, got)
		}
	}
}

func TestAmountsOfStyle(t *testing.T) {
	if got := make(Options{Color: Plain}).Strong.Render("x"); got != "x" {
		t.Errorf("plain renders %q", got)
	}
	mono := make(Options{Color: Mono})
	if got := mono.Strong.Render("x") + mono.Cursor.Render("x"); got != "\x1b[1mx\x1b[0m\x1b[7mx\x1b[0m" {
		t.Errorf("mono renders %q", got)
	}
	if got := mono.Level(checks.Warn).Render("x"); got != "x" {
		t.Errorf("mono colours a warning: %q", got)
	}
	if got := make(Options{Color: Sixteen}).Level(checks.Crit).Render("x"); got != "\x1b[1;31mx\x1b[0m" {
		t.Errorf("crit renders %q", got)
	}
	if got := mono.With(Options{Color: Sixteen}).Level(checks.Warn).Render("x"); got != "\x1b[33mx\x1b[0m" {
		t.Errorf("the other theme of the same terminal renders %q", got)
	}
}
