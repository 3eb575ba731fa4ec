package checks

import "testing"

func TestWorstWins(t *testing.T) {
	tests := []struct {
		levels []Level
		want   Level
		exit   int
	}{
		{nil, Skipped, 0},
		{[]Level{OK, Skipped}, OK, 0},
		{[]Level{OK, Warn}, Warn, 1},
		{[]Level{Warn, Unknown, OK}, Unknown, 3},
		{[]Level{Unknown, Crit, Warn}, Crit, 2},
	}
	for _, tt := range tests {
		got := Worst(tt.levels...)
		if got != tt.want || got.ExitCode() != tt.exit {
			t.Errorf("Worst(%v) = %v, exit %d; want %v, exit %d", tt.levels, got, got.ExitCode(), tt.want, tt.exit)
		}
	}
}

func TestTheZeroLevelIsUnknown(t *testing.T) {
	var l Level
	if l != Unknown || l.ExitCode() != 3 {
		t.Errorf("a level nobody set is %v, exit %d", l, l.ExitCode())
	}
}

func TestLevelsSurviveText(t *testing.T) {
	for _, l := range Levels() {
		text, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Level
		if err := back.UnmarshalText(text); err != nil || back != l {
			t.Errorf("%v came back as %v, %v", l, back, err)
		}
	}
	var l Level
	if err := l.UnmarshalText([]byte("fine")); err == nil {
		t.Error(`"fine" was read as a level`)
	}
}
