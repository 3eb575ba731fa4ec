package step

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A Card names a process: its id means nothing without its start time and the
// boot it belongs to.
type Card struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// Self is the card of this process.
func Self() (Card, error) { return procfs("").card(os.Getpid()) }

// Alive reports whether the very process is there: same id, same start, same
// boot. A zombie is not.
func (c Card) Alive() bool {
	alive, err := procfs("").alive(c)
	return err == nil && alive
}

// procfs is where processes are looked at; "" means /proc. A test has its own.
type procfs string

// stat is what is known of a process.
type stat struct {
	pid, parent, session int
	state                byte
	name                 string
	start                uint64
}

func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

func (s stat) String() string { return fmt.Sprintf("%d %s", s.pid, s.name) }

func (p procfs) path(name string) string {
	if p == "" {
		p = "/proc"
	}
	return filepath.Join(string(p), name)
}

func (p procfs) boot() (string, error) {
	raw, err := p.read("sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func (p procfs) card(pid int) (Card, error) {
	s, err := p.stat(pid)
	if err != nil {
		return Card{}, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	boot, err := p.boot()
	if err != nil {
		return Card{}, err
	}
	return Card{pid, s.start, boot}, nil
}

// alive has an error if that cannot be told now.
func (p procfs) alive(c Card) (bool, error) {
	boot, err := p.boot()
	if err != nil || boot != c.Boot || c.PID < 1 {
		return false, err
	}
	s, err := p.stat(c.PID)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return false, nil
	case err != nil:
		return false, err
	}
	return s.start == c.Start && !s.dead(), nil
}

func (p procfs) stat(pid int) (stat, error) {
	raw, err := p.read(filepath.Join(strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(raw)
}

func (p procfs) read(name string) ([]byte, error) {
	return hostfs.Read(p.path(name), 64<<10)
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads a line of /proc/PID/stat. The name is in parentheses and may
// hold anything: the last parenthesis closes it.
func parseStat(raw []byte) (stat, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 1 || end < open {
		return stat{}, errStat
	}
	const startField = 19 // counted from the state
	rest := strings.Fields(string(raw[end+1:]))
	if len(rest) <= startField || len(rest[0]) != 1 {
		return stat{}, errStat
	}
	s := stat{state: rest[0][0], name: clean.Line(string(raw[open+1:end]), 40)}
	var errs [4]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(raw[:open])))
	s.parent, errs[1] = strconv.Atoi(rest[1])
	s.session, errs[2] = strconv.Atoi(rest[3])
	s.start, errs[3] = strconv.ParseUint(rest[startField], 10, 64)
	if errors.Join(errs[:]...) != nil || s.pid < 1 {
		return stat{}, errStat
	}
	return s, nil
}

// all lists what /proc shows.
func (p procfs) all() ([]stat, error) {
	entries, err := os.ReadDir(p.path(""))
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var list []stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := p.stat(pid); err == nil { // else it ended while we looked
			list = append(list, s)
		}
	}
	return list, nil
}

// below lists the living descendants of a process but those of the spared, and
// what is in a session of that id, which is the process's own. What a step
// starts stays below it, because it is a subreaper.
func (p procfs) below(root int, spared func(pid int) bool) ([]stat, error) {
	all, err := p.all()
	if err != nil {
		return nil, err
	}
	family, found := map[int]bool{root: true}, []stat(nil)
	for before := 0; before < len(family); {
		before = len(family)
		for _, s := range all {
			if family[s.pid] || !family[s.parent] && s.session != root || spared != nil && spared(s.pid) {
				continue
			}
			family[s.pid] = true
			if !s.dead() {
				found = append(found, s)
			}
		}
	}
	return found, nil
}

// signal reaches the process only if it is still the one that was seen: the
// handle is taken first, then its start is compared. os.ErrProcessDone says
// that it is no more.
func (p procfs) signal(pid int, start uint64, sig syscall.Signal) error {
	handle, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer handle.Release() //nolint:errcheck // only frees the handle
	now, err := p.stat(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && now.start != start:
		return os.ErrProcessDone
	case err != nil:
		return err
	}
	return handle.Signal(sig)
}
