// Package nginx finds out from nginx's own access logs, stub_status and
// configuration how it serves the site.
//
// Read format.go first: how a log_format takes a line apart. The files
// themselves, rotated and gzipped ones too, are read by checks/logs. Nothing in
// a log line is trusted: every text of one that is shown is cleaned first, and a
// client's word on its address is taken only from proxies that the site trusts.
// The package must not know rules.
package nginx

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/logs"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the nginx family; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "nginx", Doc: "nginx: its access logs, its status page and its configuration", Modules: modules}
}

func windowParam(by string) checks.Param {
	return checks.Param{Name: "window", Type: checks.DurationParam, Default: by, Doc: "how far back from now, by the lines' own time stamps"}
}

// skippedFact is what a reading of access logs adds to those of checks/logs.
var skippedFact = fact.Spec{Name: "skipped", Type: fact.Percent, Worse: fact.Higher, Doc: "share of dated lines that are not of the configured format"}

func withReadFacts(own ...fact.Spec) []fact.Spec {
	return append(append(own, skippedFact), logs.ReadFacts()...)
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}

// requests reads the access log of a window and hands every request to visit.
// No request in the window is an error: a log that nobody writes any more looks
// the same as a site that nobody visits.
func requests(ctx context.Context, env checks.Env, from, to time.Time, visit func(r *request)) (logs.Reading, error) {
	name := env.Site.Nginx.Log
	if name == "" {
		name = "nginx"
	}
	f, err := formatOf(env.Site.Nginx, env.Site.Logs[name].Latency)
	if err != nil {
		return logs.Reading{}, err
	}
	var good, bad int64
	r := request{fields: map[string]string{}}
	reading, err := logs.Read(ctx, env, name, from, to, func(text []byte, at time.Time) {
		clear(r.fields)
		if !f.read(string(text), r.fields) || !r.take() {
			bad++
			return
		}
		good++
		r.at = at
		visit(&r)
	})
	switch {
	case err != nil:
		return reading, err
	case good == 0 && bad > 0:
		return reading, checks.Failed(checks.Parse, "log source %s: none of %d lines is of the format %q", name, bad, f.text)
	case good == 0:
		return reading, checks.Failed(checks.NoData, "log source %s: no request in %s", name, fact.FormatDuration(to.Sub(from)))
	}
	reading.Facts = append(reading.Facts, fact.Pct("skipped", 100*float64(bad)/float64(good+bad)))
	return reading, nil
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
