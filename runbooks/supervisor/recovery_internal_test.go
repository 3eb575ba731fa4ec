package supervisor

import (
	"testing"
	"time"
)

func TestAttemptsComeTwiceAsFarApartUntilItHasHeldForAWhile(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	var b backoff
	for i, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
		if !b.due(now) {
			t.Errorf("attempt %d is not due", i+1)
		}
		b.tried(now)
		if b.wait != want*time.Second || b.due(now.Add(b.wait-1)) {
			t.Errorf("after attempt %d the wait is %v, want %v s", i+1, b.wait, int(want))
		}
		now = now.Add(b.wait)
	}
	if b.rested(now.Add(10 * time.Second)); b.wait == 0 {
		t.Error("it was forgotten too early that it failed")
	}
	if b.rested(now.Add(16 * time.Second)); b.wait != 0 {
		t.Error("it was not forgotten that it failed")
	}
}
