package host

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Reboot restarts the host.
var Reboot = module(checks.Module{
	Name:   "host.reboot",
	Doc:    "Reboots this host; it is done when the kernel has another boot id",
	Effect: checks.Destructive, Danger: 3,
	Crash: "once asked for, the reboot happens whatever becomes of opsdeck; the boot id tells afterwards",
	Facts: []fact.Spec{
		{Name: "boot_id", Type: fact.Text, Doc: "the kernel's boot id"},
		{Name: "up", Type: fact.Duration, Doc: "time since boot", Worse: fact.Lower},
		{Name: "booted", Type: fact.Time, Doc: "when the host was booted"},
		{Name: "users", Type: fact.Count, Optional: true, Doc: "sessions logged in, from the preview"},
		{Name: "failed_units", Type: fact.Count, Unit: "units", Optional: true, Doc: "systemd units in state failed, from the preview", Worse: fact.Higher},
		{Name: "reboot_required", Type: fact.Bool, Optional: true, Doc: "an installed update waits for a reboot, from the preview"},
		checks.DoneFact,
	},
	Source:  "guide: boot id changed",
	Timeout: 10 * time.Minute,
	Example: "use: host.reboot",
	Preview: previewReboot, Run: reboot, Probe: probeReboot,
})

// boot is when and as what the host runs.
type boot struct {
	id     string
	up     time.Duration
	booted time.Time
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func looked(env checks.Env) (boot, error) {
	id, err := read(env, "proc/sys/kernel/random/boot_id")
	if err != nil {
		return boot{}, err
	}
	if !uuid.MatchString(id) {
		return boot{}, checks.Failed(checks.Parse, "proc/sys/kernel/random/boot_id is not a boot id: %.60q", id)
	}
	text, err := read(env, "proc/uptime")
	if err != nil {
		return boot{}, err
	}
	first, _, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		return boot{}, checks.Failed(checks.Parse, "proc/uptime does not begin with seconds: %.60q", text)
	}
	up := time.Duration(seconds * float64(time.Second)).Round(10 * time.Millisecond)
	booted := now(env).Add(-up).Truncate(time.Second)
	if env.Site.Zone != nil {
		booted = booted.In(env.Site.Zone)
	}
	return boot{id, up, booted}, nil
}

func (b boot) facts() []fact.Fact {
	return []fact.Fact{fact.Word("boot_id", b.id), fact.Dur("up", b.up), fact.At("booted", b.booted)}
}

func previewReboot(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	if err := equipped(env); err != nil {
		return checks.Findings{}, err
	}
	b, err := looked(env)
	if err != nil {
		return checks.Findings{}, err
	}
	name, err := hostname(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target: name, Fingerprint: b.id, Locks: []string{"host:" + name}, Facts: b.facts(),
		Note: fmt.Sprintf("%s, up %s", name, fact.FormatDuration(b.up)),
		Detail: []string{
			"careful: it ends this console and every session on " + name + "; open the run again when the host is back",
		},
	}
	if err := pending(env, &f); err != nil {
		return f, err
	}
	if err := sessions(ctx, env, &f); err != nil {
		return f, err
	}
	return f, units(ctx, env, &f)
}

// pending says whether and for which packages a reboot waits.
func pending(env checks.Env, f *checks.Findings) error {
	required, err := rebootRequired(env)
	if err != nil {
		return err
	}
	f.Facts = append(f.Facts, fact.Flag("reboot_required", required))
	if !required {
		f.Detail = append(f.Detail, "no installed update is known to wait for a reboot")
		return nil
	}
	packages, err := read(env, "run/reboot-required.pkgs")
	if err != nil {
		packages = "it is not said by which package"
	}
	f.Detail = append(f.Detail, "a reboot is asked for by: "+strings.Join(lines(packages), ", "))
	return nil
}

// sessions lists who would be thrown out. Where it cannot be told, that is said.
func sessions(ctx context.Context, env checks.Env, f *checks.Findings) error {
	out, err := env.Exec(ctx, checks.Call{Argv: []string{"who"}})
	if ctx.Err() != nil {
		return err
	}
	if err != nil || out.Code != 0 {
		f.Detail = append(f.Detail, "careful: it is not known who else is logged in")
		return nil
	}
	users := lines(string(out.Stdout))
	f.Facts = append(f.Facts, fact.Number("users", len(users)))
	for _, u := range users {
		f.Detail = append(f.Detail, "careful: logged in: "+u)
	}
	return nil
}

// units lists what already is not well, so that it is not put down to the
// reboot, and says if systemd does not run this host.
func units(ctx context.Context, env checks.Env, f *checks.Findings) error {
	out, err := env.Exec(ctx, checks.Call{Argv: []string{"systemctl", "is-system-running"}})
	if ctx.Err() != nil {
		return err
	}
	state := strings.TrimSpace(string(out.Stdout))
	switch {
	case checks.ClassOf(err) == checks.Missing:
		f.Detail = append(f.Detail, "careful: there is no systemd; the reboot is asked for with shutdown")
		return nil
	case err != nil:
		return err
	case state == "offline" || state == "unknown" || state == "":
		f.Detail = append(f.Detail, "careful: systemd does not run this host, as in a container; the reboot may be refused")
		return nil
	}
	out, err = env.Exec(ctx, checks.Call{Argv: []string{"systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"}})
	if err != nil {
		return err
	}
	failed := lines(string(out.Stdout))
	f.Facts = append(f.Facts, fact.Number("failed_units", len(failed)))
	for _, u := range failed {
		f.Detail = append(f.Detail, "failed before the reboot: "+u)
	}
	if state != "running" && state != "degraded" {
		f.Detail = append(f.Detail, "careful: the system is "+state)
	}
	return nil
}

// reboot asks for the reboot and waits to be ended by it. It never reports a
// success of its own: only another boot id is one, and that Probe sees.
func reboot(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	if err := equipped(env); err != nil {
		return checks.Findings{}, err
	}
	confirmed, ok := env.BeforeFact("boot_id", "")
	if !ok || env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.Internal, "a reboot needs a confirmed preview")
	}
	b, err := looked(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if b.id != confirmed.Text {
		return checks.Findings{}, checks.Failed(checks.Other, "the host was booted since the preview, at %s: not rebooting it again", b.booted.Format(time.DateTime+" MST"))
	}
	env.Printf("asking for a reboot")
	if err := ask(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	<-ctx.Done() // the shutdown ends us; whatever we said now could be taken for an outcome
	return checks.Findings{}, checks.Failed(checks.NoData, "the reboot was asked for and accepted; whether it happened the boot id tells")
}

// ask tells systemd, or an older init through shutdown.
func ask(ctx context.Context, env checks.Env) error {
	argv := []string{"systemctl", "reboot"}
	out, err := env.Exec(ctx, checks.Call{Argv: argv, Live: env.Out})
	if checks.ClassOf(err) == checks.Missing {
		argv = []string{"shutdown", "-r", "+0"}
		out, err = env.Exec(ctx, checks.Call{Argv: argv, Live: env.Out})
	}
	command := strings.Join(argv, " ")
	switch {
	case err != nil:
		return fmt.Errorf("asking for a reboot: %w", err)
	case out.Code != 0:
		return checks.Failed(refusal(out), "%s: exit %d: %s", command, out.Code, lastLine(out))
	}
	return nil
}

// refusal is the class of a command that did not do what it was told.
func refusal(out checks.Output) checks.Class {
	text := strings.ToLower(string(out.Stderr))
	for _, sign := range []string{"permission denied", "access denied", "authentication required", "are you root", "must be root"} {
		if strings.Contains(text, sign) {
			return checks.Denied
		}
	}
	return checks.Other
}

// lastLine is the last thing a command said, errors first.
func lastLine(out checks.Output) string {
	for _, stream := range [][]byte{out.Stderr, out.Stdout} {
		if all := lines(string(stream)); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return "it said nothing"
}

func probeReboot(_ context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	if env.Root == "" {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	before, ok := env.BeforeFact("boot_id", "")
	if !ok {
		return checks.Findings{}, checks.Failed(checks.NoData, "the boot id before the reboot is not known")
	}
	b, err := looked(env)
	if err != nil {
		return checks.Findings{}, err
	}
	done := b.id != before.Text
	f := checks.Findings{Facts: append(b.facts(), fact.Flag(checks.DoneFact.Name, done))}
	f.Note = "still the same boot, up " + fact.FormatDuration(b.up)
	if done {
		f.Note = "booted anew " + fact.FormatDuration(b.up) + " ago"
	}
	return f, nil
}
