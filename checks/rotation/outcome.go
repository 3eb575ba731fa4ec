package rotation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/holders"
)

// An identity is what a log is known again by.
type identity struct {
	device, inode uint64
	size          int64
	rotated       int64 // Unix time of its last rotation by the state file; 0: it has none
}

// String is the identity as a fact keeps it.
func (i identity) String() string {
	return fmt.Sprintf("%d:%d:%d:%d", i.device, i.inode, i.size, i.rotated)
}

func parseIdentity(text string) (i identity) {
	if _, err := fmt.Sscanf(text, "%d:%d:%d:%d", &i.device, &i.inode, &i.size, &i.rotated); err != nil {
		return identity{} // of no file
	}
	return i
}

func (i identity) file() holders.File { return holders.File{Device: i.device, Inode: i.inode} }

// identify looks at a log as it is now.
func identify(log string, stamps map[string]time.Time) (id identity, there bool, err error) {
	info, err := os.Lstat(log)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else if err == nil {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.Mode().IsRegular() {
			return id, false, nil
		}
		id, there = identity{device: uint64(stat.Dev), inode: stat.Ino, size: info.Size()}, true
	}
	if at, known := stamps[log]; known {
		id.rotated = at.Unix()
	}
	return id, there, err
}

// stamps are the last rotations by the state file; none if there is no such file.
func (s *survey) stamps() (map[string]time.Time, error) {
	zone, err := hostZone(s.env.Root)
	if err != nil {
		return nil, err
	}
	content, err := read(s.env.Root, s.site.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state file: %w", err)
	}
	return parseState(content, zone)
}

// writers are the processes that may write to a log that is due.
func (r *rotation) writers(ctx context.Context) (map[string][]holders.Holder, error) {
	held, err := holders.Of(ctx, r.env.Root)
	if err != nil {
		return nil, err
	}
	found := map[string][]holders.Holder{}
	for log, id := range r.known {
		found[log] = writing(held[id.file()])
	}
	return found, nil
}

func writing(all []holders.Holder) []holders.Holder {
	return slices.DeleteFunc(slices.Clone(all), func(h holders.Holder) bool { return !h.Writes })
}

// probeRun goes by the state file, the files and the kernel, not by what
// logrotate says.
func probeRun(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := surveyed(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f, _, err := outcome(ctx, s, env.Before)
	return f, err
}

// outcome compares the previewed logs with what is there now, and counts who
// still writes to a file that is not the log any more.
func outcome(ctx context.Context, s *survey, before []fact.Fact) (f checks.Findings, held int, err error) {
	stamps, err := s.stamps()
	if err != nil {
		return f, 0, err
	}
	open, err := holders.Of(ctx, s.env.Root)
	if err != nil {
		return f, 0, err
	}
	f.Target = s.target()
	named, left := 0, 0
	for _, one := range before {
		if one.Name != "identity" {
			continue
		}
		named++
		was := parseIdentity(one.Text)
		now, there, err := identify(one.Label, stamps)
		if err != nil {
			return f, 0, fmt.Errorf("looking at a log: %w", err)
		}
		if why := was.stays(now, there); why != "" {
			left++
			f.Detail = append(f.Detail, one.Label+": "+why)
			continue
		}
		if there && now.file() == was.file() {
			continue // copied and emptied in its place: whoever writes, writes to it
		}
		for _, who := range writing(open[was.file()]) {
			held++
			f.Detail = append(f.Detail, fmt.Sprintf("%s: %s goes on writing to the file that was rotated away", one.Label, who))
		}
	}
	if named == 0 {
		return f, 0, checks.Failed(checks.NoData, "there is no preview to compare %s with", s.target())
	}
	f.Note = fmt.Sprintf("%d of %d logs were rotated, %d processes write to what was rotated away", named-left, named, held)
	f.Facts = []fact.Fact{
		fact.Number("due", named), fact.Number("rotated", named-left), fact.Number("left", left), fact.Number("writers", held), fact.Flag(checks.DoneFact.Name, left == 0),
	}
	return f, held, nil
}

// stays says why a log was not rotated; "" if it was. The directive "copy"
// leaves a log as it was: then the state file alone knows.
func (i identity) stays(now identity, there bool) string {
	switch {
	case now.rotated == i.rotated && there && now.file() == i.file() && now.size >= i.size:
		return "it was not rotated"
	case now.rotated == i.rotated:
		return "it was renamed or emptied, and the state file does not know of it: logrotate did not come to its end"
	}
	return ""
}
