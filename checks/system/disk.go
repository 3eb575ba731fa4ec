package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Disk looks at every real file system, because data, backups and images
// often live elsewhere than on the root. A mount that hangs costs its own
// answer and no other's.
//
// The guide tests "greater than 80" on whole percents as df prints them; here
// too exactly 80 passes, on the unrounded value.
var Disk = module(checks.Module{
	Name: "sys.disk",
	Doc:  "Measures space and inodes of every real file system, with the time until it is full",
	Params: []checks.Param{
		{Name: "mounts", Type: checks.TextsParam, Doc: "paths to look at; without it every real file system", Example: "/, /var"},
		{Name: "exclude", Type: checks.TextsParam, Doc: "mount points to leave out, with everything below them", Example: "/mnt/archive"},
		{Name: "each", Type: checks.DurationParam, Default: 2 * time.Second, Doc: "how long one mount may take to answer"},
	},
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Label: "mount", Doc: "space in use, of what an ordinary user could use, as df counts it", Worse: fact.Higher},
		{Name: "inodes", Type: fact.Percent, Label: "mount", Doc: "inodes in use; absent where the file system has no fixed number", Worse: fact.Higher, Optional: true},
		{Name: "free", Type: fact.Bytes, Label: "mount", Doc: "space an ordinary user can still use", Worse: fact.Lower, Growth: true},
		{Name: "total", Type: fact.Bytes, Label: "mount", Doc: "size of the file system"},
		{Name: "read_only", Type: fact.Bool, Label: "mount", Doc: "refuses writes though it is to be written to, as after a device error", Worse: fact.Higher},
		{Name: "answered", Type: fact.Bool, Label: "mount", Doc: "the file system answered in time", Worse: fact.Lower},
		{Name: "full_in", Type: fact.Duration, Label: "mount", Doc: "time until no space is left at the present growth, at most 365 d; absent until 30 minutes are known", Worse: fact.Lower, Optional: true},
	},
	Warn:    "used > 80% or inodes > 80%",
	Fail:    "used > 90% or inodes > 90% or full_in < 72h or read_only == true or answered == false",
	Source:  "used 80 %, strictly greater: guide; the rest: proposed",
	Every:   10 * time.Second,
	Example: "use: sys.disk\nwith: {mounts: [/, /var]}\nwarn: used > 80%\nfail: used > 90% or full_in < 72h",
	Run:     newDisks(statfs).run,
})

// disks asks file systems for their size; calls outlives a run, because a call
// that hangs cannot be taken back.
type disks struct{ calls *sizeCalls }

func newDisks(ask func(path string) (size, error)) *disks {
	return &disks{calls: &sizeCalls{ask: ask, out: map[string]*sizeCall{}}}
}

// asked is a mount with its answer.
type asked struct {
	mount
	label string // as the mount was named
	size  size
	err   error
}

func (d *disks) run(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	table, err := h.mounts()
	if err != nil {
		return checks.Findings{}, err
	}
	fstab, err := h.fstab()
	if err != nil {
		return checks.Findings{}, err
	}
	targets, missing := choose(h, table, args.Texts("mounts"), args.Texts("exclude"))
	if len(targets) == 0 && len(missing) == 0 {
		return checks.Findings{}, checks.NotHere{What: "no real file system is mounted"}
	}
	d.askAll(ctx, h, args.Duration("each"), targets)
	f := describeMounts(env, fstab, targets, missing)
	if out := d.calls.hanging(); out > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d calls for the size of a file system have not returned", out))
	}
	return f, nothingKnown(targets, missing)
}

// nothingKnown is the error of a run in which no mount answered and none
// hangs. Next to one that did, a mount that may not be asked has a "used"
// without a value: the rule cannot be decided for it, and a full disk beside
// it still fails.
func nothingKnown(targets []asked, missing []string) error {
	var first error
	for _, a := range targets {
		if a.err == nil || errors.Is(a.err, errHangs) {
			return nil
		}
		if first == nil {
			first = fmt.Errorf("asking for the size of %s: %w", a.label, a.err)
		}
	}
	if first == nil && len(missing) > 0 {
		first = checks.Failed(checks.Missing, "there is no %s", strings.Join(missing, ", "))
	}
	return first
}

// askAll asks every target at once: the slowest decides how long it takes, and
// no target waits for another.
func (d *disks) askAll(ctx context.Context, h host, each time.Duration, targets []asked) {
	if deadline, ok := ctx.Deadline(); ok {
		each = min(each, time.Until(deadline)*3/4)
	}
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	calls := make([]*sizeCall, len(targets))
	for i, t := range targets {
		calls[i] = d.calls.start(h.path(t.label))
	}
	for i, c := range calls {
		targets[i].size, targets[i].err = c.wait(ctx)
	}
}

var mountColumns = []checks.Column{
	{Name: "mount", Type: fact.Text}, {Name: "device", Type: fact.Text}, {Name: "type", Type: fact.Text},
	{Name: "used", Type: fact.Percent}, {Name: "free", Type: fact.Bytes}, {Name: "total", Type: fact.Bytes}, {Name: "inodes", Type: fact.Percent},
}

func describeMounts(env checks.Env, fstab map[string][]string, targets []asked, missing []string) checks.Findings {
	var f checks.Findings
	rows := checks.Table{Name: "mounts", Columns: mountColumns}
	for _, a := range targets {
		if a.err != nil {
			f.Facts = append(f.Facts, unansweredFact(a))
			f.Detail = append(f.Detail, fmt.Sprintf("%s (%s from %s): %v", a.label, a.fstype, a.source, a.err))
			continue
		}
		f.Facts = append(f.Facts, sizeFacts(env, fstab, a)...)
		if a.point != a.label {
			f.Detail = append(f.Detail, fmt.Sprintf("%s is on the file system mounted at %s", a.label, a.point))
		}
		rows.Rows = append(rows.Rows, []fact.Value{
			fact.WordValue(a.label), fact.WordValue(a.source), fact.WordValue(a.fstype), fact.PctValue(tidy(a.size.used())),
			fact.SizeValue(a.size.available), fact.SizeValue(a.size.total), fact.PctValue(tidy(a.size.inodesUsed())),
		})
	}
	for _, name := range missing {
		f.Facts = append(f.Facts, fact.Pct("used", math.NaN()).On(name))
		f.Detail = append(f.Detail, name+": there is no such path")
	}
	f.Tables = []checks.Table{rows}
	f.Note = diskNote(targets)
	return f
}

func unansweredFact(a asked) fact.Fact {
	if errors.Is(a.err, errHangs) {
		return fact.Flag("answered", false).On(a.label)
	}
	return fact.Pct("used", math.NaN()).On(a.label)
}

func sizeFacts(env checks.Env, fstab map[string][]string, a asked) []fact.Fact {
	s := a.size
	facts := []fact.Fact{
		fact.Flag("answered", true), fact.Pct("used", tidy(s.used())), fact.Size("free", s.available), fact.Size("total", s.total),
		fact.Flag("read_only", turnedReadOnly(a.mount, fstab)),
	}
	if s.inodes > 0 {
		facts = append(facts, fact.Pct("inodes", tidy(s.inodesUsed())))
	}
	if left, known := fullIn(env, a.label, s); known {
		facts = append(facts, fact.Dur("full_in", left))
	}
	for i := range facts {
		facts[i] = facts[i].On(a.label)
	}
	return facts
}

// turnedReadOnly reports a file system that refuses writes though fstab, or
// where fstab does not name it its own mount options, want it written to: the
// kernel does that to the file system and leaves the options alone.
func turnedReadOnly(m mount, fstab map[string][]string) bool {
	wanted, listed := fstab[m.point]
	if !listed {
		wanted = m.options
	}
	return m.readOnly() && !slices.Contains(wanted, "ro")
}

func diskNote(targets []asked) string {
	fullest, hung := -1, 0
	for i, a := range targets {
		switch {
		case errors.Is(a.err, errHangs):
			hung++
		case a.err == nil && (fullest < 0 || a.size.used() > targets[fullest].size.used()):
			fullest = i
		}
	}
	var parts []string
	if hung > 0 {
		parts = append(parts, fmt.Sprintf("%d do not answer", hung))
	}
	if fullest >= 0 {
		a := targets[fullest]
		parts = append(parts, fmt.Sprintf("%s %s used, %s free", a.label, fact.PctValue(a.size.used()), fact.SizeValue(a.size.available)))
	}
	return strings.Join(parts, ", ")
}

// fstab maps mount points to the options /etc/fstab gives them. A host without
// the file has none.
func (h host) fstab() (map[string][]string, error) {
	content, err := h.read("etc/fstab")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseFstab(string(content)), nil
}

func parseFstab(content string) map[string][]string {
	options := map[string][]string{}
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		options[filepath.Clean(unescape(fields[1]))] = strings.Split(fields[3], ",")
	}
	return options
}
