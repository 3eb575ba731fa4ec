package checks

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Args are a module's parameters after parsing: typed, complete with
// defaults, validated. The zero Args has no values.
type Args struct{ values map[string]any }

// An ArgError is one thing wrong with the arguments of a module. Path names
// the value so that a loader can point at its line: "expect.status".
type ArgError struct {
	Path string
	Msg  string
	Hint string
}

// Error is the message with its hint.
func (e ArgError) Error() string {
	text := e.Path + ": " + e.Msg
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Bind turns raw values (from YAML, or texts from a command line) into Args.
// All problems are returned at once; Args is usable only when there are none.
func Bind(m *Module, raw map[string]any) (Args, []ArgError) {
	args := Args{values: map[string]any{}}
	var problems []ArgError
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if _, ok := m.Param(name); !ok {
			problems = append(problems, ArgError{name, fmt.Sprintf("%s has no parameter %q", m.Name, name), Nearest(name, m.ParamNames())})
		}
	}
	for _, p := range m.Params {
		given, ok := raw[p.Name]
		if !ok || given == nil {
			given = p.Default
		}
		if given == nil {
			if p.Required {
				problems = append(problems, ArgError{p.Name, fmt.Sprintf("%s needs %q", m.Name, p.Name), p.Doc})
			}
			continue
		}
		value, err := parseArg(p, given)
		if err != nil {
			problems = append(problems, ArgError{Path: p.Name, Msg: err.Error()})
			continue
		}
		args.values[p.Name] = value
	}
	return args, problems
}

// Param returns the declared parameter of that name.
func (m *Module) Param(name string) (Param, bool) {
	for _, p := range m.Params {
		if p.Name == name {
			return p, true
		}
	}
	return Param{}, false
}

// ParamNames lists the declared parameters in their order.
func (m *Module) ParamNames() []string {
	names := make([]string, len(m.Params))
	for i, p := range m.Params {
		names[i] = p.Name
	}
	return names
}

func parseArg(p Param, given any) (any, error) {
	value, err := parseTyped(p.Type, given)
	if err != nil {
		return nil, err
	}
	if text, ok := value.(string); ok && len(p.OneOf) > 0 && !slices.Contains(p.OneOf, text) {
		return nil, fmt.Errorf("%q is not one of %s%s", text, strings.Join(p.OneOf, ", "), didYouMean(text, p.OneOf))
	}
	if p.Check != nil {
		if err := p.Check(value); err != nil {
			return nil, err
		}
	}
	return value, nil
}

func parseTyped(t ParamType, given any) (any, error) {
	text := strings.TrimSpace(fmt.Sprint(given))
	switch t {
	case TextParam:
		switch given.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("found %T, expected a text", given)
		}
		return text, nil
	case NumberParam:
		return parseNumber(text)
	case BoolParam:
		return parseBool(given, text)
	case DurationParam:
		if d, ok := given.(time.Duration); ok {
			return d, nil
		}
		return ParseDuration(text)
	case BytesParam:
		return ParseBytes(text)
	case PercentParam:
		return parsePercent(text)
	case TextsParam:
		return parseTexts(given, text)
	default:
		return parseMap(given)
	}
}

func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

func parseBool(given any, text string) (bool, error) {
	if b, ok := given.(bool); ok {
		return b, nil
	}
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is not true or false", text)
}

func parsePercent(text string) (float64, error) {
	n, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, fmt.Errorf("%q is not a percentage (write 80%%)", text)
	}
	return parseNumber(strings.TrimSpace(n))
}

func parseTexts(given any, text string) ([]string, error) {
	switch list := given.(type) {
	case []string:
		return list, nil
	case []any:
		texts := make([]string, len(list))
		for i, v := range list {
			texts[i] = fmt.Sprint(v)
		}
		return texts, nil
	case map[string]any:
		return nil, fmt.Errorf("found a map, expected a list of texts")
	}
	var texts []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			texts = append(texts, part)
		}
	}
	return texts, nil
}

func parseMap(given any) (map[string]any, error) {
	if m, ok := given.(map[string]any); ok {
		return m, nil
	}
	return nil, fmt.Errorf("found %v, expected a map", given)
}

// Names lists the parameters that have a value, sorted.
func (a Args) Names() []string { return slices.Sorted(maps.Keys(a.values)) }

// Has reports whether the parameter has a value, given or by default.
func (a Args) Has(name string) bool { _, ok := a.values[name]; return ok }

// Value is a parameter's value as it is, nil if it has none.
func (a Args) Value(name string) any { return a.values[name] }

// Text is a text parameter, "" if it has no value.
func (a Args) Text(name string) string { return arg[string](a, name) }

// Number is a number, byte or percent parameter, 0 if it has no value.
func (a Args) Number(name string) float64 { return arg[float64](a, name) }

// Int is a number parameter as an int.
func (a Args) Int(name string) int { return int(a.Number(name)) }

// Bool is a bool parameter, false if it has no value.
func (a Args) Bool(name string) bool { return arg[bool](a, name) }

// Duration is a duration parameter, 0 if it has no value.
func (a Args) Duration(name string) time.Duration { return arg[time.Duration](a, name) }

// Texts is a list parameter, nil if it has no value.
func (a Args) Texts(name string) []string { return arg[[]string](a, name) }

// Map is a map parameter, nil if it has no value.
func (a Args) Map(name string) map[string]any { return arg[map[string]any](a, name) }

func arg[T any](a Args, name string) T {
	v, _ := a.values[name].(T)
	return v
}
