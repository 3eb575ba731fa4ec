package logs

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func lineOf(text string) *line {
	src := checks.LogSource{Name: "t", Zone: time.UTC}
	s := &scan{source: src, stamps: newStamper("", zones{time.UTC, benchNow}, window{0, 1 << 62})}
	l := &line{text: []byte(text), scan: s}
	s.sort(l, l.text, unstamped, &openQuotes{})
	if l.kind == stray {
		l.kind = head
	}
	return l
}

// A literal that does not announce its own pattern would hide lines.
func TestShippedPatternsTakeTheirSamplesAndNoOthers(t *testing.T) {
	t.Parallel()
	sets, err := patternSets()
	if err != nil {
		t.Fatal(err)
	}
	for id, set := range sets {
		for i := range set.Patterns {
			p := set.Patterns[i]
			if len(p.Match) == 0 || len(p.Never) == 0 {
				t.Errorf("%s/%s has no samples", id, p.Name)
			}
			alone, err := newMatcher(&patternSet{ID: id, Patterns: []pattern{p}})
			if err != nil {
				t.Fatal(err)
			}
			for _, sample := range p.Match {
				if alone.match(lineOf(sample)) == 0 {
					t.Errorf("%s/%s does not match %q", id, p.Name, sample)
				}
			}
			for _, sample := range p.Never {
				if alone.match(lineOf(sample)) != 0 {
					t.Errorf("%s/%s matches %q", id, p.Name, sample)
				}
			}
		}
	}
}

func TestNoPatternOfASetTakesAnothersCounterexamplesOfTheSameName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ set, line string }{
		{"db_conn", "2026-11-23T03:07:12.345Z [info]: GET /api/courses 200"},
		{"pg_slow", "2026-11-23 03:07:12.345 UTC [812] LOG:  automatic vacuum of table \"lms.public.users\": elapsed: 2.1 s"},
		{"error", "2026-11-23T03:07:12.345Z [info]: no error"},
		{"backup_ok", "2026-11-23 03:07:12 backup not completed"},
	} {
		sets, err := patternSets()
		if err != nil {
			t.Fatal(err)
		}
		m, err := newMatcher(sets[tt.set])
		if err != nil {
			t.Fatal(err)
		}
		if m.match(lineOf(tt.line)) != 0 {
			t.Errorf("%s matches %q", tt.set, tt.line)
		}
	}
}

func TestBrokenPatternSetsAreRefused(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"unknown key":   "id: x\nversion: 1\ndoc: d\npatern: []",
		"no version":    "id: x\ndoc: d\npatterns: [{name: a, literals: [abcd], regexp: a}]",
		"bad regexp":    "id: x\nversion: 1\ndoc: d\npatterns: [{name: a, literals: [abcd], regexp: '('}]",
		"upper literal": "id: x\nversion: 1\ndoc: d\npatterns: [{name: a, literals: [ABCD], regexp: a}]",
		"no literal":    "id: x\nversion: 1\ndoc: d\npatterns: [{name: a, regexp: a}]",
		"no such level": "id: x\nversion: 1\ndoc: d\npatterns: [{name: a, level: bad}]",
	} {
		if _, err := parseSet([]byte(raw)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
