package checks

import (
	"strings"
	"testing"
	"time"
)

var argsModule = &Module{
	Name: "test.args",
	Params: []Param{
		{Name: "url", Type: TextParam, Required: true, Doc: "where to look"},
		{Name: "window", Type: DurationParam, Default: "1h"},
		{Name: "min", Type: BytesParam, Default: "1KiB"},
		{Name: "share", Type: PercentParam},
		{Name: "mode", Type: TextParam, OneOf: []string{"fast", "full"}},
		{Name: "targets", Type: TextsParam},
		{Name: "expect", Type: MapParam},
		{Name: "deep", Type: BoolParam, Default: false},
		{Name: "limit", Type: NumberParam, Default: 10.0},
	},
}

func TestArgumentsAreTypedAndCompletedWithDefaults(t *testing.T) {
	args, problems := Bind(argsModule, map[string]any{
		"url": "http://x", "share": "80%", "targets": "a, b", "limit": uint64(3),
		"expect": map[string]any{"status": 200}, "mode": "full",
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if args.Duration("window") != time.Hour || args.Number("min") != 1024 || args.Number("share") != 80 ||
		args.Int("limit") != 3 || args.Bool("deep") || args.Text("mode") != "full" ||
		strings.Join(args.Texts("targets"), "|") != "a|b" || args.Map("expect")["status"] != 200 {
		t.Errorf("got %+v", args.values)
	}
	if args.Has("nothing") || args.Text("nothing") != "" {
		t.Error("an undeclared parameter has a value")
	}
}

func TestWrongArgumentsAreAllReportedAtOnce(t *testing.T) {
	_, problems := Bind(argsModule, map[string]any{
		"windov": "1h", "window": "30", "min": "1GB", "share": "80", "mode": "ful", "deep": "yes", "expect": "200",
	})
	want := []string{
		`windov: test.args has no parameter "windov" (did you mean "window"?)`,
		`url: test.args needs "url" (where to look)`,
		`window: "30" is not a duration`,
		`min: "1GB" is not a size: unit "GB" is not one of B, KiB, MiB, GiB, TiB`,
		`share: "80" is not a percentage (write 80%)`,
		`mode: "ful" is not one of fast, full, did you mean "full"?`,
		`expect: found 200, expected a map`,
		`deep: "yes" is not true or false`,
	}
	if len(problems) != len(want) {
		t.Fatalf("got %d problems, want %d: %v", len(problems), len(want), problems)
	}
	for i, p := range problems {
		if !strings.HasPrefix(p.Error(), want[i]) {
			t.Errorf("problem %d is %q, want %q", i, p.Error(), want[i])
		}
	}
}

func TestDurationsNeedAUnit(t *testing.T) {
	good := map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "90s": 90 * time.Second, "15m": 15 * time.Minute, "26h": 26 * time.Hour,
		"7d": 7 * 24 * time.Hour, "1h30m": 90 * time.Minute, "2w": 14 * 24 * time.Hour, "1.5s": 1500 * time.Millisecond,
	}
	for text, want := range good {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "30", "h", "-5s", "5 parsecs", "1..2s", "1e3s", "999999999w", "5s!"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"500ms", "1h30m", "", "9999999999999999999d", "1.5.5s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil && d < 0 {
			t.Errorf("%q became negative: %v", text, d)
		}
	})
}

func TestNearestSuggestsOnlyWhatIsClose(t *testing.T) {
	words := []string{"warn", "fail", "with", "needs"}
	for word, want := range map[string]string{
		"wran": `did you mean "warn"?`, "need": `did you mean "needs"?`, "zzzzzz": "one of warn, fail, with, needs",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
