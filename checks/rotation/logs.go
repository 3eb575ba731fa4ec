package rotation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// periods are how long a log may go without a rotation, without the slack.
var periods = map[string]time.Duration{
	"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 31 * 24 * time.Hour, "yearly": 366 * 24 * time.Hour,
}

// slack is what a run may be late: the guide wants a daily log rotated within
// 26 hours.
const slack = 2 * time.Hour

// rotations adds when each log was last rotated, and whose it is. A state file
// that cannot be read says nothing, and that is an error: nothing is "in time".
func (s *survey) rotations(ctx context.Context, f *checks.Findings) error {
	zone, err := hostZone(s.env.Root)
	if err != nil {
		return err
	}
	rotated := map[string]time.Time{}
	content, err := read(s.env.Root, s.site.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Detail = append(f.Detail, s.site.State+" is not there: logrotate never ran")
	case err != nil:
		return fmt.Errorf("reading the state file: %w", err)
	default:
		if rotated, err = parseState(content, zone); err != nil {
			return err
		}
	}
	now := time.Now()
	if s.env.Now != nil {
		now = s.env.Now()
	}
	late, owners := 0, 0
	for _, b := range s.blocks {
		logs, err := b.logs(s.env.Root)
		if err != nil {
			return err
		}
		for _, l := range logs {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if slices.ContainsFunc(s.env.Site.Allow.RemoveUnder, func(dir string) bool { return strings.HasPrefix(l.name, strings.TrimRight(dir, "/")+"/") }) {
				f.Detail = append(f.Detail, "careful: "+l.name+" is rotated here, and allow.remove_under lets file.prune remove beside it: one of them should decide what is kept")
			}
			late += s.age(b, l, rotated, now, f)
			owners += b.owner(l, f)
		}
	}
	f.Facts = append(f.Facts, fact.Number("late", late), fact.Number("owners", owners))
	return nil
}

// A log is a file that a block's patterns match.
type log struct {
	name string // as logrotate and its state file call it
	info fs.FileInfo
}

func (b block) logs(root string) ([]log, error) {
	var logs []log
	for _, pattern := range b.patterns {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, checks.Failed(checks.Parse, "%s:%d: the pattern %q: %w", b.file, b.line, pattern, err)
		}
		for _, name := range names {
			info, err := os.Lstat(name)
			if err != nil || !info.Mode().IsRegular() {
				continue // removed since, or what logrotate passes over
			}
			logs = append(logs, log{"/" + strings.TrimPrefix(strings.TrimPrefix(name, filepath.Clean(root)), "/"), info})
		}
	}
	return logs, nil
}

// age adds the time since a log's last rotation and returns 1 if it is late. An
// empty log that is not to be rotated cannot be.
func (s *survey) age(b block, l log, rotated map[string]time.Time, now time.Time, f *checks.Findings) int {
	at, known := rotated[filepath.Join(s.env.Root, l.name)]
	if !known {
		at, known = rotated[l.name]
	}
	if known && at.After(now.Add(slack)) {
		f.Detail = append(f.Detail, l.name+": the state file has a rotation in the future")
		return 1
	}
	if known {
		f.Facts = append(f.Facts, fact.Dur("rotated", now.Sub(at)).On(l.name))
	}
	period, timed := periods[b.frequency(s.global)]
	if !timed || l.info.Size() == 0 && b.has("notifempty") {
		return 0
	}
	switch {
	case !known && now.Sub(l.info.ModTime()) <= slack:
		return 0 // new: logrotate has not seen it yet
	case !known:
		f.Detail = append(f.Detail, l.name+": logrotate has never seen it")
		return 1
	case now.Sub(at) > period+slack:
		f.Detail = append(f.Detail, fmt.Sprintf("%s: last rotated %s ago", l.name, fact.FormatDuration(now.Sub(at))))
		return 1
	}
	return 0
}

// owner returns 1 if the next log would belong to somebody else than this one:
// whoever writes it may not be able to then.
func (b block) owner(l log, f *checks.Findings) int {
	stat, ok := l.info.Sys().(*syscall.Stat_t)
	for _, d := range b.directives {
		words := strings.Fields(d)
		if !ok || words[0] != "create" || len(words) < 3 {
			continue
		}
		name := words[1]
		if name[0] >= '0' && name[0] <= '7' {
			name = words[2] // the mode comes first
		}
		id := strconv.Itoa(int(stat.Uid))
		if u, err := user.Lookup(name); name == id || err == nil && u.Uid == id {
			continue
		}
		f.Detail = append(f.Detail, fmt.Sprintf("%s: belongs to user %s, the next one to %s", l.name, id, name))
		return 1
	}
	return 0
}
