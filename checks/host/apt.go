package host

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// maxApt bounds what apt-get and dpkg-query may print: half a plan is none.
const maxApt = 16 << 20

// environment keeps package scripts from asking anybody and apt from
// translating what is parsed here. needrestart is to list, not to restart.
var environment = []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "NEEDRESTART_MODE=l", "APT_LISTCHANGES_FRONTEND=none"}

// A change is one package that apt would install, upgrade or remove.
type change struct {
	pkg      string // with its architecture if that is a foreign one
	from, to string // versions; from is empty for a new package, to for a removal
	origin   string // "Debian-Security:12/oldstable-security"
	security bool
}

var (
	// install is a line of apt-get -s: name, [old version], (new version,
	// origins, [architecture]), and what it breaks on the way.
	install  = regexp.MustCompile(`^Inst (\S+)(?: \[([^\]\s]+)\])? \((\S+) (.*) \[[a-z0-9-]+\]\)(?: \[.*\])* *$`)
	removal  = regexp.MustCompile(`^(?:Remv|Purg) (\S+)(?: \[([^\]\s]+)\])?(?: \[.*\])* *$`)
	pkgName  = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?$`)
	pkgValue = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+:~-]*$`)
)

// parsePlan reads what apt-get -s would do. A line that begins like a change
// and does not read as one fails the whole: a change left out is not confirmed.
func parsePlan(text string) ([]change, error) {
	var plan []change
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		var c change
		switch {
		case strings.HasPrefix(l, "Inst "):
			m := install.FindStringSubmatch(l)
			if m == nil {
				return nil, checks.Failed(checks.Parse, "apt-get -s: %.120q is not understood", l)
			}
			c = change{pkg: m[1], from: m[2], to: m[3], origin: m[4]}
			c.security = strings.Contains(strings.ToLower(c.origin), "security")
		case strings.HasPrefix(l, "Remv "), strings.HasPrefix(l, "Purg "):
			m := removal.FindStringSubmatch(l)
			if m == nil {
				return nil, checks.Failed(checks.Parse, "apt-get -s: %.120q is not understood", l)
			}
			c = change{pkg: m[1], from: m[2]}
		default:
			continue
		}
		if !pkgName.MatchString(c.pkg) || c.to != "" && !pkgValue.MatchString(c.to) {
			return nil, checks.Failed(checks.Parse, "apt-get -s: %.120q names no package", l)
		}
		plan = append(plan, c)
	}
	return plan, nil
}

// simulate asks apt-get what it would do; that needs no network, no lock and
// no rights.
func simulate(ctx context.Context, env checks.Env, args ...string) ([]change, error) {
	var text bytes.Buffer
	call := checks.Call{Argv: append([]string{"apt-get", "-s"}, args...), Env: environment, Stdout: &text, Max: maxApt}
	out, err := env.Exec(ctx, call)
	switch {
	case checks.ClassOf(err) == checks.Missing:
		return nil, checks.NotHere{What: "no apt-get: packages are not upgraded here by apt"}
	case err != nil:
		return nil, fmt.Errorf("asking apt-get for its plan: %w", err)
	case out.Code != 0:
		return nil, checks.Failed(refusal(out), "apt-get cannot plan: %s", aptError(out))
	}
	return parsePlan(text.String())
}

// aptError is what apt-get complains of: its lines that begin with E.
func aptError(out checks.Output) string {
	var said []string
	for _, l := range lines(string(out.Stderr)) {
		if rest, ok := strings.CutPrefix(l, "E: "); ok {
			said = append(said, rest)
		}
	}
	if len(said) == 0 {
		return fmt.Sprintf("exit %d, %s", out.Code, lastLine(out))
	}
	return strings.Join(said[:min(3, len(said))], "; ")
}
