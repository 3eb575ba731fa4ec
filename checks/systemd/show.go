package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// show asks through systemctl, which reaches systemd by a socket of its own if
// the user is root.
type show struct {
	exec checks.Exec
	why  error // the bus was not used
}

func (show) close() {}

func (s show) properties(ctx context.Context, unit string) (properties, error) {
	names := wanting(unit)
	out, err := s.run(ctx, "show", "--no-pager", "--property="+strings.Join(names, ","), "--", unit)
	if err != nil {
		return nil, err
	}
	return parseShow(names, string(out.Stdout))
}

func (s show) reload(ctx context.Context, unit string) (string, error) {
	out, err := s.run(ctx, "reload", "--no-ask-password", "--", unit)
	if checks.ClassOf(err) == checks.Other && strings.HasPrefix(lastOf(out.Stderr), "See ") {
		return "failed", nil // "Job for nginx.service failed. See …": it was begun
	}
	if err != nil {
		return "", err
	}
	return "done", nil
}

// run is one call of systemctl, in UTC.
func (s show) run(ctx context.Context, argv ...string) (checks.Output, error) {
	out, err := s.exec(ctx, checks.Call{Argv: append([]string{"systemctl"}, argv...), Env: []string{"TZ=UTC"}, Max: 1 << 20})
	switch {
	case err != nil:
		return out, fmt.Errorf("%w (systemctl was asked, because: %v)", err, s.why)
	case out.Truncated:
		return out, checks.Failed(checks.Limit, "systemctl %s says too much", argv[0])
	case out.Code == 0:
		return out, nil
	}
	said := strings.TrimSpace(string(out.Stderr))
	class := checks.Other
	for _, sign := range []string{"Access denied", "Permission denied", "authentication required", "Operation not permitted"} {
		if strings.Contains(said, sign) {
			class = checks.Denied
		}
	}
	return out, checks.Failed(class, "systemctl %s ends with %d: %s", argv[0], out.Code, clean.Line(said, 200))
}

func lastOf(stream []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stream)), "\n")
	return lines[len(lines)-1]
}

// A kind is how systemctl writes a property.
type kind uint8

const (
	textKind    kind = iota
	flagKind         // yes
	numberKind       // 3
	listKind         // multi-user.target timers.target
	instantKind      // Fri 2026-11-27 04:19:05 UTC
	spanKind         // 26min 51.075105s, of a clock
	microsKind       // 711228578
	argvKind         // { path=… ; argv[]=… ; ignore_errors=no ; … }
)

var kinds = map[string]kind{
	"WantedBy": listKind, "RequiredBy": listKind, "NeedDaemonReload": flagKind, "CanReload": flagKind,
	"StateChangeTimestampMonotonic": microsKind, "ActiveEnterTimestamp": instantKind,
	"ConditionResult": flagKind, "ConditionTimestamp": instantKind,
	"NRestarts": numberKind, "MainPID": numberKind, "ExecMainStartTimestamp": instantKind, "ExecMainExitTimestamp": instantKind,
	"ExecMainCode": numberKind, "ExecMainStatus": numberKind, "ExecStart": argvKind,
	"LastTriggerUSec": instantKind, "NextElapseUSecRealtime": instantKind, "NextElapseUSecMonotonic": spanKind,
}

// parseShow reads the lines NAME=value that "systemctl show" writes.
func parseShow(names []string, text string) (properties, error) {
	p := properties{}
	for _, name := range names {
		if kinds[name] == argvKind {
			p[name] = []string{} // not written if there is none
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		if list, there := p[name].([]string); there && len(list) > 0 {
			continue // the second command of a service
		}
		parsed, err := kinds[name].parse(value)
		if err != nil {
			return nil, checks.Failed(checks.Parse, "systemctl show: %s is %.80q: %w", name, value, err)
		}
		p[name] = parsed
	}
	return p, nil
}

func (k kind) parse(value string) (any, error) {
	switch k {
	case flagKind:
		if value != "yes" && value != "no" {
			return nil, fmt.Errorf("expected yes or no")
		}
		return value == "yes", nil
	case numberKind:
		return strconv.ParseInt(value, 10, 64)
	case listKind:
		return strings.Fields(value), nil
	case instantKind:
		return parseInstant(value)
	case spanKind:
		return parseSpan(value)
	case microsKind:
		return strconv.ParseUint(value, 10, 64)
	case argvKind:
		_, argv, _ := strings.Cut(value, "argv[]=")
		argv, _, _ = strings.Cut(argv, " ; ignore_errors=")
		return strings.Fields(argv), nil
	}
	return value, nil
}

// parseInstant reads an instant, which is asked for in UTC, as microseconds.
func parseInstant(value string) (any, error) {
	switch value {
	case "", "n/a", "0":
		return uint64(0), nil
	case "infinity":
		return uint64(never), nil
	}
	at, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", value)
	if err != nil || at.Unix() < 0 {
		return nil, fmt.Errorf("expected a time in UTC")
	}
	return uint64(at.UnixMicro()), nil
}

var spanUnits = map[string]float64{
	"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6, "w": 7 * 86400e6, "month": 2629800e6, "y": 31557600e6,
}

// parseSpan reads what systemd writes for microseconds: "1d 2h 26min 51.075105s".
func parseSpan(value string) (any, error) {
	switch value {
	case "", "0":
		return uint64(0), nil
	case "infinity":
		return uint64(never), nil
	}
	var sum float64
	for word := range strings.FieldsSeq(value) {
		i := strings.IndexFunc(word, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 || spanUnits[word[i:]] == 0 {
			return nil, fmt.Errorf("expected a timespan")
		}
		n, err := strconv.ParseFloat(word[:i], 64)
		if err != nil || n > 1e6 {
			return nil, fmt.Errorf("expected a timespan")
		}
		sum += n * spanUnits[word[i:]]
	}
	return uint64(sum), nil
}
