package theme

import (
	"fmt"
	"strings"
)

// Flags is what the operator said on the command line.
type Flags struct {
	ASCII bool   // --ascii
	Color string // --color: "auto" or "" asks the environment; "always", "never"
}

// ParseColor checks the value of --color.
func ParseColor(value string) error {
	switch value {
	case "", "auto", "always", "never":
		return nil
	}
	return fmt.Errorf("--color is %q, want auto, always or never", value)
}

// Detect decides from the environment alone what the terminal gets; nothing is
// asked of the terminal. A flag wins over NO_COLOR, which wins over TERM.
// Colours beyond sixteen are never assumed: COLORTERM is rarely forwarded by SSH.
func Detect(env func(string) string, flags Flags) Options {
	return Options{
		ASCII: flags.ASCII || !utf8Locale(env) || poor(env("TERM")),
		Color: detectColor(env, flags.Color),
	}
}

func detectColor(env func(string) string, flag string) Color {
	switch {
	case flag == "always":
		return Sixteen
	case flag == "never":
		return Plain
	case poor(env("TERM")):
		return Plain
	case env("NO_COLOR") != "":
		return Mono
	case strings.HasPrefix(env("TERM"), "vt"):
		return Mono // the real ones know bold and reverse, and no colour
	}
	return Sixteen
}

// poor reports terminals that should get no escape sequences in text.
func poor(term string) bool { return term == "" || term == "dumb" || term == "unknown" }

// utf8Locale follows POSIX: the first of LC_ALL, LC_CTYPE and LANG that is set
// decides. The Linux console is left with ASCII: its font lacks the blocks.
func utf8Locale(env func(string) string) bool {
	if env("TERM") == "linux" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(env(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
