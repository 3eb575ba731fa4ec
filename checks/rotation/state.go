package rotation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile bounds a configuration or a state file, in bytes.
const maxFile = 1 << 20

// read returns a whole regular file. It never blocks on a named pipe.
func read(root, name string) (string, error) {
	content, err := hostfs.Read(filepath.Join(root, name), maxFile)
	return string(content), err
}

// parseState reads when each log was last rotated. logrotate writes the host's
// local time, to the second, without its zone.
func parseState(content string, zone *time.Location) (map[string]time.Time, error) {
	rotated := map[string]time.Time{}
	head, rest, _ := strings.Cut(content, "\n")
	if !strings.HasPrefix(head, "logrotate state -- version ") {
		return nil, checks.Failed(checks.Parse, "the state file does not begin as logrotate's does")
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			return nil, checks.Failed(checks.Parse, "the state file has the line %.80q", line)
		}
		at, err := parseStamp(line[cut+1:], zone)
		if err != nil {
			return nil, err
		}
		rotated[strings.Trim(line[:cut], `"`)] = at
	}
	return rotated, nil
}

// parseStamp reads 2026-11-24-2:0:0; old versions write the day alone.
func parseStamp(text string, zone *time.Location) (time.Time, error) {
	var year, month, day, hour, minute, second int
	n, err := fmt.Sscanf(text, "%d-%d-%d-%d:%d:%d", &year, &month, &day, &hour, &minute, &second)
	if n != 3 && n != 6 || n == 6 && err != nil || year < 1900 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, checks.Failed(checks.Parse, "the state file has %.40q where a time should be", text)
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, zone), nil
}

// hostZone is the one in which logrotate writes.
func hostZone(root string) (*time.Location, error) {
	content, err := read(root, "etc/localtime")
	if errors.Is(err, os.ErrNotExist) {
		return time.UTC, nil // as the C library takes it
	}
	if err != nil {
		return nil, fmt.Errorf("reading /etc/localtime: %w", err)
	}
	return time.LoadLocationFromTZData("host", []byte(content))
}
