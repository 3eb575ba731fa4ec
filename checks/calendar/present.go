package calendar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Present looks for a job in the crontabs and for the proof that it ran.
var Present = module(checks.Module{
	Name: "cron.present",
	Doc:  "Looks for a job in the crontabs that cron really reads, and for its last run in the log that it writes",
	Params: []checks.Param{
		{Name: "job", Type: checks.TextParam, Required: true, Names: "cron", Doc: "job of the site file", Example: "db-maintenance"},
		{Name: "proof", Type: checks.BoolParam, Default: true, Doc: "whether its log must prove its last run; a job without log and success in the site file is unknown then, however well its line reads"},
	},
	Facts: []fact.Spec{
		{Name: "present", Type: fact.Bool, Doc: "a line of a crontab that cron reads runs the command, at the time and as the user that the site file wants"},
		{Name: "daemon", Type: fact.Bool, Doc: "a cron is running"},
		{Name: "lines", Type: fact.Count, Unit: "lines", Doc: "lines that run the command, whatever their time and user; two are a job that runs twice", Worse: fact.Higher},
		{Name: "next", Type: fact.Time, Optional: true, Doc: "when it fires next, within eight days"},
		{Name: "skipped", Type: fact.Count, Optional: true, Unit: "changes", Doc: "clock changes of the next year that take its time away or bring it twice", Worse: fact.Higher},
		{Name: "command_hash", Type: fact.Text, Optional: true, Doc: "SHA-256 of the whole command, in hex"},
		{Name: "last_run", Type: fact.Duration, Optional: true, Doc: "time since its log was written; absent if the site file names none", Worse: fact.Higher},
		{Name: "passed", Type: fact.Bool, Optional: true, Doc: "the log's last line has the text of a run that went well; absent if the site file names none"},
	},
	Warn: "last_run > 26h or lines > 1", Fail: "present == false or daemon == false or passed == false",
	Source: "guide; daemon and lines: proposed",
	Every:  10 * time.Minute,
	// The example is a job of the guide's own.
	Example: "use: cron.present\nwith: {job: db-maintenance}",
	Run:     present,
})

// CheckSchedule says why a text is not the time of a crontab's line.
func CheckSchedule(text string) error {
	_, err := scheduleOf(text)
	return err
}

func scheduleOf(text string) (cronSpec, error) {
	if full, ok := cronNicknames[strings.ToLower(text)]; ok {
		text = full
	}
	return parseCronSpec(strings.Fields(text))
}

// found is a line that runs the wanted command.
type found struct {
	entry
	source string
	right  bool // its time and its user are the wanted ones
}

func present(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	job, ok := env.Site.Cron[args.Text("job")]
	if !ok {
		return checks.Findings{}, checks.NotHere{What: fmt.Sprintf("no cron job %q in the site file", args.Text("job"))}
	}
	h := host(env.Root)
	if !h.exists("etc") {
		return checks.Findings{}, checks.Failed(checks.Missing, "there is no %s: nothing says what is planned", h.path("etc"))
	}
	p := &plan{}
	lines, err := p.linesOf(h, job)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: job.Name}
	first := describe(lines, &f)
	if first == nil && len(p.unread) > 0 {
		return checks.Findings{}, checks.Failed(checks.Denied, "%s is in no crontab that can be read; not read: %s", job.Command, strings.Join(p.unread, "; "))
	}
	f.Detail = append(f.Detail, p.detail()...)
	alive, err := h.cronRuns()
	if err != nil {
		return checks.Findings{}, err
	}
	f.Facts = append(f.Facts, fact.Flag("present", first != nil), fact.Flag("daemon", alive), fact.Number("lines", len(lines)))
	now := time.Now()
	if env.Now != nil {
		now = env.Now()
	}
	if first == nil {
		f.Note = "cron does not run it as the site file wants"
		return f, ctx.Err()
	}
	if err := first.foretell(h, now, &f); err != nil {
		return checks.Findings{}, err
	}
	if args.Bool("proof") && (job.Log == "" || job.Success == "") {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "cron runs %s, but cron.%s names no log and success in the site file: nobody knows how its last run ended", job.Command, job.Name)
	}
	return f, errors.Join(h.proof(job, now, &f), ctx.Err())
}

// describe names every line and returns the first that is right.
func describe(lines []found, f *checks.Findings) (first *found) {
	for i, l := range lines {
		word := "another time or user"
		if l.right {
			word = "as wanted"
			if first == nil {
				first = &lines[i]
			}
		}
		f.Detail = append(f.Detail, fmt.Sprintf("%s: %s, as %s: %s", l.source, word, l.user, clean.Line(l.command, maxCommand)))
	}
	return first
}

// linesOf are the lines of all crontabs that run the job's command.
func (p *plan) linesOf(h host, job checks.CronJob) ([]found, error) {
	var want *cronSpec
	if job.Schedule != "" {
		spec, err := scheduleOf(job.Schedule)
		if err != nil {
			return nil, checks.Failed(checks.Parse, "the schedule of cron job %s: %w", job.Name, err)
		}
		want = &spec
	}
	var lines []found
	for _, tab := range h.crontabs(p) {
		content, err := h.read(tab.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since the folder was listed
		}
		if err != nil {
			p.miss("/"+tab.path, err)
			continue
		}
		entries, _ := parseCrontab(string(content), tab.owner)
		why := h.ignored(tab, content)
		for _, e := range entries {
			if !runs(e.command, job.Command) {
				continue
			}
			source := fmt.Sprintf("/%s:%d", tab.path, e.line)
			if why != "" {
				p.notes = append(p.notes, fmt.Sprintf("careful: %s would run it, but cron does not read the file: %s", source, why))
				continue
			}
			right := (want == nil || *want == e.spec) && (job.User == "" || job.User == e.user)
			lines = append(lines, found{e, source, right})
		}
	}
	return lines, nil
}

// ignored says why cron leaves a whole file out: it tells nobody but its log.
func (h host) ignored(tab crontab, content []byte) string {
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		return "its last line does not end"
	}
	info, err := os.Stat(h.path(tab.path))
	if err == nil && tab.owner == "" && info.Mode().Perm()&0o022 != 0 {
		return "its group or everybody may write it"
	}
	return ""
}

// runs reports whether a crontab's command has the wanted one in it, as whole
// words: backup.sh is neither old-backup.sh nor backup.sh.bak.
func runs(command, want string) bool {
	command, want = strings.Join(strings.Fields(command), " "), strings.Join(strings.Fields(want), " ")
	const ends = " \t;&|(){}<>'\"`"
	for at := 0; want != ""; at++ {
		i := strings.Index(command[at:], want)
		if i < 0 {
			return false
		}
		at += i
		after := command[at+len(want):]
		if (at == 0 || strings.ContainsRune(ends, rune(command[at-1]))) && (after == "" || strings.ContainsRune(ends, rune(after[0]))) {
			return true
		}
	}
	return false
}

// cronRuns looks for a process by the name of a cron: a crontab alone runs
// nothing.
func (h host) cronRuns() (bool, error) {
	entries, err := os.ReadDir(h.path("proc"))
	if err != nil {
		return false, checks.Failed(checks.Missing, "looking for a running cron: %w", err)
	}
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		content, err := h.read(path.Join("proc", e.Name(), "comm"))
		if err != nil {
			continue // it has ended
		}
		switch strings.TrimSpace(string(content)) {
		case "cron", "crond", "fcron", "bcron-sched":
			return true, nil
		}
	}
	return false, nil
}

// horizon is how far ahead the next firing is looked for: a weekly job's is
// within it.
const horizon = 8 * 24 * time.Hour

// foretell adds when the line fires next and which clock changes hit it.
func (l *found) foretell(h host, now time.Time, f *checks.Findings) error {
	zone, err := h.zone()
	if err != nil {
		return fmt.Errorf("reading /etc/localtime: %w", err)
	}
	sum := sha256.Sum256([]byte(l.command))
	f.Facts = append(f.Facts, fact.Word("command_hash", hex.EncodeToString(sum[:])))
	zones, err := l.zones(zone)
	if err != nil {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: %v", err))
	}
	f.Note = "nothing says when it fires next"
	if at := l.spec.firings(now, now.Add(horizon), zones[0]); len(at) > 0 {
		f.Facts = append(f.Facts, fact.At("next", at[0]))
		f.Note = "next " + at[0].Format("Mon 2006-01-02 15:04 MST")
	}
	hit := l.spec.clockChanges(now, now.AddDate(1, 0, 0), zones[0])
	for _, at := range hit {
		f.Detail = append(f.Detail, "careful: the clock change of "+at.In(zones[0]).Format("2006-01-02")+" takes its time away or brings it twice")
	}
	f.Facts = append(f.Facts, fact.Number("skipped", len(hit)))
	return nil
}

// clockChanges are the changes of the zone's clock until end whose skipped or
// repeated hours hold a firing.
func (s cronSpec) clockChanges(start, end time.Time, zone *time.Location) []time.Time {
	var hit []time.Time
	for at := start.In(zone); ; {
		_, change := at.ZoneBounds()
		if change.IsZero() || !change.Before(end) {
			return hit
		}
		from, to := shown(change.Add(-time.Nanosecond), zone).Add(time.Nanosecond), shown(change, zone)
		if to.Before(from) {
			from, to = to, from
		}
		for wall := from; wall.Before(to); wall = wall.Add(time.Minute) {
			if s.at(wall) {
				hit = append(hit, change)
				break
			}
		}
		at = change.In(zone)
	}
}
