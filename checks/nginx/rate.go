package nginx

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Rate counts requests and the shares that failed.
var Rate = module(checks.Module{
	Name:   "nginx.rate",
	Doc:    "Counts requests in nginx's access log, with the shares of 4xx and 5xx, against the same hour last week",
	Params: []checks.Param{windowParam("5m")},
	Facts: withReadFacts(
		fact.Spec{Name: "requests", Type: fact.Count, Unit: "requests", Doc: "requests in the window"},
		fact.Spec{Name: "per_second", Type: fact.Count, Unit: "/s", Doc: "requests a second"},
		fact.Spec{Name: "errors_4xx", Type: fact.Percent, Worse: fact.Higher, Doc: "share of 4xx, without the 404 of pictures, styles and scripts"},
		fact.Spec{Name: "errors_5xx", Type: fact.Percent, Worse: fact.Higher, Doc: "share of 5xx"},
		fact.Spec{Name: "missing_assets", Type: fact.Count, Unit: "requests", Worse: fact.Higher, Doc: "404 of pictures, styles and scripts, which are not in errors_4xx"},
		fact.Spec{Name: "last_week", Type: fact.Count, Unit: "/s", Optional: true, Doc: "requests a second in the same hour a week ago; absent if the logs do not reach back"},
		fact.Spec{Name: "of_last_week", Type: fact.Percent, Worse: fact.Lower, Optional: true, Doc: "per_second as a share of last_week"},
	),
	Warn: "errors_5xx > 1% or errors_4xx > 5% or of_last_week < 30% or skipped > 5%", Fail: "errors_5xx > 5%", Source: "proposed",
	Timeout: 30 * time.Second, Every: time.Minute,
	Example: "use: nginx.rate\nwith: {window: 5m}",
	Run:     runRate,
})

// assets are the endings of what a page loads besides itself.
var assets = map[string]bool{
	".css": true, ".js": true, ".map": true, ".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".svg": true, ".ico": true,
	".webp": true, ".avif": true, ".woff": true, ".woff2": true, ".ttf": true, ".eot": true, ".txt": true, ".webmanifest": true,
}

type answers struct{ all, client, server, missing int64 }

func (a *answers) count(r *request) {
	a.all++
	switch {
	case r.status >= 500:
		a.server++
	case r.status == 404 && assets[strings.ToLower(path.Ext(r.path()))]:
		a.missing++
	case r.status >= 400:
		a.client++
	}
}

const week = 7 * 24 * time.Hour

func runRate(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	now, window := clock(env), args.Duration("window")
	if window <= 0 {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "window is %s", window)
	}
	var a answers
	reading, err := requests(ctx, env, now.Add(-window), now, a.count)
	if err != nil {
		return checks.Findings{}, err
	}
	rate := float64(a.all) / window.Seconds()
	f := checks.Findings{
		Note: fmt.Sprintf("%.3g/s, %.2g %% 4xx, %.2g %% 5xx", rate, share(a.client, a.all), share(a.server, a.all)),
		Facts: append(reading.Facts, fact.Number("requests", a.all), fact.Number("per_second", rate), fact.Number("missing_assets", a.missing),
			fact.Pct("errors_4xx", share(a.client, a.all)), fact.Pct("errors_5xx", share(a.server, a.all))),
		Detail: reading.Detail, NotUnderstood: reading.NotUnderstood,
	}
	var before answers
	_, err = requests(ctx, env, now.Add(-week-30*time.Minute), now.Add(-week+30*time.Minute), before.count)
	switch {
	case err == nil && before.all > 0:
		then := float64(before.all) / time.Hour.Seconds()
		f.Facts = append(f.Facts, fact.Number("last_week", then), fact.Pct("of_last_week", 100*rate/then))
	case ctx.Err() != nil:
		return checks.Findings{}, fmt.Errorf("reading the same hour last week: %w", ctx.Err())
	default:
		f.Detail = append(f.Detail, fmt.Sprintf("not compared with last week: %v", err))
	}
	return f, nil
}
