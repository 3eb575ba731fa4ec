package postgres

import (
	"errors"
	"fmt"
	"strings"
)

func checkMinRows(value any) error {
	m, ok := value.(map[string]any)
	if !ok {
		return errors.New("not a map of tables and numbers")
	}
	for name, n := range m {
		if _, err := rowCount(n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func rowCount(v any) (float64, error) {
	var n float64
	if _, err := fmt.Sscan(fmt.Sprint(v), &n); err != nil || n < 0 {
		return 0, fmt.Errorf("%v is not a number of rows", v)
	}
	return n, nil
}

func numbers(m map[string]any) map[string]float64 {
	all := map[string]float64{}
	for name, v := range m {
		all[name], _ = rowCount(v) // checked when the runbook was loaded
	}
	return all
}

func checkNewest(value any) error {
	if text, ok := value.(string); ok && text != "" && !strings.Contains(text, ".") {
		return fmt.Errorf("%q is not table.column", text)
	}
	return nil
}
