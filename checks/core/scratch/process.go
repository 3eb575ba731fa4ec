package scratch

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
)

// process names a process: the id alone is given again after it has ended.
type process struct {
	pid   int
	start uint64 // clock ticks since boot
}

// String is the name of the process's folder.
func (p process) String() string { return fmt.Sprintf("%d-%d", p.pid, p.start) }

func parse(name string) (process, bool) {
	pid, start, ok := strings.Cut(name, "-")
	n, pidErr := strconv.Atoi(pid)
	ticks, startErr := strconv.ParseUint(start, 10, 64)
	p := process{n, ticks}
	return p, ok && pidErr == nil && startErr == nil && p.String() == name
}

func self() (process, error) {
	pid := os.Getpid()
	start, err := started(pid)
	return process{pid, start}, err
}

// ended is false if that cannot be seen: what is not known to be left over stays.
func (p process) ended() bool {
	start, err := started(p.pid)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	return start != p.start
}

// started reads when a process started. A zombie has ended.
func started(pid int) (uint64, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	const startField = 19 // counted from the state, which follows the name in parentheses
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) <= startField {
		return 0, fmt.Errorf("%s has %d fields behind the name, want more than %d", path, len(fields), startField)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(fields[startField], 10, 64)
}
