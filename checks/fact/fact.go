// Package fact is the smallest vocabulary of opsdeck: a thing that was found
// out, with its type, its unit and the object it is about.
//
// A fact never carries a verdict. Modules produce facts, rules judge them,
// panes, journals and reports show them. The package knows nothing of any of
// these; it imports the standard library only.
package fact

import (
	"fmt"
	"time"
)

// Type says what a value means and in which unit its number is kept.
type Type uint8

// The types of values. Numbers are kept in one unit per type so that rules,
// history and JSON never convert twice.
const (
	Count    Type = iota // a plain number; Spec.Unit may name what is counted
	Percent              // percent, 0 to 100 and beyond: 84.2 means 84.2 %
	Duration             // milliseconds
	Bytes                // bytes
	Bool                 // true or false
	Text                 // a word or a line
	Time                 // an instant
)

var typeNames = [...]string{"count", "percent", "duration", "bytes", "bool", "text", "time"}

// String is the type's name as shown by "opsdeck modules".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Numeric reports whether values of the type can be ordered as numbers.
func (t Type) Numeric() bool { return t <= Bytes }

// A Value is one typed value. The zero Value is the count 0.
// Values are comparable with ==.
type Value struct {
	Type Type
	Num  float64 // Count, Percent, Duration (ms), Bytes; Bool as 0 or 1; Time as Unix ms
	Text string  // Text; Time as RFC 3339 with zone
}

// A Fact is a value with a name and, where one check finds many (a mount, a
// container, a state), the label of the object it is about.
type Fact struct {
	Name  string
	Label string
	Value
}

// Of makes a fact out of a value.
func Of(name string, v Value) Fact { return Fact{Name: name, Value: v} }

// Number makes a count, or any other plain number such as a rate or a load.
func Number[N int | int32 | int64 | uint32 | uint64 | float64](name string, n N) Fact {
	return Of(name, NumberValue(n))
}

// Pct makes a percentage: 84.2 means 84.2 %.
func Pct(name string, p float64) Fact { return Of(name, PctValue(p)) }

// Dur makes a duration.
func Dur(name string, d time.Duration) Fact { return Of(name, DurValue(d)) }

// Size makes a number of bytes.
func Size[N int | int64 | uint64 | float64](name string, n N) Fact { return Of(name, SizeValue(n)) }

// Flag makes a truth value.
func Flag(name string, b bool) Fact { return Of(name, FlagValue(b)) }

// Word makes a text. It is cleaned by the Runner before anyone sees it.
func Word(name, text string) Fact { return Of(name, WordValue(text)) }

// At makes an instant.
func At(name string, t time.Time) Fact { return Of(name, TimeValue(t)) }

// On returns the fact bound to a labelled object: fact.Pct("used", 84).On("/var").
func (f Fact) On(label string) Fact {
	f.Label = label
	return f
}

// NumberValue is the Value of Number; the others below likewise. Tables use them.
func NumberValue[N int | int32 | int64 | uint32 | uint64 | float64](n N) Value {
	return Value{Type: Count, Num: float64(n)}
}

// PctValue is a percentage.
func PctValue(p float64) Value { return Value{Type: Percent, Num: p} }

// DurValue is a duration, kept in milliseconds.
func DurValue(d time.Duration) Value {
	return Value{Type: Duration, Num: float64(d) / float64(time.Millisecond)}
}

// SizeValue is a number of bytes.
func SizeValue[N int | int64 | uint64 | float64](n N) Value {
	return Value{Type: Bytes, Num: float64(n)}
}

// FlagValue is a truth value.
func FlagValue(b bool) Value {
	v := Value{Type: Bool}
	if b {
		v.Num = 1
	}
	return v
}

// WordValue is a text.
func WordValue(text string) Value { return Value{Type: Text, Text: text} }

// TimeValue is an instant, kept to the millisecond with its zone.
func TimeValue(t time.Time) Value {
	return Value{Type: Time, Num: float64(t.UnixMilli()), Text: t.Format("2006-01-02T15:04:05.000Z07:00")}
}

// Bool reports whether a Bool value is true; false for every other type.
func (v Value) Bool() bool { return v.Type == Bool && v.Num != 0 }

// Dur is a Duration value as time.Duration; 0 for every other type.
func (v Value) Dur() time.Duration {
	if v.Type != Duration {
		return 0
	}
	return time.Duration(v.Num * float64(time.Millisecond))
}

// Instant is a Time value as time.Time; the zero time for every other type.
func (v Value) Instant() time.Time {
	if v.Type != Time {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.Text)
	if err != nil {
		return time.UnixMilli(int64(v.Num)).UTC()
	}
	return t
}

// Direction says which way a fact gets worse; the zero value says neither.
type Direction int8

// The directions in which a fact can get worse.
const (
	Neither Direction = 0
	Higher  Direction = 1
	Lower   Direction = -1
)

// A Spec declares a fact: what rules may name, lint and "opsdeck modules" read it.
type Spec struct {
	Name  string
	Type  Type
	Unit  string // of a Count: "connections", "/s"; empty otherwise
	Doc   string // one sentence
	Worse Direction

	// Label names the dimension of labelled facts: "mount", "container".
	// Empty: the module returns the fact once.
	Label string

	// Signed marks a count that can be negative; others cannot, and a rule
	// that waits for it is a lint error.
	Signed bool

	// Optional marks a fact that may be absent without anything being wrong
	// (a growth that has too little history yet). Rules leave a comparison
	// with an absent optional fact out; with any other absent fact they are
	// undecided.
	Optional bool

	// Usual asks the Runner to keep the fact's history and to derive
	// NAME_usual (the median at this hour of the last 7 days) and
	// NAME_ratio (the value as a percentage of the usual), both optional.
	Usual bool

	// Growth asks the Runner to keep the fact's history and to derive
	// NAME_growth (change over the last 7 days, in percent), optional.
	Growth bool
}
