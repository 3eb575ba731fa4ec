package fact

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// String renders a value with its unit, short enough for a pane: "84.2 %",
// "23 GiB", "1.5 s", "6 d 4 h", "true". A number that is not known (NaN) says
// so in words, never in a number.
func (v Value) String() string {
	if v.Type.Numeric() && math.IsNaN(v.Num) {
		return "unknown"
	}
	switch v.Type {
	case Percent:
		return trim(v.Num, 1) + " %"
	case Duration:
		return FormatDuration(v.Dur())
	case Bytes:
		return FormatBytes(v.Num)
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Text, Time:
		return v.Text
	default:
		return FormatNumber(v.Num)
	}
}

// FormatNumber shows a plain number: grouped when whole, two digits when not.
func FormatNumber(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatInt(int64(n), 10)
	}
	return trim(n, 2)
}

// FormatBytes shows a size in binary units with three significant digits.
func FormatBytes(n float64) string {
	if math.Abs(n) < 1024 {
		return FormatNumber(math.Round(n)) + " B"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	i := -1
	for math.Abs(n) >= 1023.95 && i < len(units)-1 {
		n /= 1024
		i++
	}
	if math.Abs(n) >= 99.95 {
		return trim(n, 0) + " " + units[i]
	}
	return trim(n, 1) + " " + units[i]
}

// FormatDuration shows a duration in at most two units: "0.42 ms", "87 ms",
// "4.8 s", "6 m 12 s", "26 h", "6 d 4 h".
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + FormatDuration(-max(d, -math.MaxInt64)) // the lowest duration has no positive twin
	}
	switch ms := float64(d) / float64(time.Millisecond); {
	case d == 0:
		return "0 s"
	case ms < 10:
		return trim(ms, 2) + " ms"
	case ms < 1000:
		return trim(ms, 0) + " ms"
	case d < time.Minute:
		return trim(d.Seconds(), 1) + " s"
	case d < time.Hour:
		return pair(d, time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return pair(d, time.Hour, "h", time.Minute, "m")
	default:
		return pair(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func pair(d, big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
	d = d.Round(small)
	whole, rest := d/big, d%big/small
	if rest == 0 {
		return fmt.Sprintf("%d %s", whole, bigUnit)
	}
	return fmt.Sprintf("%d %s %d %s", whole, bigUnit, rest, smallUnit)
}

func trim(n float64, digits int) string {
	s := strconv.FormatFloat(n, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// wire is a fact's form in JSON: durations are milliseconds, sizes bytes,
// ratios percent numbers, times RFC 3339 with zone.
type wire struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
	Unit  string `json:"unit,omitempty"`
	Type  string `json:"type"`
	Label string `json:"label,omitempty"`
}

// UnitName is the unit a value's number is kept in, as JSON and perfdata name it.
func (t Type) UnitName() string {
	switch t {
	case Percent:
		return "%"
	case Duration:
		return "ms"
	case Bytes:
		return "B"
	default:
		return ""
	}
}

// JSON is the value as encoding/json should see it: a number, a bool or a
// string. A number that JSON cannot hold (NaN, infinity) is null.
func (v Value) JSON() any {
	switch v.Type {
	case Bool:
		return v.Bool()
	case Text, Time:
		return v.Text
	}
	if math.IsNaN(v.Num) || math.IsInf(v.Num, 0) {
		return nil
	}
	return v.Num
}

// MarshalJSON writes the documented wire form.
func (f Fact) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{f.Name, f.Value.JSON(), f.Type.UnitName(), f.Type.String(), f.Label})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Fact) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("decoding a fact: %w", err)
	}
	kind, err := ParseType(w.Type)
	if err != nil {
		return fmt.Errorf("decoding fact %q: %w", w.Name, err)
	}
	v, err := FromJSON(kind, w.Value)
	if err != nil {
		return fmt.Errorf("decoding fact %q: %w", w.Name, err)
	}
	*f = Fact{Name: w.Name, Label: w.Label, Value: v}
	return nil
}

// ParseType is the type of that name.
func ParseType(name string) (Type, error) {
	for t, known := range typeNames {
		if known == name {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("unknown type %q", name)
}

// FromJSON is the value of the type that Value.JSON turned into raw. The null
// of a number that JSON cannot hold comes back as NaN.
func FromJSON(t Type, raw any) (Value, error) {
	v := Value{Type: t}
	switch raw := raw.(type) {
	case float64:
		v.Num = raw
	case bool:
		v = FlagValue(raw)
	case string:
		v.Text = raw
	case nil:
		v.Num = math.NaN()
	default:
		return Value{}, fmt.Errorf("found %T for a %s", raw, t)
	}
	if t == Time {
		at, err := time.Parse(time.RFC3339, v.Text)
		if err != nil {
			return Value{}, err
		}
		v.Num = float64(at.UnixMilli())
	}
	return v, nil
}
