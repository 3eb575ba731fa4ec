package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// socketStates are the words for what the kernel numbers, in the order in
// which they are told; states beyond these mean nothing to a server.
var socketStates = []string{"listening", "established", "opening", "closing"}

// tcpStates are those of include/net/tcp_states.h.
var tcpStates = map[string]string{
	"01": "established", "02": "opening", "03": "opening", "0A": "listening",
	"04": "closing", "05": "closing", "06": "closing", "07": "closing", "08": "closing", "09": "closing", "0B": "closing", "0C": "opening",
}

// sockets counts those at the server's port, or at its socket path, by state.
func (l lookout) sockets(host string, port int) (map[string]int, error) {
	counts := map[string]int{}
	if strings.HasPrefix(host, "/") || host == "" {
		return counts, l.unixSockets(filepath.Join(host, ".s.PGSQL."+strconv.Itoa(port)), counts)
	}
	for _, name := range []string{"tcp", "tcp6"} {
		if err := l.tcpSockets(name, port, counts); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func (l lookout) table(name string) ([][]byte, error) {
	content, err := hostfs.Read(filepath.Join(l.root, "proc/net", name), mostTable)
	if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
		return nil, nil // a host without IPv6
	}
	if err != nil {
		return nil, fmt.Errorf("counting sockets: %w", err)
	}
	lines := bytes.Split(content, []byte("\n"))
	return lines[1:], nil
}

// tcpSockets reads "sl local_address rem_address st …", addresses as
// HEX:PORT.
func (l lookout) tcpSockets(name string, port int, counts map[string]int) error {
	lines, err := l.table(name)
	want := fmt.Sprintf(":%04X", port)
	for _, line := range lines {
		fields := bytes.Fields(line)
		if len(fields) < 4 || !bytes.HasSuffix(fields[1], []byte(want)) {
			continue
		}
		if state, ok := tcpStates[string(fields[3])]; ok {
			counts[state]++
		}
	}
	return err
}

// unixSockets reads "Num RefCount Protocol Flags Type St Inode Path". A socket
// that accepts has the flag 0x10000; each connection to it has a line of its
// own with the same path.
func (l lookout) unixSockets(path string, counts map[string]int) error {
	lines, err := l.table("unix")
	for _, line := range lines {
		fields := bytes.Fields(line)
		if len(fields) < 8 || string(fields[7]) != path {
			continue
		}
		flags, _ := strconv.ParseUint(string(fields[3]), 16, 64) //nolint:errcheck // what is no number has no flag
		switch {
		case flags&0x10000 != 0:
			counts["listening"]++
		case string(fields[5]) == "03":
			counts["established"]++
		default:
			counts["opening"]++
		}
	}
	return err
}
