package systemd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Unit finds out how a service or a timer is doing.
//
// A timer that is active starts a service that may fail every time: what is
// known of the service counts for the timer. A service that did not run since
// boot has no result, although systemd says "success" of it.
var Unit = module(checks.Module{
	Name:  "systemd.unit",
	Doc:   "How a service or a timer of systemd is doing: active, enabled at boot, its restarts and last result; of a timer also when it elapsed and elapses, and how the service that it starts ended",
	Reach: checks.Local,
	Params: []checks.Param{
		{Name: "unit", Type: checks.TextParam, Required: true, Check: checkUnit, Doc: "name of a service or a timer", Example: "certbot.timer"},
		{Name: "or", Type: checks.TextsParam, Check: checkUnits, Doc: "names that it goes by elsewhere; the first that is active counts, or else the first that is there", Example: "[snap.certbot.renew.timer]"},
	},
	Facts: []fact.Spec{
		{Name: "loaded", Type: fact.Bool, Doc: "systemd knows the unit and can read its file"},
		{Name: "active", Type: fact.Bool, Doc: "it runs, or as a timer waits; a service that a timer starts is not active in between"},
		{Name: "enabled", Type: fact.Bool, Doc: "it is started at boot: enabled, or wanted by a unit that is"},
		{Name: "failed", Type: fact.Bool, Doc: "it is in the state failed; for a timer also the service that it starts"},
		{Name: "state", Type: fact.Text, Doc: "as systemctl has it: active (running)"},
		{Name: "since", Type: fact.Time, Optional: true, Doc: "when it became active last"},
		{Name: "service", Type: fact.Text, Optional: true, Doc: "the unit that the timer starts"},
		{Name: "restarts", Type: fact.Count, Unit: "restarts", Worse: fact.Higher, Optional: true, Doc: "how often systemd started the service again by itself since somebody started it"},
		{Name: "result", Type: fact.Text, Optional: true, Doc: "how the service's last run ended; absent if it did not run since boot"},
		{Name: "result_ok", Type: fact.Bool, Optional: true, Doc: "that is success"},
		{Name: "exit", Type: fact.Count, Optional: true, Doc: "exit code of the service's main process, or the signal that ended it"},
		{Name: "condition", Type: fact.Bool, Optional: true, Doc: "what the service's file demands before a start held at the last try; if not, it was passed over in silence"},
		{Name: "daemon_reload", Type: fact.Bool, Doc: "the unit's file was changed since systemd read it"},
		{Name: "triggered", Type: fact.Bool, Optional: true, Doc: "the timer has elapsed at least once"},
		{Name: "last", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the timer elapsed last"},
		{Name: "scheduled", Type: fact.Bool, Optional: true, Doc: "the timer is to elapse again, or what it starts runs now"},
		{Name: "next", Type: fact.Time, Optional: true, Doc: "when the timer elapses next"},
	},
	Warn:    "last > 25h or triggered == false or restarts > 0 or condition == false or daemon_reload == true",
	Fail:    "loaded == false or active == false or enabled == false or failed == true or result_ok == false or scheduled == false",
	Source:  "guide (active, enabled, 25 h: a timer that elapses every day); restarts, condition, daemon_reload: proposed",
	Timeout: 10 * time.Second, Every: time.Minute,
	Example: "use: systemd.unit\nwith: {unit: certbot.timer, or: [snap.certbot.renew.timer]}",
	Run:     runUnit,
})

func runUnit(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	m, err := open(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	defer m.close()
	names := append([]string{args.Text("unit")}, args.Texts("or")...)
	s, f, err := choose(ctx, m, names)
	if err != nil {
		return checks.Findings{}, err
	}
	f.Facts = []fact.Fact{
		fact.Flag("loaded", s.loaded()), fact.Flag("active", s.running()), fact.Flag("enabled", s.enabled()),
		fact.Word("state", s.says()), fact.Flag("daemon_reload", s.changedFile),
	}
	if !s.loaded() {
		f.Facts = append(f.Facts, fact.Flag("failed", s.failed()))
		f.Note = "systemd has no " + strings.Join(names, ", no ")
		if s.load != "not-found" {
			f.Note = s.name + " is " + s.load
		}
		return f, nil
	}
	if !s.since.IsZero() {
		f.Facts = append(f.Facts, fact.At("since", local(env, s.since)))
	}
	f.Note = fmt.Sprintf("%s, %s", s.says(), s.file)
	if !strings.HasSuffix(s.name, ".timer") {
		f.Facts = append(f.Facts, fact.Flag("failed", s.failed()))
		s.report(env, &f)
		return f, nil
	}
	starts, err := look(ctx, m, s.timer.starts)
	if err != nil {
		return checks.Findings{}, err
	}
	f.Facts = append(f.Facts, fact.Word("service", s.timer.starts), fact.Flag("failed", s.failed() || starts.failed()))
	starts.report(env, &f)
	return f, s.elapses(env, &f)
}

// choose finds the unit by the names that it may go by.
func choose(ctx context.Context, m manager, names []string) (state, checks.Findings, error) {
	var found state
	var f checks.Findings
	for i, name := range names {
		s, err := look(ctx, m, name)
		if err != nil {
			return state{}, f, err
		}
		better := i == 0 || !found.loaded() && s.loaded() || !found.running() && s.running()
		passed := s
		if better {
			passed, found = found, s
		}
		if passed.loaded() {
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s is here too, %s", passed.name, passed.says()))
		}
	}
	f.Target = found.name
	return found, f, nil
}

// report adds how the service fares. Of one that a timer starts and that is not
// there, nothing can go well.
func (s state) report(env checks.Env, f *checks.Findings) {
	if !s.loaded() {
		f.Facts = append(f.Facts, fact.Word("result", s.load), fact.Flag("result_ok", false))
		f.Detail = append(f.Detail, s.name+" is "+s.load)
		return
	}
	f.Facts = append(f.Facts, fact.Number("restarts", s.service.restarts))
	if s.tried {
		f.Facts = append(f.Facts, fact.Flag("condition", s.condition))
		if !s.condition {
			f.Detail = append(f.Detail, s.name+" was not started at the last try: a condition in "+s.path+" does not hold")
		}
	}
	if s.service.result == "success" && s.service.ended.IsZero() && !s.running() {
		f.Detail = append(f.Detail, s.name+" did not run since boot: how its last run ended is not known")
		return
	}
	f.Facts = append(f.Facts, fact.Word("result", s.service.result), fact.Flag("result_ok", s.service.result == "success"))
	if s.service.ended.IsZero() {
		return
	}
	f.Facts = append(f.Facts, fact.Number("exit", s.service.status))
	how := "exited with"
	if s.service.code > 1 {
		how = "was ended by signal"
	}
	f.Detail = append(f.Detail, fmt.Sprintf("%s: the main process %s %d at %s: %s", s.name, how, s.service.status, local(env, s.service.ended).Format(time.DateTime+" MST"), s.service.result))
}

// elapses adds when the timer elapsed and will.
func (s state) elapses(env checks.Env, f *checks.Findings) error {
	var monotonic unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	now := clock(env)
	f.Facts = append(f.Facts, fact.Flag("triggered", !s.timer.last.IsZero()))
	if !s.timer.last.IsZero() {
		f.Facts = append(f.Facts, fact.Dur("last", now.Sub(s.timer.last)))
	}
	next := s.timer.next(now, uint64(monotonic.Nano()/1000))
	f.Facts = append(f.Facts, fact.Flag("scheduled", !next.IsZero() || s.sub == "running"))
	if next.IsZero() {
		f.Note += ", not to elapse again"
		if s.sub == "running" {
			f.Note = s.says() + ", " + s.timer.starts + " runs now"
		}
		return nil
	}
	f.Facts = append(f.Facts, fact.At("next", local(env, next).Truncate(time.Second)))
	f.Note += ", next " + local(env, next).Format("Mon 2006-01-02 15:04 MST")
	return nil
}
