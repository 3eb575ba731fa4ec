package checks

import (
	"testing"
	"time"
)

// looked is a history of hours ago: of the looks, and of the finding.
type looked struct {
	now         time.Time
	looks, seen []int
}

func (l looked) Series(_, name, _ string, since time.Time) []Sample {
	hours := l.seen
	if name == "looks" {
		hours = l.looks
	}
	var all []Sample
	for _, h := range hours {
		if at := l.now.Add(-time.Duration(h) * time.Hour); !at.Before(since) {
			all = append(all, Sample{At: at, Value: 1})
		}
	}
	return all
}

func TestAFindingIsAsOldAsItsUnbrokenTime(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		looks, seen []int
		want        int
	}{
		"never before":                       {nil, nil, 0},
		"looked before and not found":        {[]int{6}, nil, 0},
		"found at each look":                 {[]int{18, 12, 6}, []int{18, 12, 6}, 18},
		"a month without a look":             {[]int{900, 6}, []int{900, 6}, 900},
		"gone in between":                    {[]int{900, 500, 6}, []int{900, 6}, 6},
		"gone at the last look":              {[]int{900, 6}, []int{900}, 0},
		"no looks were kept":                 {nil, []int{48, 6}, 48},
		"older than what is remembered":      {[]int{24 * 500, 6}, []int{24 * 500, 6}, 6},
		"the looks before it say nothing":    {[]int{100, 80, 50, 6}, []int{50, 6}, 50},
		"found now, and a look came just so": {[]int{0}, []int{0}, 0},
	} {
		got := Finding{Check: "c", Fact: "open", Look: "looks"}.OpenFor(looked{now, tt.looks, tt.seen}, now)
		if got != time.Duration(tt.want)*time.Hour {
			t.Errorf("%s: open for %v, want %dh", name, got, tt.want)
		}
	}
	if got := (Finding{Fact: "open", Least: 2}).OpenFor(looked{now, nil, []int{6}}, now); got != 0 {
		t.Errorf("when it was less than that: %v", got)
	}
	if got := (Finding{}).OpenFor(nil, now); got != 0 {
		t.Errorf("without a history: %v", got)
	}
}
