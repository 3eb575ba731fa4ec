package system

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Uptime tells since when the host runs and whether it waits for a reboot.
var Uptime = module(checks.Module{
	Name: "sys.uptime",
	Doc:  "Tells since when the host is up, which kernel it runs and whether an update waits for a reboot",
	Facts: []fact.Spec{
		{Name: "up", Type: fact.Duration, Doc: "time since boot", Worse: fact.Lower},
		{Name: "booted", Type: fact.Time, Doc: "when the host was booted"},
		{Name: "reboot_required", Type: fact.Bool, Doc: "an installed update waits for a reboot; absent where the distribution does not say", Worse: fact.Higher, Optional: true},
		{Name: "kernel", Type: fact.Text, Doc: "release of the running kernel"},
	},
	Warn:    "up < 10m or reboot_required == true",
	Source:  "10 minutes: Netdata; the rest: proposed",
	Every:   30 * time.Second,
	Example: "use: sys.uptime\nwarn: reboot_required == true",
	Run:     uptime,
})

func uptime(_ context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	up, err := h.uptime()
	if err != nil {
		return checks.Findings{}, err
	}
	release, err := h.read("proc/sys/kernel/osrelease")
	if err != nil {
		return checks.Findings{}, err
	}
	required, known, err := h.rebootRequired()
	if err != nil {
		return checks.Findings{}, err
	}
	booted := env.Now().Add(-up).Truncate(time.Second)
	if env.Site.Zone != nil {
		booted = booted.In(env.Site.Zone)
	}
	kernel := string(bytes.TrimSpace(release))
	f := checks.Findings{
		Note:  fmt.Sprintf("up %s, kernel %s", fact.FormatDuration(up), kernel),
		Facts: []fact.Fact{fact.Dur("up", up), fact.At("booted", booted), fact.Word("kernel", kernel)},
	}
	if known {
		f.Facts = append(f.Facts, fact.Flag("reboot_required", required))
	}
	if required {
		f.Note = "reboot required, " + f.Note
	}
	return f, nil
}

func (h host) uptime() (time.Duration, error) {
	const name = "proc/uptime"
	content, err := h.read(name)
	if err != nil {
		return 0, err
	}
	return parseUptime(name, content)
}

// parseUptime reads the first of the two numbers: seconds since boot.
func parseUptime(name string, content []byte) (time.Duration, error) {
	first, _, _ := bytes.Cut(bytes.TrimSpace(content), []byte(" "))
	seconds, err := strconv.ParseFloat(string(first), 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		return 0, malformed(name, "%q is not a number of seconds", short(string(first)))
	}
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Millisecond), nil
}

// rebootRequired looks for the flag that Debian's and Ubuntu's package scripts
// leave. Its absence means something only where such scripts exist.
func (h host) rebootRequired() (required, known bool, err error) {
	for _, name := range []string{"run/reboot-required", "var/run/reboot-required"} {
		if required, err = h.exists(name); err != nil || required {
			return required, err == nil, err
		}
	}
	known, err = h.exists("etc/debian_version")
	return false, known, err
}
