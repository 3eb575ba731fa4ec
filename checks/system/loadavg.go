package system

import (
	"strconv"
	"strings"
)

// loadavg is /proc/loadavg.
type loadavg struct {
	loads [3]float64 // means of 1, 5 and 15 minutes
	tasks uint64     // processes and threads on the host
}

func (h host) loadavg() (loadavg, error) {
	const name = "proc/loadavg"
	content, err := h.read(name)
	if err != nil {
		return loadavg{}, err
	}
	return parseLoadavg(name, string(content))
}

// parseLoadavg reads "0.20 0.18 0.12 1/80 11206".
func parseLoadavg(name, content string) (loadavg, error) {
	var l loadavg
	fields := strings.Fields(content)
	if len(fields) < 4 {
		return l, malformed(name, "%q has fewer than four fields", short(content))
	}
	for i := range l.loads {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || !(n >= 0 && n < 1e9) {
			return l, malformed(name, "%q is not a load", short(fields[i]))
		}
		l.loads[i] = n
	}
	_, total, _ := strings.Cut(fields[3], "/")
	tasks, ok := wholeNumber[uint64](total)
	if !ok {
		return l, malformed(name, "%q does not count tasks", short(fields[3]))
	}
	l.tasks = tasks
	return l, nil
}
