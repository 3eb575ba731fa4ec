package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestStatusesAreReadInEveryForm(t *testing.T) {
	for _, tt := range []struct {
		raw  any
		want []int // nil is refused
	}{
		{200, []int{200}}, {200.0, []int{200}}, {uint64(200), []int{200}}, {"200", []int{200}}, {"200,204", []int{200, 204}}, {"200, 204", []int{200, 204}},
		{[]any{200, "204"}, []int{200, 204}}, {[]string{"200", "204"}, []int{200, 204}},
		{[]any{}, nil}, {[]string{}, nil}, {"", nil}, {nil, nil}, {99, nil}, {"600", nil}, {"200;204", nil}, {true, nil},
	} {
		e, err := parseExpect(map[string]any{"status": tt.raw})
		if (err == nil) != (tt.want != nil) || err == nil && !slices.Equal(e.statuses, tt.want) {
			t.Errorf("%#v is %v, %v; want %v", tt.raw, e.statuses, err, tt.want)
		}
	}
}

func TestABodyIsJSONWhollyOrNotAtAll(t *testing.T) {
	for _, tt := range []struct {
		body string
		want any    // at $.a
		says string // "" is met
	}{
		{`{"a":"ok"}`, "ok", ""}, {" {\"a\":\"ok\"}\n\n", "ok", ""}, {`{"a":3}`, 3, ""}, {`{"a":true}`, true, ""},
		{`{"a":null}`, nil, ""}, {`{"a":null}`, "null", ""}, {`{"a":{"b":[1,null]}}`, map[string]any{"b": []any{1, nil}}, ""},
		{`{"a":null}`, "ok", "$.a is null, expected ok"}, {`{"a":"ok"}`, nil, "$.a is ok, expected null"}, {`{"b":1}`, nil, "$.a is nothing, expected null"},
		{`{"a":"ok"} <html>oops`, "ok", "more behind its JSON"}, {`{"a":"ok"}{"a":"bad"}`, "ok", "more behind its JSON"}, {`{"a":"ok"}}`, "ok", "more behind its JSON"},
		{`{"a":"ok"`, "ok", "not JSON"}, {``, "ok", "not JSON"},
		{`{"a":"ok","b":"` + strings.Repeat("x", maxBody) + `"}`, "ok", "larger than 1 MiB"},
	} {
		e, err := parseExpect(map[string]any{"json": map[string]any{"$.a": tt.want}})
		if err != nil {
			t.Fatal(err)
		}
		r := reply{status: 200, body: []byte(tt.body[:min(len(tt.body), maxBody)]), truncated: len(tt.body) > maxBody}
		found, ok, why := e.judge(r)
		if ok != (tt.says == "") || ok != (why == "") || !strings.Contains(why, tt.says) || len(found) != 1 {
			t.Errorf("%.60s, expecting %v: %v, %q", tt.body, tt.want, ok, why)
		}
	}
}

func TestACutOffBodySaysSo(t *testing.T) {
	for _, want := range []string{"perfect", "/perf.ct/"} {
		e, err := parseExpect(map[string]any{"body": want})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, why := e.judge(reply{status: 200, body: []byte("ok"), truncated: true}); ok || !strings.Contains(why, "cut off at 1 MiB") {
			t.Errorf("%s: %v, %q", want, ok, why)
		}
	}
}

func FuzzJSONBody(f *testing.F) {
	for _, seed := range []string{`{"a":"ok"}`, `{"a":"ok"}x`, `{"a":null}`, `{"a":"ok","a":1}`, `[]`, ``, "\xff", `{"a":1e999}`, `{"a":{"b":[1]}}`} {
		f.Add([]byte(seed), "ok")
	}
	f.Fuzz(func(t *testing.T, body []byte, want string) {
		e, err := parseExpect(map[string]any{"json": map[string]any{"$.a": want, "$.a.b[0]": want}})
		if err != nil {
			t.Fatal(err)
		}
		found, ok, why := e.judge(reply{status: 200, header: http.Header{}, body: body})
		if len(found) != 2 || ok != (why == "") {
			t.Fatalf("%d findings, %v, %q", len(found), ok, why)
		}
		for _, one := range found {
			if one.ok && (!json.Valid(body) || one.got != want) {
				t.Fatalf("%q met %q at %s", body, want, one.path)
			}
		}
	})
}
