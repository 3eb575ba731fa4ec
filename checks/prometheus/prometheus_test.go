package prometheus

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

// env is a site whose Prometheus is at the URL.
func env(url string) checks.Env {
	c := checks.Connection{Kind: "prometheus", Name: "main", URL: url}
	return checks.Env{
		Root: "/", HTTP: &http.Client{}, Site: checks.SiteFacts{Connections: []checks.Connection{c}},
		Handle: func(string, string) (checks.Handle, error) { return open(c) },
	}
}

func run(t *testing.T, url, warn, fail string) checks.Result {
	t.Helper()
	check, problems := checks.NewCheck(Query, "q", map[string]any{"query": "errors / all"}, checks.Rules{Warn: checks.Rule{Text: warn}, Fail: checks.Rule{Text: fail}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return checktest.RunCheck(t, checks.NewRunner(env(url), nil), check)
}

// The bodies are recorded from Prometheus 2.42.
func TestEveryAnswerHasItsVerdict(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		want       checks.Level
		class      checks.Class
		says       string
	}{
		{"below both rules", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1763867232.5,"0.4"]}]}}`, 200, checks.OK, "", "0.4"},
		{"warn", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1763867232.5,"2.5"]}]}}`, 200, checks.Warn, "", "2.5"},
		{"crit, of several series", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1,"0"]},{"metric":{"job":"b"},"value":[1,"9"]}]}}`, 200, checks.Crit, "", "2 series"},
		{"a scalar", `{"status":"success","data":{"resultType":"scalar","result":[1763867232.5,"0.1"]}}`, 200, checks.OK, "", "0.1"},
		{"an empty vector is no data", `{"status":"success","data":{"resultType":"vector","result":[]}}`, 200, checks.Unknown, checks.NoData, "no result"},
		{"NaN is no data", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`, 200, checks.Unknown, checks.NoData, "NaN"},
		{"a refused query", `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error"}`, 400, checks.Unknown, checks.Other, "parse error"},
		{"a matrix", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, 200, checks.Unknown, checks.Parse, "expected a scalar or a vector"},
		{"no permission", `Unauthorized`, 401, checks.Unknown, checks.Auth, "401"},
		{"no permission, said in JSON", `{"status":"error","errorType":"unauthorized","error":"no token"}`, 401, checks.Unknown, checks.Auth, "no token"},
		{"forbidden, said in JSON", `{"status":"error","errorType":"forbidden","error":"not you"}`, 403, checks.Unknown, checks.Auth, "not you"},
		{"a result with an error's status", `{"status":"success","data":{"resultType":"scalar","result":[1,"0.1"]}}`, 500, checks.Unknown, checks.Other, "500"},
		{"not ready", `{"status":"error","errorType":"unavailable","error":"not ready"}`, 503, checks.Unknown, checks.Other, "not ready"},
		{"a large number", `{"status":"success","data":{"resultType":"scalar","result":[1,"1234"]}}`, 200, checks.Crit, "", "the value is 1234"},
		{"a large fraction", `{"status":"success","data":{"resultType":"scalar","result":[1,"1234567.8"]}}`, 200, checks.Crit, "", "the value is 1234567.8"},
		{"a small number", `{"status":"success","data":{"resultType":"scalar","result":[1,"0.00012345"]}}`, 200, checks.OK, "", "the value is 0.000123"},
		{"a hexadecimal number", `{"status":"success","data":{"resultType":"scalar","result":[1,"0x1p3"]}}`, 200, checks.Unknown, checks.Parse, "not a number"},
		{"a scalar NaN", `{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}`, 200, checks.Unknown, checks.NoData, "NaN"},
		{"one NaN of two", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"7"]}]}}`, 200, checks.Crit, "", "the value is 7, 1 left out as NaN"},
		{"NaN everywhere", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"NaN"]}]}}`, 200, checks.Unknown, checks.NoData, "NaN"},
		{"infinity", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"+Inf"]},{"metric":{"a":"2"},"value":[1,"7"]}]}}`, 200, checks.Unknown, checks.NoData, "Inf"},
		{"another server", `<html>hello</html>`, 200, checks.Unknown, checks.Parse, "not in the form"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/query" || r.URL.Query().Get("query") != "errors / all" {
					t.Errorf("asked for %s", r.URL)
				}
				w.WriteHeader(tt.status)
				w.Write([]byte(tt.body))
			}))
			defer srv.Close()
			res := run(t, srv.URL+"/", "value > 1", "value > 5")
			if res.Level != tt.want || res.Class != tt.class || !strings.Contains(res.Note+res.Err, tt.says) {
				t.Errorf("%v, class %q: %s %s", res.Level, res.Class, res.Note, res.Err)
			}
		})
	}
}

func TestWhatTheServerSaysAboutItsResultIsEvidence(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"success","warnings":["partial response: store down"],"data":{"resultType":"vector","result":[
{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"0.5"]}]}}`)
	}))
	defer srv.Close()
	res := run(t, srv.URL, "value > 1", "")
	detail := strings.Join(res.Detail, "\n")
	for _, part := range []string{"partial response: store down", `left out, its value is NaN: {a="1"}`} {
		if !strings.Contains(detail, part) {
			t.Errorf("no %q in\n%s", part, detail)
		}
	}
	value, ok := res.Fact("value", `{a="2"}`)
	if points, _ := res.Fact("points", ""); res.Level != checks.OK || !ok || value.Num != 0.5 || points.Num != 1 {
		t.Errorf("%v: %v", res.Level, res.Facts)
	}
}

func TestAServerThatIsAwayIsUnknown(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	if res := run(t, srv.URL, "value > 1", ""); res.Level != checks.Unknown || res.Class != checks.Refused {
		t.Errorf("%v, class %q: %s", res.Level, res.Class, res.Err)
	}
}

// TestARealPrometheus asks the real server about itself.
func TestARealPrometheus(t *testing.T) {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip("no prometheus on this machine")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := httptest.NewServer(nil)
	address := l.Listener.Addr().String()
	l.Close()
	cmd := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+address, "--log.level=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	var res checks.Result
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		check, _ := checks.NewCheck(Query, "q", map[string]any{"query": "vector(42)"}, checks.Rules{})
		if res = checks.NewRunner(env("http://"+address), nil).Run(t.Context(), check); res.Level == checks.OK {
			break
		}
	}
	if f, ok := res.Fact("value", ""); !ok || f.Num != 42 {
		t.Fatalf("%v: %s %v", res.Level, res.Err, res.Facts)
	}
	check, _ := checks.NewCheck(Query, "q", map[string]any{"query": "sum(nothing)"}, checks.Rules{})
	if res := checks.NewRunner(env("http://"+address), nil).Run(t.Context(), check); res.Class != checks.NoData {
		t.Errorf("a query without a series: %v %s", res.Level, res.Err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"0.4"]}]}}`)
	f.Add(`{"data":{"resultType":"scalar","result":[]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var a answer
		if json.Unmarshal([]byte(body), &a) != nil {
			return
		}
		taken, err := values(a)
		if err == nil && len(taken.facts) == 0 {
			t.Fatal("neither a value nor an error")
		}
		for _, f := range taken.facts {
			if math.IsNaN(f.Num) || math.IsInf(f.Num, 0) {
				t.Fatalf("%v was taken for a number", f.Num)
			}
		}
	})
}
