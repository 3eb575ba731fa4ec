// Package prometheus asks a Prometheus server, or anything that speaks its
// query API (Loki, Thanos, Mimir, VictoriaMetrics), for one number.
//
// A query without a result, or whose result is not a number, is no data and
// never 0: a ratio without a denominator must not read as "no errors". The
// package must not know rules. The API is one GET and a little JSON; the
// official client would add seven megabytes to the program.
package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the metrics family; it serves connections of kind "prometheus".
func Family() checks.Family {
	return checks.Family{Name: "prometheus", Doc: "numbers from a Prometheus server", Modules: modules, Kind: "prometheus", Open: open}
}

// A Server is where queries go. It holds no connection open.
type Server struct {
	url      string
	password checks.Secret
}

func open(c checks.Connection) (checks.Handle, error) {
	return &Server{url: strings.TrimRight(c.URL, "/"), password: c.Password}, nil
}

// Close does nothing: there is no connection to close.
func (*Server) Close() error { return nil }

// Query asks for one number, or for one of each series.
var Query = module(checks.Module{
	Name:  "metric.query",
	Doc:   "The result of an instant query of a Prometheus server; rules say what is too much",
	Kind:  "prometheus",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "query", Type: checks.TextParam, Required: true, Doc: "expression in PromQL with a scalar or a vector as result", Example: "sum(up)"},
	},
	Facts: []fact.Spec{
		{Name: "value", Type: fact.Count, Label: "series", Signed: true, Usual: true, Doc: "the result; one for each series where there are several"},
		{Name: "points", Type: fact.Count, Unit: "series", Doc: "series in the result that have a value"},
	},
	Timeout: 10 * time.Second, Every: 30 * time.Second,
	Example: "use: metric.query\nwith: {query: 'sum(rate(http_requests_total{code=~\"5..\"}[1h]))'}\nwarn: value > 1",
	Run:     query,
})

const (
	maxAnswer = 4 << 20 // bytes of an answer after decompression
	maxSeries = 200
)

// answer is the documented form of the API's reply.
type answer struct {
	Status    string
	Error     string
	ErrorType string
	Warnings  []string // about a result that came all the same: a store was down
	Data      struct {
		ResultType string
		Result     json.RawMessage
	}
}

// sample is [time, "value"].
type sample [2]any

type series struct {
	Metric map[string]string
	Value  sample
}

func query(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	server, err := checks.Connected[*Server](env, "prometheus")
	if err != nil {
		return checks.Findings{}, err
	}
	if env.HTTP == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to make requests with")
	}
	a, err := server.ask(ctx, env.HTTP, args.Text("query"))
	if err != nil {
		return checks.Findings{}, err
	}
	taken, err := values(a)
	if err != nil {
		return checks.Findings{}, err
	}
	expr := args.Text("query")
	f := checks.Findings{Target: expr, Detail: []string{expr}, Note: taken.note()}
	f.Facts = append(taken.facts, fact.Number("points", len(taken.facts)))
	for _, warning := range a.Warnings {
		f.Detail = append(f.Detail, fmt.Sprintf("the metrics server warns: %.200s", warning))
	}
	for _, name := range taken.empty {
		f.Detail = append(f.Detail, "left out, its value is NaN: "+name)
	}
	return f, nil
}

// taken is what a result came to.
type taken struct {
	facts []fact.Fact
	empty []string // series whose value is NaN: a division of nothing by nothing
}

func (t taken) note() string {
	text := "the value is " + format(t.facts[0].Num)
	if len(t.facts) > 1 {
		text = fmt.Sprintf("%d series, the first is %s", len(t.facts), format(t.facts[0].Num))
	}
	if len(t.empty) > 0 {
		text += fmt.Sprintf(", %d left out as NaN", len(t.empty))
	}
	return text
}

// format shows three significant digits of a small number, and a large one as
// every other count is shown.
func format(n float64) string {
	if math.Abs(n) < 100 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	return fact.FormatNumber(n)
}

// ask sends the query and reads the reply, whatever its status: errors come
// with a body that says why.
func (s *Server) ask(ctx context.Context, client *http.Client, expr string) (answer, error) {
	var a answer
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), nil)
	if err != nil {
		return a, fmt.Errorf("asking %s: %w", s.url, err)
	}
	if !s.password.IsZero() {
		req.Header.Set("Authorization", "Bearer "+s.password.Reveal())
	}
	res, err := client.Do(req)
	if err != nil {
		return a, fmt.Errorf("asking the metrics server: %w", err)
	}
	defer res.Body.Close()
	raw, err := hostfs.All(res.Body, "the answer", maxAnswer)
	if err != nil {
		return a, fmt.Errorf("reading the metrics server's answer: %w", err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		a.Status = ""
	}
	return a, a.problem(res)
}

// problem is why there is no result to read, nil if there is one.
func (a answer) problem(res *http.Response) error {
	class := checks.Other
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		class = checks.Auth
	}
	switch {
	case a.Status == "" && class == checks.Other:
		return checks.Failed(checks.Parse, "the metrics server answers %s, and not in the form of its query API", res.Status)
	case a.Status == "":
		return checks.Failed(class, "the metrics server answers %s", res.Status)
	case a.Status != "success":
		return checks.Failed(class, "the metrics server refuses the query: %s: %.200s", a.ErrorType, a.Error)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return checks.Failed(class, "the metrics server answers %s, with a result that is not to be trusted", res.Status)
	}
	return nil
}

// values are the numbers of a result, by series. Several are labelled.
func values(a answer) (taken, error) {
	switch a.Data.ResultType {
	case "scalar":
		var one sample
		if err := json.Unmarshal(a.Data.Result, &one); err != nil {
			return taken{}, checks.Failed(checks.Parse, "a scalar that is no pair of time and value: %v", err)
		}
		return vector([]series{{Value: one}})
	case "vector":
		var all []series
		if err := json.Unmarshal(a.Data.Result, &all); err != nil {
			return taken{}, checks.Failed(checks.Parse, "a vector of another form: %v", err)
		}
		return vector(all)
	}
	return taken{}, checks.Failed(checks.Parse, "the query gives a %s, expected a scalar or a vector", a.Data.ResultType)
}

func vector(all []series) (taken, error) {
	switch {
	case len(all) == 0:
		return taken{}, checks.Failed(checks.NoData, "the query has no result: no series matches, or there is nothing to divide by")
	case len(all) > maxSeries:
		return taken{}, checks.Failed(checks.Limit, "the query gives %d series, at most %d are taken: aggregate it", len(all), maxSeries)
	}
	var t taken
	for _, s := range all {
		n, err := s.Value.number()
		if err != nil {
			return taken{}, err
		}
		if math.IsNaN(n) {
			t.empty = append(t.empty, label(s.Metric))
			continue
		}
		one := fact.Number("value", n)
		if len(all) > 1 {
			one = one.On(label(s.Metric))
		}
		t.facts = append(t.facts, one)
	}
	if len(t.facts) == 0 {
		return taken{}, checks.Failed(checks.NoData, "the query's value is NaN: there is nothing to divide by")
	}
	return t, nil
}

// number reads the value, in decimal. NaN is the caller's to leave out;
// infinity is a number divided by nothing, and no data.
func (s sample) number() (float64, error) {
	text, ok := s[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || strings.ContainsAny(text, "xX_") {
		return 0, checks.Failed(checks.Parse, "the value %v is not a number", s[1])
	}
	if math.IsInf(n, 0) {
		return 0, checks.Failed(checks.NoData, "the query's value is %s: there is nothing to divide by", text)
	}
	return n, nil
}

// label names a series as PromQL does.
func label(metric map[string]string) string {
	var parts []string
	for name, value := range metric {
		if name != "__name__" {
			parts = append(parts, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(parts)
	return metric["__name__"] + "{" + strings.Join(parts, ",") + "}"
}
