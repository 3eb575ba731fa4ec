package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The start of the program runs through code and tables of every library it
// is made of, and the kernel maps what lies around each page too. Little of
// that is needed again, and it would count as this process's memory for as
// long as the deck is open. settle are the moments at which it is given back:
// close together while the peak is made.
var settle = []time.Duration{
	0, 30 * time.Millisecond, 70 * time.Millisecond, 130 * time.Millisecond, 250 * time.Millisecond,
	700 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second, 20 * time.Second,
}

// giveBack returns the program's own pages to the kernel while the deck gets
// going. What is used again comes back from the page cache, at the cost of a
// minor fault for a few pages at a time.
func giveBack(ctx context.Context, log *slog.Logger) {
	began := time.Now()
	for _, at := range settle {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(at))):
		}
		if err := dropPages("/proc/self"); err != nil {
			log.Warn("giving memory back", "error", err)
			return
		}
	}
}

// dropPages drops the unchanged pages of the program's file.
func dropPages(proc string) error {
	self, err := os.Readlink(proc + "/exe")
	if err != nil {
		return fmt.Errorf("finding the program's file: %w", err)
	}
	maps, err := os.Open(proc + "/smaps")
	if err != nil {
		return fmt.Errorf("reading the program's mappings: %w", err)
	}
	defer maps.Close() //nolint:errcheck // read from only
	all, err := unchanged(maps, self)
	if err != nil {
		return fmt.Errorf("reading the program's mappings: %w", err)
	}
	for _, m := range all {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("dropping pages: %w", errno)
		}
	}
	return nil
}

// A mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// unchanged are the mappings of that file in /proc/PID/smaps in which there is
// nothing but the file: they cannot be written, and none of their pages is the
// process's own. A program that is not linked statically has such pages where
// none can be written any more: its addresses were put in when it was loaded.
func unchanged(smaps io.Reader, path string) ([]mapping, error) {
	var all []mapping
	ours := false // the mapping that the lines are about is the last of the list
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		name, value, isFact := strings.Cut(lines.Text(), ": ")
		if isFact && !strings.Contains(name, " ") {
			if own := name == "Anonymous" || name == "Swap"; ours && own && strings.TrimSpace(value) != "0 kB" {
				all, ours = all[:len(all)-1], false
			}
			continue
		}
		var m mapping
		if m, ours = readOnly(lines.Text(), path); ours {
			all = append(all, m)
		}
	}
	return all, lines.Err()
}

// readOnly reads the line of a mapping, "from-to perms offset dev inode path",
// and reports whether it maps that file without the right to write.
func readOnly(line, path string) (m mapping, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[5] != path || strings.Contains(fields[1], "w") || !strings.HasSuffix(fields[1], "p") {
		return mapping{}, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	begin, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return mapping{}, false
	}
	end, err := strconv.ParseUint(high, 16, 64)
	return mapping{uintptr(begin), uintptr(end)}, err == nil && end > begin
}
