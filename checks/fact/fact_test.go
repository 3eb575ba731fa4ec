package fact

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

func TestValuesReadWellWithTheirUnit(t *testing.T) {
	tests := []struct {
		value Value
		want  string
	}{
		{NumberValue(12), "12"},
		{NumberValue(0.456), "0.46"},
		{NumberValue(-0.0001), "0"},
		{PctValue(84.26), "84.3 %"},
		{PctValue(80), "80 %"},
		{SizeValue(512), "512 B"},
		{SizeValue(23 << 30), "23 GiB"},
		{SizeValue(1024*1024 - 1), "1 MiB"},
		{SizeValue(1536), "1.5 KiB"},
		{DurValue(0), "0 s"},
		{DurValue(420 * time.Microsecond), "0.42 ms"},
		{DurValue(87 * time.Millisecond), "87 ms"},
		{DurValue(4800 * time.Millisecond), "4.8 s"},
		{DurValue(6*time.Minute + 12*time.Second), "6 m 12 s"},
		{DurValue(26 * time.Hour), "26 h"},
		{DurValue(6*24*time.Hour + 4*time.Hour), "6 d 4 h"},
		{DurValue(-90 * time.Second), "-1 m 30 s"},
		{DurValue(math.MinInt64), "-106751 d 23 h"},
		{Value{Type: Duration, Num: math.Inf(-1)}, "-106751 d 23 h"},
		{FlagValue(true), "true"},
		{WordValue("running"), "running"},
		{NumberValue(math.NaN()), "unknown"},
		{PctValue(math.NaN()), "unknown"},
		{SizeValue(math.NaN()), "unknown"},
		{Value{Type: Duration, Num: math.NaN()}, "unknown"},
	}
	for _, tt := range tests {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("%+v reads %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestFactsSurviveJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 3, 7, 12, 345e6, time.FixedZone("", 3600))
	for _, want := range []Fact{
		Number("zombies", 3), Pct("used", 84.2).On("/var"), Dur("age", 26*time.Hour), Size("free", 1<<40),
		Flag("ok", false), Word("state", "running"), At("booted", at),
	} {
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Fact
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if got != want {
			t.Errorf("%s came back as %+v, want %+v", raw, got, want)
		}
	}
}

func TestNumbersThatJSONCannotHoldAreNull(t *testing.T) {
	raw, err := json.Marshal(Pct("used", math.Inf(1)))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"used","value":null,"unit":"%","type":"percent"}`; string(raw) != want {
		t.Errorf("got %s, want %s", raw, want)
	}
}
