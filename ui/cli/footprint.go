package cli

import (
	"bufio"
	"context"
	"fmt"
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

// dropPages drops the unchanged pages of the program's file. Only mappings
// that cannot be written are touched: nothing but the file is in them.
func dropPages(proc string) error {
	self, err := os.Readlink(proc + "/exe")
	if err != nil {
		return fmt.Errorf("finding the program's file: %w", err)
	}
	maps, err := os.Open(proc + "/maps")
	if err != nil {
		return fmt.Errorf("reading the program's mappings: %w", err)
	}
	defer maps.Close() //nolint:errcheck // read from only
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		from, to, ok := unchanged(lines.Text(), self)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("dropping pages: %w", errno)
		}
	}
	return lines.Err()
}

// unchanged reads a line of /proc/PID/maps, "from-to perms offset dev inode
// path", and reports whether it maps that file without the right to write.
func unchanged(line, path string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[5] != path || strings.Contains(fields[1], "w") || !strings.HasSuffix(fields[1], "p") {
		return 0, 0, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	begin, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	end, err := strconv.ParseUint(high, 16, 64)
	return uintptr(begin), uintptr(end), err == nil && end > begin
}
