package web

import (
	"fmt"
	"strconv"
	"strings"
)

// A jsonPath is the small part of JSONPath that health pages need: $, then
// .name or [0], any number of times.
type jsonPath []any // string or int

const maxPath = 32

func parsePath(text string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return nil, fmt.Errorf("%q is not a JSON path, expected $.name or $.list[0].name", text)
	}
	path := jsonPath{}
	for rest != "" {
		step, tail, err := parseStep(rest)
		if err != nil || len(path) == maxPath {
			return nil, fmt.Errorf("%q is not a JSON path, expected $.name or $.list[0].name", text)
		}
		path, rest = append(path, step), tail
	}
	return path, nil
}

func parseStep(text string) (step any, rest string, err error) {
	if name, ok := strings.CutPrefix(text, "."); ok {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		if end == 0 {
			return nil, "", fmt.Errorf("an empty name")
		}
		return name[:end], name[end:], nil
	}
	inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]")
	n, err := strconv.Atoi(inner)
	if !ok || !strings.HasPrefix(text, "[") || err != nil || n < 0 {
		return nil, "", fmt.Errorf("not an index")
	}
	return n, rest, nil
}

// in follows the path in a decoded document.
func (p jsonPath) in(document any) (any, bool) {
	for _, step := range p {
		switch key := step.(type) {
		case string:
			object, ok := document.(map[string]any)
			if !ok {
				return nil, false
			}
			if document, ok = object[key]; !ok {
				return nil, false
			}
		case int:
			list, ok := document.([]any)
			if !ok || key >= len(list) {
				return nil, false
			}
			document = list[key]
		}
	}
	return document, true
}
