package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Tail shows the newest lines of a log and says how long it has been silent.
var Tail = module(checks.Module{
	Name: "log.tail",
	Doc:  "Shows the newest lines of a log, bounded, and how long nothing was written",
	Params: []checks.Param{
		sourceParam(),
		{Name: "lines", Type: checks.NumberParam, Default: 200.0, Doc: "how many lines, at most 5000", Check: isTailLength},
		{Name: "max_silence", Type: checks.DurationParam, Doc: "longest time without a line; without it silence is only reported", Example: "1h"},
	},
	Facts: []fact.Spec{
		{Name: "lines", Type: fact.Count, Unit: "lines", Doc: "lines shown"},
		{Name: "silent", Type: fact.Duration, Worse: fact.Higher, Doc: "time since the newest line, by its stamp, or since the file changed if it has none"},
		{Name: "size", Type: fact.Bytes, Doc: "size of the live files"},
		{Name: "errors", Type: fact.Count, Unit: "lines", Worse: fact.Higher, Doc: "lines shown that name the level error or worse"},
		{Name: "too_silent", Type: fact.Bool, Worse: fact.Higher, Optional: true, Doc: "silent for longer than max_silence; only with max_silence"},
	},
	Fail:    "too_silent == true",
	Source:  "proposed",
	Timeout: 10 * time.Second,
	Every:   30 * time.Second,
	Example: "use: log.tail\nwith: {source: app, lines: 200, max_silence: 1h}",
	Run:     runTail,
})

const (
	maxTailLines = 5000
	maxTailBytes = 2 << 20 // of one file
)

func isTailLength(value any) error {
	if n, ok := value.(float64); !ok || n < 1 || n > maxTailLines {
		return fmt.Errorf("lines must be between 1 and %d", maxTailLines)
	}
	return nil
}

// A tail is the newest lines of the streams of a source.
type tail struct {
	want   int
	lines  []tailLine
	newest time.Time
	size   int64
	errors int
}

type tailLine struct {
	at   int64
	text string
}

func runTail(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	src, err := sourceNamed(env, args.Text("source"))
	if err != nil {
		return checks.Findings{}, err
	}
	now := clock(env)
	files, err := openSource(ctx, src, now.Add(-48*time.Hour))
	if err != nil {
		return checks.Findings{}, err
	}
	t := &tail{want: args.Int("lines")}
	for stream := range files.streams {
		if err = t.stream(ctx, src, files, stream, now); err != nil {
			break
		}
	}
	if err := errors.Join(err, files.Close()); err != nil {
		return checks.Findings{}, fmt.Errorf("reading log source %s: %w", src.Name, err)
	}
	return t.findings(src, args, now), nil
}

// stream reads the end of a live file, and of the plain file rotated last
// while the live one has too few lines.
func (t *tail) stream(ctx context.Context, src checks.LogSource, files *opened, stream int, now time.Time) error {
	var got []tailLine
	var changed time.Time
	for i := len(files.files) - 1; i >= 0; i-- {
		f := files.files[i]
		if f.stream != stream || f.zipped || len(got) >= t.want {
			continue
		}
		if f.live {
			t.size += f.info.Size()
		}
		if changed.IsZero() && (f.info.Size() > 0 || f.live) {
			changed = f.info.ModTime()
		}
		lines, err := lastLines(ctx, src, f, t.want-len(got), now)
		if err != nil {
			return err
		}
		got = append(lines, got...)
	}
	written := changed
	for _, l := range got {
		if at := time.Unix(0, l.at); l.at != 0 && !at.After(now.Add(futureMargin)) {
			written = at
		}
	}
	if written.After(t.newest) {
		t.newest = written
	}
	t.lines = mergeTails(t.lines, got, t.want)
	return nil
}

// lastLines reads the last lines of a plain file with their stamps; a line
// that continues another has the other's.
func lastLines(ctx context.Context, src checks.LogSource, f *logFile, want int, now time.Time) ([]tailLine, error) {
	size := f.info.Size()
	start := max(0, size-maxTailBytes)
	var r lineReader
	r.reset(&span{ctx: ctx, file: f.file, pos: start, end: size})
	r.skipping = start > 0
	s := newStamper(src.Format, zones{src.Zone, now}, window{})
	var beginning lineReader
	beginning.reset(bytes.NewReader(f.head))
	s.settle(&beginning)
	ring := make([]tailLine, 0, want)
	at, oldest := int64(0), 0
	for {
		text, cut, ok := r.next()
		if !ok {
			break
		}
		if m, dated := s.look(text); dated {
			at = m.at
		}
		l := tailLine{at, string(text)}
		if cut {
			l.text += " … (cut)"
		}
		if len(ring) < want {
			ring = append(ring, l)
			continue
		}
		ring[oldest] = l
		oldest = (oldest + 1) % want
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return append(ring[oldest:len(ring):len(ring)], ring[:oldest]...), nil
}

// mergeTails joins two tails by time, each kept in its own order, to the
// newest lines of both.
func mergeTails(a, b []tailLine, want int) []tailLine {
	merged := make([]tailLine, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].at <= b[0].at {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	merged = append(append(merged, a...), b...)
	return merged[max(0, len(merged)-want):]
}

func (t *tail) findings(src checks.LogSource, args checks.Args, now time.Time) checks.Findings {
	silent := max(0, now.Sub(t.newest))
	f := checks.Findings{Target: src.Name, Note: "last line " + fact.FormatDuration(silent.Round(time.Second)) + " ago"}
	table := checks.Table{Name: "lines", Columns: []checks.Column{
		{Name: "time", Type: fact.Time}, {Name: "level", Type: fact.Text}, {Name: "line", Type: fact.Text}}}
	for _, l := range t.lines {
		level := levelOf(src, []byte(l.text))
		if level >= errorLevel {
			t.errors++
		}
		table.Rows = append(table.Rows, []fact.Value{
			fact.TimeValue(time.Unix(0, l.at).In(src.Zone)), fact.WordValue(level.String()), fact.WordValue(clip(l.text))})
	}
	f.Tables = []checks.Table{table}
	f.Facts = []fact.Fact{
		fact.Number("lines", len(t.lines)), fact.Dur("silent", silent), fact.Size("size", t.size), fact.Number("errors", t.errors),
	}
	if args.Has("max_silence") {
		f.Facts = append(f.Facts, fact.Flag("too_silent", silent > args.Duration("max_silence")))
	}
	return f
}

// shownBytes is how much of a line a tail shows.
const shownBytes = 2 << 10

// clip cuts between words: half a secret is one that no redaction recognises.
func clip(text string) string {
	if len(text) <= shownBytes {
		return text
	}
	end := strings.LastIndexAny(text[:shownBytes], " \t,;")
	if end <= 0 {
		return "… (one word of " + fact.FormatBytes(float64(len(text))) + ")"
	}
	return text[:end] + "…"
}

// levelOf is the level of one line on its own.
func levelOf(src checks.LogSource, text []byte) severity {
	s := &scan{source: src, stamps: newStamper(src.Format, zones{src.Zone, time.Time{}}, window{0, 1 << 62})}
	l := line{text: text, scan: s}
	s.sort(&l, text, unstamped, &openQuotes{})
	return l.level()
}
