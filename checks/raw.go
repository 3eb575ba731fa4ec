package checks

import (
	"strconv"
	"time"
)

// Raw is the arguments in the form that Bind reads and JSON keeps: what one
// process bound, another binds again to the same values.
func (a Args) Raw(m *Module) map[string]any {
	raw := map[string]any{}
	for _, p := range m.Params {
		if value := a.Value(p.Name); value != nil {
			raw[p.Name] = rawValue(p.Type, value)
		}
	}
	return raw
}

func rawValue(t ParamType, value any) any {
	switch v := value.(type) {
	case float64:
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if t == PercentParam {
			text += "%"
		}
		return text
	case time.Duration:
		return strconv.FormatFloat(float64(v)/float64(time.Millisecond), 'f', -1, 64) + "ms"
	case []string:
		list := make([]any, len(v))
		for i, text := range v {
			list[i] = text
		}
		return list
	}
	return value
}
