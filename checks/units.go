package checks

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var durationUnits = []struct {
	suffix string
	unit   time.Duration
}{
	{"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute},
	{"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

var byteUnits = []struct {
	suffix string
	unit   float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1},
}

// ParseDuration reads a duration with its unit: 500ms, 90s, 15m, 26h, 7d, 1h30m.
// A number without a unit is refused: "30" is not a duration.
func ParseDuration(text string) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, fmt.Errorf("%q is not a duration (write 30s, 15m, 26h or 7d)", text)
	}
	var total float64
	for rest != "" {
		number, after := splitNumber(rest)
		unit, tail := splitLetters(after)
		n, err := strconv.ParseFloat(number, 64)
		scale := durationUnit(unit)
		if err != nil || scale == 0 {
			return 0, fmt.Errorf("%q is not a duration (write 30s, 15m, 26h or 7d)", text)
		}
		total += n * float64(scale)
		rest = tail
	}
	if total > float64(1<<63-1) {
		return 0, fmt.Errorf("%q is longer than 292 years", text)
	}
	return time.Duration(total), nil
}

func durationUnit(name string) time.Duration {
	for _, u := range durationUnits {
		if u.suffix == name {
			return u.unit
		}
	}
	return 0
}

// ParseBytes reads a size: 512, 512B, 64KiB, 1GiB. Decimal units (GB) are
// refused, because half of the world means GiB by them.
func ParseBytes(text string) (float64, error) {
	number, unit := splitNumber(strings.TrimSpace(text))
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size (write 512B, 64KiB, 1GiB)", text)
	}
	if unit == "" {
		return n, nil
	}
	for _, u := range byteUnits {
		if u.suffix == unit {
			return n * u.unit, nil
		}
	}
	return 0, fmt.Errorf("%q is not a size: unit %q is not one of B, KiB, MiB, GiB, TiB", text, unit)
}

func splitNumber(text string) (number, rest string) {
	i := 0
	for i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i] == '.') {
		i++
	}
	return text[:i], strings.TrimSpace(text[i:])
}

func splitLetters(text string) (letters, rest string) {
	i := 0
	for i < len(text) && (text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z') {
		i++
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// Nearest suggests the closest of the words: `did you mean "warn"?`, or lists
// the first few when none is close. It is "" when there are no words.
func Nearest(word string, words []string) string {
	best, distance := "", len(word)/2+2
	for _, w := range words {
		if d := editDistance(strings.ToLower(word), strings.ToLower(w)); d < distance {
			best, distance = w, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(words) == 0 {
		return ""
	}
	if len(words) > 8 {
		return fmt.Sprintf("one of %s and %d more", strings.Join(words[:8], ", "), len(words)-8)
	}
	return "one of " + strings.Join(words, ", ")
}

func didYouMean(word string, words []string) string {
	if hint := Nearest(word, words); strings.HasPrefix(hint, "did") {
		return ", " + hint
	}
	return ""
}

func editDistance(a, b string) int {
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current := make([]int, len(b)+1)
		current[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			current[j+1] = min(previous[j+1]+1, current[j]+1, previous[j]+cost)
		}
		previous = current
	}
	return previous[len(b)]
}
