package rule

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

var specs = []fact.Spec{
	{Name: "used", Type: fact.Percent, Label: "mount", Worse: fact.Higher},
	{Name: "free", Type: fact.Bytes, Label: "mount", Worse: fact.Lower},
	{Name: "full_in", Type: fact.Duration, Label: "mount", Optional: true},
	{Name: "restarts", Type: fact.Count, Label: "container"},
	{Name: "age", Type: fact.Duration},
	{Name: "ok", Type: fact.Bool},
	{Name: "state", Type: fact.Text},
	{Name: "count", Type: fact.Count},
	{Name: "balance", Type: fact.Count, Signed: true},
	{Name: "count_ratio", Type: fact.Percent, Optional: true},
	{Name: "taken", Type: fact.Time},
}

func parse(t *testing.T, src string) Expr {
	t.Helper()
	e, err := Parse(src)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return e
}

func TestRulesAreDecidedInThreeValues(t *testing.T) {
	full := []fact.Fact{
		fact.Pct("used", 85).On("/"), fact.Size("free", 1<<30).On("/"),
		fact.Pct("used", 95).On("/var"), fact.Size("free", 50<<30).On("/var"),
		fact.Dur("age", 27*time.Hour), fact.Flag("ok", true), fact.Word("state", "running"), fact.Number("count", 12),
	}
	tests := []struct {
		rule  string
		facts []fact.Fact
		want  Truth
	}{
		{"used > 90%", full, True},
		{"used > 95%", full, False},
		{"used >= 95%", full, True},
		{"used > 90% and free < 2GiB", full, False}, // each is true, of different mounts
		{"used > 80% and free < 2GiB", full, True},
		{"used > 90% or free < 2GiB", full, True},
		{"used > 90% and age > 26h", full, True}, // an unlabelled fact meets every label
		{"age > 26h", full, True},
		{"age > 1d and (ok == false or count > 10)", full, True},
		{"ok == false", full, False},
		{"ok != true", full, False},
		{"state == running", full, True},
		{`state != "exited (137)"`, full, True},
		{"count <= 12", full, True},
		{"count == 11", full, False},

		{"ok == false", nil, Undecided},
		{"used > 90%", nil, Undecided},
		{"ok == false or age > 26h", []fact.Fact{fact.Dur("age", 27*time.Hour)}, True},
		{"ok == false or age > 26h", []fact.Fact{fact.Dur("age", time.Hour)}, Undecided},
		{"ok == false and age > 26h", []fact.Fact{fact.Dur("age", time.Hour)}, False},
		{"ok == false and age > 26h", []fact.Fact{fact.Dur("age", 27*time.Hour)}, Undecided},
		{"age > 26h", []fact.Fact{{Name: "age", Value: fact.Value{Type: fact.Duration, Num: math.NaN()}}}, Undecided},
		{"full_in < 72h", full, False},
		{"full_in < 72h", nil, False},
		{"full_in < 72h or ok == false", nil, Undecided},
	}
	for _, tt := range tests {
		if got := parse(t, tt.rule).Eval(tt.facts, specs); got.Truth != tt.want {
			t.Errorf("%q is %v, want %v", tt.rule, got.Truth, tt.want)
		}
	}
}

func TestAVerdictNamesWhatDecidedItWorstFirst(t *testing.T) {
	facts := []fact.Fact{fact.Pct("used", 85).On("/"), fact.Pct("used", 95).On("/var"), fact.Size("free", 1).On("/var"), fact.Size("free", 2).On("/")}
	v := parse(t, "used > 80%").Eval(facts, specs)
	if len(v.Decided) != 2 || v.Decided[0].Label != "/var" || v.Decided[1].Label != "/" || v.Decided[0].Text != "used > 80%" {
		t.Errorf("decided by %+v", v.Decided)
	}
	if v := parse(t, "ok == false or full_in < 1h").Eval(nil, specs); !slices.Equal(v.Missing, []string{"ok"}) || !slices.Equal(v.LeftOut, []string{"full_in"}) {
		t.Errorf("missing %v, left out %v", v.Missing, v.LeftOut)
	}
}

func TestSyntaxErrorsPointAndHelp(t *testing.T) {
	tests := []struct{ rule, want string }{
		{"", "column 1: found the end of the rule, expected the name of a fact"},
		{"used", `column 5: found the end of the rule, expected an operator after "used"`},
		{"used = 80%", `column 6: found "=", expected an operator after "used" (write == to compare)`},
		{"used > ", "column 8: found the end of the rule, expected a value"},
		{"used > 80 %", `column 11: found "%" after a complete rule`},
		{"used > 80GB", `column 8: unit "GB" of 80GB is not known (one of % us ms s m h d w B KiB MiB GiB TiB)`},
		{"used > 1.2.3%", `column 8: "1.2.3" is not a number`},
		{"(used > 80%", `column 12: found the end of the rule, expected ")"`},
		{"used > 80% ok == false", `column 12: found "ok" after a complete rule (join comparisons with "and" or "or")`},
		{"and > 80%", `column 1: found "and", expected the name of a fact`},
		{"Used > 80%", `column 1: found "Used", expected the name of a fact`},
		{`state == "x`, "column 10: a quoted text does not end"},
		{"used > 80% && ok == true", `column 12: found "&" after a complete rule`},
		{strings.Repeat("(", 30) + "ok == true", "column 21: parentheses are nested deeper than 20"},
		{strings.Repeat("ok == true or ", 60) + "ok == true", "column 701: more than 50 comparisons"},
		{strings.Repeat("x", 2000), "longer than 1000 bytes"},
		{strings.TrimSuffix(strings.Repeat("(ok == true or ok == false) and ", 20), " and "), "more than 200 combinations"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.rule)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: error %v, want %q", tt.rule, err, tt.want)
		}
	}
}

func TestLintFindsRulesThatCannotMeanWhatTheySay(t *testing.T) {
	tests := []struct{ rule, want string }{
		{"used > 80%", ""},
		{"used > 80% or restarts > 3", ""},
		{"age > 26h or ok == false", ""},
		{"balance < 0", ""},
		{"count_ratio > 300%", ""},
		{"uesd > 80%", `there is no fact "uesd" (did you mean "used"?)`},
		{"usd > 80%", `there is no fact "usd" (did you mean "used"?)`},
		{"ussd > 80%", `did you mean "used"?`},
		{"nothing > 80%", `there is no fact "nothing" (one of age, balance`},
		{"use > 80%", `did you mean "used"?`},
		{"used > 80", "used is a percent, found 80 (write a percentage: 80%)"},
		{"age > 26", "age is a duration, found 26 (write a duration: 26h or 500ms)"},
		{"free < 5h", "free is a bytes, found 5h (write a size: 1GiB)"},
		{"ok == 1", "ok is a bool, found 1 (write true or false)"},
		{"ok > true", "ok is a bool and has no order (use == or !=)"},
		{"state > running", "state is a text and has no order"},
		{"taken == 5", "taken is a time and cannot be compared (compare an age)"},
		{"used > 80% and used < 10%", "this can never be true: used > 80% and used < 10%"},
		{"used > 80% and used <= 80%", "this can never be true"},
		{"used < 0%", "this can never be true"},
		{"free < 0B", "this can never be true"},
		{"count < 0", "this can never be true"},
		{"ok == true and ok == false", "this can never be true"},
		{"ok != true and ok != false", "this can never be true"},
		{"state == a and state == b", "this can never be true"},
		{"state == a and state != a", "this can never be true"},
		{"age > 26h or (count > 5 and count < 3)", "this can never be true: count > 5 and count < 3"},
		{"used >= 0%", "this is always true: used >= 0%"},
		{"used > 80% and restarts > 3", "restarts is per container and used per mount: they never meet"},
	}
	for _, tt := range tests {
		problems := parse(t, tt.rule).Lint(specs)
		var said []string
		for _, p := range problems {
			said = append(said, p.Msg+" ("+p.Hint+")")
		}
		if all := strings.Join(said, "; "); (tt.want == "") != (len(problems) == 0) || !strings.Contains(all, tt.want) {
			t.Errorf("%q: %q, want %q", tt.rule, all, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"used > 80% or inodes > 80%", "age > 26h and (ok == false or size_ratio < 70%)", `state == "a b"`, "((a > 1))", "a > -1.5GiB or b != x.y-z", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			return
		}
		printed := e.String()
		again, err := Parse(printed)
		if err != nil || again.String() != printed {
			t.Fatalf("%q printed as %q, which reads as %q, %v", src, printed, again.String(), err)
		}
		var required []fact.Spec
		for _, name := range e.Facts() {
			required = append(required, fact.Spec{Name: name})
		}
		if v := e.Eval(nil, required); v.Truth != Undecided {
			t.Fatalf("%q without facts is %v", src, v.Truth)
		}
		e.Lint(specs)
	})
}

func BenchmarkEval(b *testing.B) {
	e, err := Parse("used > 80% or free < 5GiB or (age > 26h and ok == false)")
	if err != nil {
		b.Fatal(err)
	}
	var facts []fact.Fact
	for _, mount := range []string{"/", "/var", "/home", "/srv"} {
		facts = append(facts, fact.Pct("used", 40).On(mount), fact.Size("free", 100<<30).On(mount))
	}
	facts = append(facts, fact.Dur("age", time.Hour), fact.Flag("ok", true))
	for b.Loop() {
		e.Eval(facts, specs)
	}
}
