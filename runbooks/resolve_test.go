package runbooks_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

type site struct {
	services map[string]checks.Check
	limits   map[string]checks.Rules
	with     map[string]map[string]any
	vars     map[string]string
}

func (s site) Service(id string) (checks.Check, bool) { c, ok := s.services[id]; return c, ok }
func (s site) Var(name string) (string, bool)         { v, ok := s.vars[name]; return v, ok }
func (s site) Limits(m string) (checks.Rules, map[string]any) {
	return s.limits[m], s.with[m]
}

func lms(t *testing.T) site {
	t.Helper()
	api, problems := checks.NewCheck(getModule, "api", map[string]any{"url": "https://api.internal.test/health", "least": "1KiB"},
		checks.Rules{Fail: checks.Rule{Text: "total > 2s", Source: "opsdeck.yaml:31:5"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	api.Timeout, api.Connection = 3*time.Second, "edge"
	return site{
		services: map[string]checks.Check{"api": api},
		limits:   map[string]checks.Rules{"sys.disk": {Warn: checks.Rule{Text: "used > 70%", Source: "site"}}},
		with:     map[string]map[string]any{"sys.disk": {"share": "10%"}},
		vars:     map[string]string{"mount": "/srv", "both": "site"},
	}
}

func TestTheMostSpecificWins(t *testing.T) {
	s := lms(t)
	disk := runbooks.Item{ID: "disk", Title: "Disks", Module: diskModule, With: map[string]any{"mount": "${mount}"},
		Rules: checks.Rules{Fail: checks.Rule{Text: "used > 99%", Source: "daily.md:9:7"}}}
	c, err := runbooks.Resolve(disk, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != "disk" || c.Title != "Disks" || c.Args.Text("mount") != "/srv" || c.Args.Number("share") != 10 ||
		c.Rules.Warn.Text != "used > 70%" || c.Rules.Fail.Text != "used > 99%" {
		t.Errorf("got %+v", c)
	}
	if c, err = runbooks.Resolve(runbooks.Item{ID: "disk", Module: diskModule}, nil, nil); err != nil || c.ID != "sys.disk" || c.Rules.Warn.Text != "used > 80%" {
		t.Errorf("an item that changes nothing shares the module's history: %+v %v", c.ID, err)
	}
}

func TestAnItemSharesTheHistoryOfTheSitesOwnCheck(t *testing.T) {
	count := &checks.Module{Name: "log.count", Doc: "c", Params: []checks.Param{{Name: "source"}, {Name: "window", Type: checks.DurationParam}}}
	for want, with := range map[string]map[string]any{
		"log.app": {"source": "app"}, "errors": {"source": "app", "window": "24h"},
	} {
		c, err := runbooks.Resolve(runbooks.Item{ID: "errors", Module: count, With: with}, nil, nil)
		if err != nil || c.ID != want {
			t.Errorf("%v gives %q, want %q (%v)", with, c.ID, want, err)
		}
	}
}

func TestAServiceGivesItsModuleOrItsParameters(t *testing.T) {
	s := lms(t)
	c, err := runbooks.Resolve(runbooks.Item{ID: "api-health", Service: "api"}, s, nil)
	if err != nil || c.ID != "api" || c.Module != getModule || c.Rules.Fail.Text != "total > 2s" || c.Timeout != 3*time.Second ||
		c.Args.Number("least") != 1024 || c.Connection != "edge" {
		t.Errorf("got %+v %v", c, err)
	}
	c, err = runbooks.Resolve(runbooks.Item{ID: "api-latency", Service: "api", Module: latencyModule, With: map[string]any{"samples": "5"}}, s, nil)
	if err != nil || c.ID != "api-latency" || c.Args.Text("url") != "https://api.internal.test/health" || c.Args.Int("samples") != 5 ||
		c.Args.Duration("timeout") != 2*time.Second || c.Rules.Warn.Text != "p95 > 500ms" || c.Rules.Fail.Text != "" || c.Args.Number("least") != 1024 {
		t.Errorf("got %+v %v", c, err)
	}
}

func TestWhatTheSiteLacksDoesNotApply(t *testing.T) {
	for _, s := range []runbooks.Site{nil, lms(t)} {
		_, err := runbooks.Resolve(runbooks.Item{ID: "search", Service: "search"}, s, nil)
		var absent checks.NotHere
		if !errors.As(err, &absent) || !strings.Contains(absent.What, "search") {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhatCannotBeBoundIsUnknown(t *testing.T) {
	for _, it := range []runbooks.Item{
		{ID: "a", Module: diskModule, With: map[string]any{"mount": "${nowhere}"}},
		{ID: "a", Module: getModule}, {ID: "a", Use: "sys.nothing"},
	} {
		_, err := runbooks.Resolve(it, lms(t), nil)
		if checks.ClassOf(err) == "" {
			t.Errorf("%+v: %v", it, err)
		}
	}
}

func TestVariablesAreReplacedOnceAndNeverLookedAtAgain(t *testing.T) {
	value := func(name string) (string, bool) {
		return map[string]string{"a": "${b}", "b": "x", "n": "1"}[name], name != "none"
	}
	got, err := runbooks.Expand(map[string]any{
		"text": "<${a}> $a ${", "list": []any{"${b}", 3}, "map": map[string]any{"deep": "${n}${b}"},
	}, value)
	want := map[string]any{"text": "<${b}> $a ${", "list": []any{"x", 3}, "map": map[string]any{"deep": "1x"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := runbooks.Expand(map[string]any{"x": "${none}"}, value); err == nil {
		t.Error("a name without a value was accepted")
	}
}
