package systemd

import (
	"slices"
	"strings"
	"time"
)

// A state is what systemd knows of a unit.
type state struct {
	name        string // its own, which an alias is not
	load        string // loaded, not-found, masked, bad-setting, error
	active, sub string // active (running), inactive (dead), failed (failed)
	file        string // enabled, disabled, static, masked, …; "" if there is no file
	path        string // of the unit file
	wanted      bool   // a unit that is started at boot asks for it
	changedFile bool   // its file is newer than what systemd has read
	canReload   bool
	invocation  string    // id of this start of it
	changed     uint64    // when active changed last, in µs of the monotonic clock
	since       time.Time // when it became active last; zero if it never did since boot
	condition   bool      // what its file demands before a start held at the last try
	tried       bool      // there was such a try

	service service
	timer   timer
}

// A service is what only services have.
type service struct {
	result         string // of its last run: success, exit-code, signal, timeout, …
	reloadResult   string // of its last reload
	restarts       int64  // by systemd itself since it was started
	mainPID        int
	started, ended time.Time // of its main process; zero if that was not since boot
	code           int64     // 1 if the main process exited, 2 or 3 if a signal ended it, 0 if it has not ended
	status         int64     // its exit code, or the signal
	argv           []string  // of ExecStart
}

// A timer is what only timers have.
type timer struct {
	starts   string // the unit
	result   string
	last     time.Time // when it elapsed last; zero: never
	calendar time.Time // when it elapses next by the calendar; zero: never
	clock    uint64    // when it does by the monotonic clock, in µs; 0 or never: not by that
}

// named are the properties that a state is made of.
var named = []string{
	"Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "WantedBy", "RequiredBy", "NeedDaemonReload", "CanReload",
	"InvocationID", "StateChangeTimestampMonotonic", "ActiveEnterTimestamp", "ConditionResult", "ConditionTimestamp",
}

var namedOfService = []string{
	"Result", "ReloadResult", "NRestarts", "MainPID", "ExecMainStartTimestamp", "ExecMainExitTimestamp", "ExecMainCode", "ExecMainStatus", "ExecStart",
}

var namedOfTimer = []string{"Unit", "Result", "LastTriggerUSec", "NextElapseUSecRealtime", "NextElapseUSecMonotonic"}

// wanting are the properties to ask for of a unit of that name.
func wanting(name string) []string {
	if strings.HasSuffix(name, ".timer") {
		return append(slices.Clone(named), namedOfTimer...)
	}
	return append(slices.Clone(named), namedOfService...)
}

// stateOf reads a unit's properties.
func stateOf(name string, p properties) (state, error) {
	r := &reader{unit: name, of: p}
	s := state{
		name: r.text("Id"), load: r.text("LoadState"), active: r.text("ActiveState"), sub: r.text("SubState"),
		file: r.text("UnitFileState"), path: r.text("FragmentPath"),
		wanted:      len(r.list("WantedBy"))+len(r.list("RequiredBy")) > 0,
		changedFile: r.flag("NeedDaemonReload"), canReload: r.flag("CanReload"),
		invocation: r.text("InvocationID"), changed: r.micros("StateChangeTimestampMonotonic"), since: r.instant("ActiveEnterTimestamp"),
		condition: r.flag("ConditionResult"), tried: !r.instant("ConditionTimestamp").IsZero(),
	}
	switch {
	case s.load != "loaded": // nothing more is to be had of it
	case strings.HasSuffix(name, ".timer"):
		s.timer = timer{
			starts: r.text("Unit"), result: r.text("Result"), last: r.instant("LastTriggerUSec"),
			calendar: r.instant("NextElapseUSecRealtime"), clock: r.micros("NextElapseUSecMonotonic"),
		}
	default:
		s.service = service{
			result: r.text("Result"), reloadResult: r.text("ReloadResult"), restarts: r.number("NRestarts"), mainPID: int(r.number("MainPID")),
			started: r.instant("ExecMainStartTimestamp"), ended: r.instant("ExecMainExitTimestamp"),
			code: r.number("ExecMainCode"), status: r.number("ExecMainStatus"), argv: r.list("ExecStart"),
		}
	}
	return s, r.err
}

func (s state) loaded() bool  { return s.load == "loaded" }
func (s state) running() bool { return s.active == "active" || s.active == "reloading" }
func (s state) failed() bool  { return s.active == "failed" }

// enabled says whether the unit is started at boot. One whose file has nothing
// to install is, if another asks for it; "enabled-runtime" is forgotten at boot.
func (s state) enabled() bool {
	switch s.file {
	case "enabled":
		return true
	case "static", "indirect", "generated":
		return s.wanted
	}
	return false
}

// says is the state as systemctl has it: "active (running)".
func (s state) says() string {
	if !s.loaded() {
		return s.load
	}
	return s.active + " (" + s.sub + ")"
}

// next is when the timer elapses next; zero if it is not to. Of the calendar's
// and the monotonic clock's the earlier counts.
func (t timer) next(now time.Time, monotonic uint64) time.Time {
	if t.clock == 0 || t.clock == never {
		return t.calendar
	}
	at := now.Add(time.Duration(int64(t.clock)-int64(monotonic)) * time.Microsecond)
	if !t.calendar.IsZero() && t.calendar.Before(at) {
		return t.calendar
	}
	return at
}
