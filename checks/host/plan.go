package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

const (
	// staleLists is when the package lists are too old to be called the state
	// of things: apt-daily.timer fetches them every day.
	staleLists = 7 * 24 * time.Hour

	// maxTargets bounds one upgrade; each package is a fact of the preview.
	maxTargets = 1500
)

// disruptive are packages whose upgrade restarts what others depend on.
var disruptive = []string{"postgresql", "mysql", "mariadb", "redis", "nginx", "apache2", "haproxy", "docker", "containerd", "openssh-server", "systemd", "libc6", "linux-image"}

func previewUpgrade(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if err := ready(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	name, err := hostname(env)
	if err != nil {
		return checks.Findings{}, err
	}
	how := "upgrade"
	if args.Bool("full") {
		how = "dist-upgrade"
	}
	waiting, err := simulate(ctx, env, how)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: name, Locks: []string{"host:packages"}}
	wanted, err := pick(waiting, args.Texts("packages"), &f)
	if err != nil {
		return f, err
	}
	var plan []change
	if len(wanted) > 0 {
		if plan, err = simulate(ctx, env, request(wanted, args.Bool("full"))...); err != nil {
			return f, err
		}
	}
	return f, describe(env, plan, len(waiting), &f)
}

// ready refuses a host without apt, one where somebody else is at it, and one
// where an earlier run has left something half done.
func ready(ctx context.Context, env checks.Env) error {
	if err := equipped(env); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(env.Root, "var/lib/dpkg/status"))
	if errors.Is(err, fs.ErrNotExist) {
		return checks.NotHere{What: "no dpkg database: packages are not upgraded here by apt"}
	}
	if err != nil {
		return fmt.Errorf("looking for the dpkg database: %w", err)
	}
	who, err := held(env)
	if err != nil {
		return err
	}
	if who != "" {
		return checks.Failed(checks.Other, "%s holds the lock of dpkg; wait for it to end", who)
	}
	out, err := env.Exec(ctx, checks.Call{Argv: []string{"dpkg", "--audit"}, Env: environment})
	if err != nil {
		return fmt.Errorf("asking dpkg for half-installed packages: %w", err)
	}
	if said := lines(string(out.Stdout)); out.Code != 0 || len(said) > 0 {
		return checks.Failed(checks.Other, "packages are half installed: run dpkg --configure -a first: %s", strings.Join(append(said, lines(string(out.Stderr))...), " "))
	}
	return nil
}

// pick chooses of what waits: the named packages, or those with a security fix.
func pick(waiting []change, names []string, f *checks.Findings) ([]change, error) {
	var wanted []change
	for _, c := range waiting {
		named := slices.Contains(names, c.pkg)
		if c.to != "" && (named || len(names) == 0 && c.security) {
			wanted = append(wanted, c)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(waiting, func(c change) bool { return c.pkg == name && c.to != "" }) {
			f.Detail = append(f.Detail, "nothing to upgrade for "+name+": it is current, held back or not installed")
		}
	}
	if len(wanted) > maxTargets {
		return nil, checks.Failed(checks.Limit, "%d packages at once are more than %d: name some", len(wanted), maxTargets)
	}
	return wanted, nil
}

// request is what apt-get is asked for: each package in the version that was
// seen, and nothing new or removed unless a full upgrade was asked for.
func request(wanted []change, full bool) []string {
	args := []string{"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"}
	if !full {
		args = append(args, "--only-upgrade", "--no-remove")
	}
	args = append(args, "install", "--")
	for _, c := range wanted {
		args = append(args, c.pkg+"="+c.to)
	}
	return args
}

// describe reports the plan: it is what is confirmed, so all of it is said.
func describe(env checks.Env, plan []change, waiting int, f *checks.Findings) error {
	table := checks.Table{Name: "packages", Columns: []checks.Column{
		{Name: "package", Type: fact.Text}, {Name: "from", Type: fact.Text}, {Name: "to", Type: fact.Text},
		{Name: "origin", Type: fact.Text}, {Name: "security", Type: fact.Bool},
	}}
	var upgrades, security, added, removed int
	identity := sha256.New()
	for _, c := range plan {
		fmt.Fprintf(identity, "%s %s %s\n", c.pkg, c.from, c.to)
		table.Rows = append(table.Rows, []fact.Value{
			fact.WordValue(c.pkg), fact.WordValue(c.from), fact.WordValue(c.to), fact.WordValue(c.origin), fact.FlagValue(c.security),
		})
		switch {
		case c.to == "":
			removed++
			f.Detail = append(f.Detail, "careful: removes "+c.pkg+" "+c.from)
			continue
		case c.from == "":
			added++
			f.Detail = append(f.Detail, "careful: installs "+c.pkg+" anew")
		default:
			upgrades++
		}
		if c.security {
			security++
		}
		f.Facts = append(f.Facts, fact.Word("target", c.to).On(c.pkg))
	}
	f.Fingerprint = hex.EncodeToString(identity.Sum(nil)) + " " + f.Target
	f.Tables = []checks.Table{table}
	f.Facts = append(f.Facts, fact.Number("upgrades", upgrades), fact.Number("security", security),
		fact.Number("added", added), fact.Number("removed", removed), fact.Number("waiting", waiting))
	f.Note = fmt.Sprintf("%d of %d waiting upgrades, %d for security", upgrades, waiting, security)
	if len(plan) > 0 {
		f.Detail = append(f.Detail, "careful: cancelled while it unpacks, it leaves packages half installed; dpkg --configure -a goes on")
		f.Detail = append(f.Detail, disruptions(plan)...)
	}
	return freshness(env, f)
}

func disruptions(plan []change) []string {
	var said []string
	for _, c := range plan {
		for _, prefix := range disruptive {
			if strings.HasPrefix(c.pkg, prefix) {
				said = append(said, "careful: "+c.pkg+" may restart what others depend on, or need a reboot")
				break
			}
		}
	}
	return said
}

// freshness warns of a plan made from old lists: what was fixed since is not
// in it.
func freshness(env checks.Env, f *checks.Findings) error {
	age, known, err := listsAge(env)
	switch {
	case err != nil:
		return err
	case !known:
		return checks.Failed(checks.NoData, "the package lists were never fetched: run apt-get update")
	}
	f.Facts = append(f.Facts, fact.Dur("lists_age", age))
	if age > staleLists {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: the package lists are %s old; run apt-get update first", fact.FormatDuration(age)))
	}
	return nil
}
