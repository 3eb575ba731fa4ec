package checks_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestArgumentsSurviveTheWayToAnotherProcess(t *testing.T) {
	m := &checks.Module{Name: "x.y", Params: []checks.Param{
		{Name: "text", Type: checks.TextParam}, {Name: "number", Type: checks.NumberParam}, {Name: "flag", Type: checks.BoolParam},
		{Name: "wait", Type: checks.DurationParam}, {Name: "size", Type: checks.BytesParam}, {Name: "share", Type: checks.PercentParam},
		{Name: "list", Type: checks.TextsParam}, {Name: "map", Type: checks.MapParam}, {Name: "none", Type: checks.TextParam},
	}}
	given := map[string]any{
		"text": "12%", "number": "0.125", "flag": true, "wait": "26h", "size": "1GiB", "share": "12.5%",
		"list": []any{"a b", "c,d"}, "map": map[string]any{"users": "1"},
	}
	args, problems := checks.Bind(m, given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	wire, err := json.Marshal(args.Raw(m))
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(wire, &raw); err != nil {
		t.Fatal(err)
	}
	again, problems := checks.Bind(m, raw)
	if len(problems) > 0 {
		t.Fatalf("%v in %s", problems, wire)
	}
	for _, p := range m.Params {
		if diff := cmp.Diff(args.Value(p.Name), again.Value(p.Name)); diff != "" {
			t.Errorf("%s: %s", p.Name, diff)
		}
	}
	if again.Duration("wait") != 26*time.Hour || again.Has("none") {
		t.Errorf("%s", wire)
	}
}
