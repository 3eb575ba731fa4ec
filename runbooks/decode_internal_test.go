package runbooks

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// words are texts that are written as they are, and texts that JSON escapes.
var words = rapid.OneOf(
	rapid.StringMatching(`[a-z]{0,8}(/[a-z]+)?`), rapid.String(),
	rapid.SampledFrom([]string{`"`, `\`, "}", `{"a":[`, "<b>&", "ä", "\n", "\u2028", "\xff", `\"}`, "7"}))

func anyEvent(t *rapid.T) Event {
	actor := Actor{Name: words.Draw(t, "name"), UID: rapid.IntRange(-1, 2).Draw(t, "uid"), Claimed: rapid.Bool().Draw(t, "claimed")}
	at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds"))
	at = at.In(time.FixedZone("", 900*rapid.IntRange(-56, 56).Draw(t, "zone")))
	p := rapid.SampledFrom([]Payload{
		Noted{words.Draw(t, "text")}, DriverReturned{}, ItemDecided{Option: words.Draw(t, "option"), Not: []string{"{", words.Draw(t, "not")}},
	}).Draw(t, "payload")
	e, err := NewEvent(at, actor, words.Draw(t, "run"), words.Draw(t, "item"), rapid.IntRange(-1, 12).Draw(t, "attempt"), p)
	if err != nil {
		t.Fatal(err)
	}
	e.Seq, e.Mono = rapid.Uint64().Draw(t, "seq"), time.Duration(rapid.Int64().Draw(t, "mono"))
	if rapid.IntRange(0, 3).Draw(t, "no data") == 0 {
		e.Data = nil
	}
	return e
}

// TestADecoderReadsWhatEncodingJSONReads: of any event, and of bytes that are
// almost one.
func TestADecoderReadsWhatEncodingJSONReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var d Decoder
		for range rapid.IntRange(1, 4).Draw(t, "events") {
			body, err := anyEvent(t).Canonical()
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "spoil") { // what Data is, Payload finds out
				before, _, _ := bytes.Cut(body, []byte(`"data":`))
				body[rapid.IntRange(0, len(before)-1).Draw(t, "at")] = rapid.SampledFrom([]byte(`"\{}[]:,-0a `)).Draw(t, "byte")
			}
			var want Event
			wantErr := json.Unmarshal(body, &want)
			got, err := d.Event(body)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%s\n got %v\nwant %v", body, err, wantErr)
			}
			if diff := cmp.Diff(want, got); err == nil && diff != "" {
				t.Fatalf("%s\n%s", body, diff)
			}
		}
	})
}

func TestADecoderReadsWithoutEncodingJSONWhatIsUsual(t *testing.T) {
	t.Parallel()
	e, err := NewEvent(time.Unix(1, 5), Actor{Name: "ada"}, "run-1", "disk", 1, Noted{`a "quoted" note`})
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := new(Decoder).quick(body); !ok {
		t.Errorf("%s is read the long way", body)
	}
}

// TestAResultInBriefIsTheSameByBothWays: by the walk that passes over what is
// not kept, and by encoding/json.
func TestAResultInBriefIsTheSameByBothWays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := fact.Pct("used", rapid.Float64Range(0, 100).Draw(t, "used"))
		f.Label = words.Draw(t, "label")
		raw, err := json.Marshal(CheckFinished{checks.Result{
			ID: words.Draw(t, "id"), Module: "sys.disk", Level: rapid.SampledFrom(checks.Levels()).Draw(t, "level"),
			Note: words.Draw(t, "note"), Err: words.Draw(t, "error"), Facts: []fact.Fact{f}, Warn: words.Draw(t, "warn"),
			Took: time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "took")),
		}})
		if err != nil {
			t.Fatal(err)
		}
		var want struct{ Result briefResult }
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		got, ok := quickResultIn(raw)
		if !ok {
			t.Fatalf("%s is read the long way", raw)
		}
		if diff := cmp.Diff(want.Result, got); diff != "" {
			t.Fatalf("%s\n%s", raw, diff)
		}
	})
}

func TestAResultThatIsNotAsItIsWrittenIsReadTheLongWay(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"result":{"ID":"a"}}`, `{ "result":{"id":"a"}}`, `{"result":{"id":"a"},"more":1}`, `{"result":null}`, `{"result":{}}`,
		`{"result":{"id":"a","facts":[}}`, `{"result":{"id":7}}`, `{"result":{"level":"fine"}}`, `{"result":{"id":"a"`, `{}`, ``,
	} {
		if _, ok := quickResultIn([]byte(raw)); ok {
			t.Errorf("%s is taken for a result as it is written", raw)
		}
	}
}
