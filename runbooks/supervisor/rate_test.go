package supervisor

import (
	"strings"
	"testing"
	"time"
)

func TestAUserHasTwentyNewRunsAMinute(t *testing.T) {
	p, now := pace{}, time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	for n := range newRuns {
		if err := p.take(1000, now.Add(time.Duration(n)*time.Second)); err != nil {
			t.Fatalf("run %d: %v", n, err)
		}
	}
	at := now.Add(30 * time.Second)
	if err := p.take(1000, at); err == nil || !strings.Contains(err.Error(), "open the next in 30s") {
		t.Errorf("one more: %v", err)
	}
	if err := p.take(1001, at); err != nil {
		t.Errorf("another user: %v", err)
	}
	if err := p.take(1000, now.Add(time.Minute)); err != nil {
		t.Errorf("when the first is a minute old: %v", err)
	}
	p.take(1, now.Add(time.Hour)) //nolint:errcheck // the first of its user
	if len(p) != 1 {
		t.Errorf("%d users are remembered", len(p))
	}
}
