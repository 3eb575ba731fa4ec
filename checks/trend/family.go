// Package trend projects the metric history that opsdeck keeps: how long until
// a limit is reached, and whether a number has become worse of late.
//
// It knows series of numbers and nothing of what they mean. Read growth.go
// first, series.go for the arithmetic.
package trend

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	m.Every = time.Hour
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "trend", Doc: "What the kept history of numbers leads to", Modules: modules}
}

func seriesParams() []checks.Param {
	return []checks.Param{
		{Name: "check", Type: checks.TextParam, Required: true, Doc: "check whose history is looked at: a service's id, or the module's name", Example: "sys.disk"},
		{Name: "fact", Type: checks.TextParam, Required: true, Doc: "its fact; history is kept of those that have a growth or a usual", Example: "free"},
		{Name: "label", Type: checks.TextParam, Default: "", Doc: "the fact's label, where it has one", Example: "/"},
		{Name: "unit", Type: checks.TextParam, Default: "count", OneOf: []string{"count", "bytes", "percent", "duration"}, Doc: "how its numbers are written"},
	}
}

// history is the kept series, or why there is none.
func history(env checks.Env, args checks.Args, window time.Duration) ([]checks.Sample, error) {
	if env.History == nil {
		return nil, checks.Failed(checks.Unconfigured, "no metric history is kept here")
	}
	return env.History.Series(args.Text("check"), args.Text("fact"), args.Text("label"), env.Now().Add(-window)), nil
}

func name(args checks.Args) string {
	text := args.Text("check") + " " + args.Text("fact")
	if label := args.Text("label"); label != "" {
		text += " " + label
	}
	return text
}

// written is a number of the series in its own unit.
func written(args checks.Args, v float64) string {
	switch args.Text("unit") {
	case "bytes":
		if v < 0 {
			return "-" + fact.FormatBytes(-v)
		}
		return fact.FormatBytes(v)
	case "percent":
		return fact.FormatNumber(v) + " %"
	case "duration":
		return fact.FormatDuration(time.Duration(v * float64(time.Millisecond)))
	}
	return fact.FormatNumber(v)
}
