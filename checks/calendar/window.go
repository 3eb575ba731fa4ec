package calendar

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Window says where now stands to the maintenance window, and what else is
// planned for it.
var Window = module(checks.Module{
	Name: "calendar.window",
	Doc:  "Tells when the maintenance window opens, what is left of it, and which cron entries and timers fire in it",
	Params: []checks.Param{
		{Name: "days", Type: checks.TextParam, Required: true, Doc: "days it opens on: first sun, sun, 2nd tue, last fri, daily, 15", Example: "first sun", Check: text(civil.ParseDays)},
		{Name: "start", Type: checks.TextParam, Required: true, Doc: "wall clock time it opens at", Example: "02:00", Check: text(civil.ParseClock)},
		{Name: "length", Type: checks.DurationParam, Default: "2h", Doc: "how long it is open, by elapsed time; at most 24h (default: guide)"},
		{Name: "notice", Type: checks.DurationParam, Default: "7d", Doc: "how long before it people are told (default: guide)"},
		{Name: "reserve", Type: checks.DurationParam, Default: "25m", Doc: "time kept back at its end for putting things back"},
		{Name: "timezone", Type: checks.TextParam, Default: "", Doc: "zone of the wall clock; without it the site's, which then must have one", Example: "Europe/Paris", Check: text(loadZone)},
	},
	Facts: []fact.Spec{
		{Name: "inside", Type: fact.Bool, Doc: "the window is open now", Worse: fact.Lower},
		{Name: "next_start", Type: fact.Time, Doc: "when it opens next, or has opened if it is open"},
		{Name: "until_start", Type: fact.Duration, Doc: "time until it opens; 0 while it is open"},
		{Name: "planned_within", Type: fact.Duration, Doc: "time until the next opening that has not begun", Worse: fact.Higher},
		{Name: "length", Type: fact.Duration, Doc: "how long this opening is: shorter where the clocks go forward", Worse: fact.Lower},
		{Name: "shortened", Type: fact.Duration, Doc: "what a clock that goes forward takes of it", Worse: fact.Higher},
		{Name: "notice_by", Type: fact.Time, Doc: "latest moment to tell people"},
		{Name: "notice_left", Type: fact.Duration, Doc: "time until then; negative when it is over", Worse: fact.Lower},
		{Name: "remaining", Type: fact.Duration, Doc: "time left of it; absent while it is closed", Worse: fact.Lower, Optional: true},
		{Name: "to_abort", Type: fact.Duration, Doc: "time until what is not done must be put back, negative after that; absent while it is closed", Worse: fact.Lower, Optional: true},
		{Name: "spent", Type: fact.Percent, Doc: "time spent of its length; absent while it is closed", Worse: fact.Higher, Optional: true},
		{Name: "conflicts", Type: fact.Count, Doc: "cron entries and timers that fire in it", Worse: fact.Higher},
		{Name: "unread", Type: fact.Count, Doc: "crontabs, lines of them, and lists of timers that could not be read and may hold more", Worse: fact.Higher},
	},
	Warn:    "planned_within > 35d or conflicts > 0 or unread > 0 or spent >= 50%",
	Source:  "guide; conflicts and unread: proposed",
	Timeout: 20 * time.Second,
	Every:   5 * time.Minute,
	Example: "use: calendar.window\nwith: {days: first sun, start: \"02:00\", length: 2h, reserve: 25m, timezone: Europe/Paris}\nfail: inside == false or to_abort < 0s",
	Run:     window,
})

// text makes a parameter's check of a parser.
func text[T any](parse func(string) (T, error)) func(any) error {
	return func(value any) error {
		_, err := parse(fmt.Sprint(value))
		return err
	}
}

// loadZone refuses "Local": whose clock that is depends on who looks.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("there is no zone %q (write Europe/Paris)", name)
	}
	return zone, nil
}

func window(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	w, err := windowOf(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Root == "" {
		return checks.Findings{Target: w.String()}, checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	}
	now := env.Now()
	next := w.Next(now)
	if next.IsZero() {
		return checks.Findings{Target: w.String()}, checks.Failed(checks.NoData, "the window %s does not open within 100 days", w)
	}
	planned, err := survey(ctx, env, next)
	if err != nil {
		return checks.Findings{Target: w.String()}, err
	}
	f := position(w, next, now)
	f.Facts = append(f.Facts, fact.Number("conflicts", len(planned.found)), fact.Number("unread", len(planned.unread)))
	f.Detail = append(f.Detail, planned.detail()...)
	f.Tables = []checks.Table{planned.table()}
	if n := len(planned.found); n > 0 {
		f.Note += fmt.Sprintf(", %d jobs fire in it", n)
	}
	return f, nil
}

func windowOf(env checks.Env, args checks.Args) (civil.Window, error) {
	zone, err := loadZone(args.Text("timezone"))
	if err != nil {
		return civil.Window{}, checks.Failed(checks.Unconfigured, "timezone: %w", err)
	}
	if zone == nil {
		zone = env.Site.Zone
	}
	if zone == nil {
		return civil.Window{}, checks.Failed(checks.Unconfigured, "neither the check nor the site names a timezone: nobody knows whose %s", args.Text("start"))
	}
	w, err := civil.ParseWindow(args.Text("days"), args.Text("start"),
		args.Duration("length"), args.Duration("notice"), args.Duration("reserve"), zone)
	if err != nil {
		return civil.Window{}, checks.Failed(checks.Unconfigured, "%w", err)
	}
	return w, nil
}

// position is where now stands to the window.
func position(w civil.Window, next civil.Opening, now time.Time) checks.Findings {
	inside := next.Contains(now)
	coming := next
	if inside {
		coming = w.Next(next.End)
	}
	f := checks.Findings{Target: w.String(), Detail: next.Notes(), Facts: []fact.Fact{
		fact.Flag("inside", inside), fact.At("next_start", next.Start), fact.Dur("until_start", max(0, next.Start.Sub(now))),
		fact.Dur("planned_within", coming.Start.Sub(now)),
		fact.Dur("length", next.Length()), fact.Dur("shortened", next.Shortened),
		fact.At("notice_by", next.Notice), fact.Dur("notice_left", next.Notice.Sub(now)),
	}}
	if !inside {
		f.Note = fmt.Sprintf("opens %s, in %s", next.Start.Format("Mon 2006-01-02 15:04 MST"), fact.FormatDuration(next.Start.Sub(now)))
		return f
	}
	b := next.Budget(now, 0)
	f.Facts = append(f.Facts, fact.Dur("remaining", b.Left), fact.Dur("to_abort", b.ToAbort), fact.Pct("spent", 100*b.Share))
	f.Note = fmt.Sprintf("open until %s, %s left", next.End.Format("15:04 MST"), fact.FormatDuration(b.Left))
	return f
}
