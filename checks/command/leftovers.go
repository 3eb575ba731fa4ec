package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

const (
	// markName is the variable that every descendant of a command inherits.
	markName = "OPSDECK_COMMAND"

	// settle is how long what a command started may take to end by itself
	// after it: the tee at the end of a script is no leftover.
	settle = 150 * time.Millisecond

	poll = 10 * time.Millisecond

	// maxEnviron bounds what is read of a process's environment, in bytes. The
	// kernel starts a program with up to 6 MiB of arguments and environment.
	maxEnviron = 8 << 20

	// maxNamed bounds Output.Left: a fork bomb leaves thousands.
	maxNamed = 20
)

// A relic is a process that a command left behind.
type relic struct {
	pid, parent, group, session int
	state                       byte
	name                        string
	started                     uint64 // clock ticks since boot; with the pid it names one process
}

// sweep finds what the command left behind, in its group, in its session, below
// it, with its mark or given to us as an orphan, and ends it: SIGTERM, and
// SIGKILL at the deadline. It returns the names of what did not go by itself.
func (p *process) sweep(deadline time.Time) []string {
	var relics []relic
	for end := time.Now().Add(settle); ; time.Sleep(poll) {
		if relics = p.relics(); len(relics) == 0 {
			return nil
		}
		if time.Now().After(end) {
			break
		}
	}
	left := names(relics)
	if p.call.Leave {
		return left
	}
	for _, r := range relics {
		r.signal(syscall.SIGTERM)
	}
	for len(relics) > 0 && time.Now().Before(deadline) {
		time.Sleep(poll)
		relics = p.relics()
	}
	p.kill(relics)
	return left
}

// kill ends what did not end when it was asked, and what that started
// meanwhile. What cannot be signalled belongs to another user and stays.
func (p *process) kill(relics []relic) {
	for end := time.Now().Add(dying); len(relics) > 0 && time.Now().Before(end); time.Sleep(poll) {
		p.signal(syscall.SIGKILL)
		for _, r := range relics {
			r.signal(syscall.SIGKILL)
		}
		relics = p.relics()
	}
}

func names(relics []relic) []string {
	var list []string
	for i, r := range relics {
		if i == maxNamed {
			return append(list, fmt.Sprintf("and %d more", len(relics)-i))
		}
		list = append(list, fmt.Sprintf("%d %s", r.pid, r.name))
	}
	return list
}

// signal reaches the process only if it is still the one that was seen: the
// handle is taken first, then its start is compared.
func (r relic) signal(s syscall.Signal) {
	handle, err := os.FindProcess(r.pid)
	if err != nil {
		return
	}
	defer handle.Release() //nolint:errcheck // only frees the handle
	now, err := look(r.pid)
	if err != nil || now.started != r.started {
		return
	}
	_ = handle.Signal(s) // gone meanwhile, or another user's: the next look tells
}

// relics lists the command's living descendants but its leader. What was once
// known as one stays one; what became a zombie of ours is reaped.
func (p *process) relics() []relic {
	all := p.younger()
	family := map[int]bool{p.cmd.Process.Pid: true}
	var found []relic
	for before := -1; before < len(family); {
		before = len(family)
		for _, r := range all {
			if !family[r.pid] && p.owns(r, family) {
				family[r.pid] = true
				p.known[r.pid] = r.started
				found = append(found, r)
			}
		}
	}
	return slices.DeleteFunc(found, func(r relic) bool {
		if r.state == 'Z' && r.parent == os.Getpid() {
			p.reapOrphan(r.pid)
		}
		return r.state == 'Z' || r.state == 'X'
	})
}

// younger lists the processes that were started after the command, which all
// its descendants are. The leader itself is not reaped and can be looked at.
func (p *process) younger() []relic {
	leader, err := look(p.cmd.Process.Pid)
	if err != nil {
		return nil // no /proc: the group is ended all the same, but nothing can be named
	}
	var all []relic
	for _, r := range processes() {
		if r.started >= leader.started && r.pid != os.Getpid() {
			all = append(all, r)
		}
	}
	return all
}

// owns reports whether a process belongs to the command, some of whose
// processes are known as its family.
func (p *process) owns(r relic, family map[int]bool) bool {
	leader := p.cmd.Process.Pid
	switch {
	case r.group == leader, r.session == leader, family[r.parent], r.started == p.known[r.pid]:
		return true
	case p.reaper && r.parent == os.Getpid():
		return p.isOrphan(r.pid)
	}
	return p.carries(r.pid)
}

// isOrphan reports whether a child of ours was not started here. While another
// command runs the orphan may be of that one, and only its mark can tell.
func (p *process) isOrphan(pid int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.leaders[pid] && (len(p.leaders) == 1 || p.carries(pid))
}

// reapOrphan takes away a zombie that was given to us.
func (p *process) reapOrphan(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.leaders[pid] {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // somebody else may have taken it
	}
}

// carries reports whether a process has the command's mark in its environment.
// That of other users cannot be read, and they are not ours to end.
func (p *process) carries(pid int) bool {
	env, err := hostfs.Read(fmt.Sprintf("/proc/%d/environ", pid), maxEnviron)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(pair []byte) bool {
		return string(pair) == markName+"="+p.mark
	})
}

// processes lists what /proc shows.
func processes() []relic {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close() //nolint:errcheck // opened for reading
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []relic
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry)
		if err != nil {
			continue
		}
		if r, err := look(pid); err == nil {
			all = append(all, r)
		}
	}
	return all
}

func look(pid int) (relic, error) {
	raw, err := hostfs.Read(fmt.Sprintf("/proc/%d/stat", pid), maxEnviron)
	if err != nil {
		return relic{}, err
	}
	return parseStat(raw)
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads a line of /proc/PID/stat. The name is in parentheses and may
// contain anything, parentheses and line ends too: the last one closes it.
func parseStat(raw []byte) (relic, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 1 || end < open {
		return relic{}, errStat
	}
	rest := bytes.Fields(raw[end+1:])
	if len(rest) < 20 || len(rest[0]) != 1 {
		return relic{}, errStat
	}
	r := relic{state: rest[0][0], name: text(raw[open+1 : end])}
	for _, number := range []struct {
		to   *int
		from []byte
	}{{&r.pid, bytes.TrimSpace(raw[:open])}, {&r.parent, rest[1]}, {&r.group, rest[2]}, {&r.session, rest[3]}} {
		n, err := strconv.Atoi(string(number.from))
		if err != nil {
			return relic{}, errStat
		}
		*number.to = n
	}
	var err error
	if r.started, err = strconv.ParseUint(string(rest[19]), 10, 64); err != nil || r.pid < 1 {
		return relic{}, errStat
	}
	return r, nil
}
