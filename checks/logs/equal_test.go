package logs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// An account is what a reading of a log came to, as far as verdicts rest on it.
type account struct {
	lines, parsed, continued, unparsed, future int64
	levelled                                   bool
	notUnderstood                              string
	visited                                    []string
}

func accountOf(t *tally, visited []string) account {
	slices.Sort(visited)
	return account{t.lines, t.parsed, t.continued, t.unparsed, t.future, t.levelled, t.notUnderstood(), visited}
}

// differs says where two accounts do, with the first line that only one has.
func (a account) differs(b account) string {
	if fmt.Sprint(a) == fmt.Sprint(b) {
		return ""
	}
	first := func(x, y []string) string {
		for i, v := range x {
			if i >= len(y) || v != y[i] {
				return v
			}
		}
		return ""
	}
	only, other := first(a.visited, b.visited), first(b.visited, a.visited)
	a.visited, b.visited = nil, nil
	return fmt.Sprintf("%+v with %q, plainly %+v with %q", a, only, b, other)
}

// plainly reads a text from its first line to its last without any shortcut:
// each line is dated and judged by a stamper that has seen no other.
func plainly(text []byte, win window, now time.Time, floor severity) account {
	s := &scan{source: sourceAt("x"), win: win, zones: zones{time.UTC, now}, partSize: partSize}
	var seen []string
	var r lineReader
	r.reset(bytes.NewReader(text))
	settled := newStamper("", s.zones, win)
	first, dated := settled.settle(&r)
	r.reset(bytes.NewReader(text))
	current, quotes, l := unstamped, openQuotes{}, line{scan: s}
	for {
		raw, cut, ok := r.next()
		if !ok {
			return accountOf(&s.tally, seen)
		}
		s.stamps = newStamper("", s.zones, win)
		s.stamps.habits = settled.habits
		l.text, l.said, l.word = raw, noLevel, 0
		if quotes.open && quotes.holds(raw) {
			l.kind, l.end = more, 0
		} else {
			current = s.sort(&l, raw, current, &quotes)
		}
		if current == before || current == after || current == unstamped && dated && first < win.from {
			continue
		}
		s.count(&l, cut)
		if current != inside {
			continue
		}
		if floor > noLevel {
			s.tally.noteLevel(&l)
		}
		if l.level() >= floor {
			seen = append(seen, string(l.text))
		}
	}
}

// quickly reads a file as a module does.
func quickly(t *testing.T, path string, win window, floor severity, part int64) account {
	t.Helper()
	var seen []string
	s := newScan(sourceAt(path), time.Unix(0, win.from), time.Unix(0, win.to), benchNow, func(l *line) { seen = append(seen, string(l.text)) })
	s.floor, s.partSize = floor, part
	got, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return accountOf(got, seen)
}

// TestShortcutsAreEqualToReadingEachLine reads logs of every writer, alone and
// mixed at random, with the memo, the passing of harmless lines, the search for
// the window and the reading in parts, and holds the result to the plain way.
func TestShortcutsAreEqualToReadingEachLine(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(15, 18))
	win := window{benchNow.Add(-time.Hour).UnixNano(), benchNow.UnixNano()}
	check := func(name, text string) {
		path := filepath.Join(t.TempDir(), "app.log")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, floor := range []severity{noLevel, errorLevel} {
			plain := plainly([]byte(text), win, benchNow, floor)
			for _, part := range []int64{partSize, 2 << 10} {
				if diff := quickly(t, path, win, floor, part).differs(plain); diff != "" {
					t.Errorf("%s, from %v, parts of %d: %s", name, floor, part, diff)
				}
			}
		}
	}
	for _, w := range writers {
		check(w.name, mix(r, []writer{w}, true, 400, benchNow.Add(-70*time.Minute), 10*time.Second))
		check(w.name+", quick", mix(r, []writer{w}, true, 400, benchNow.Add(-20*time.Minute), 300*time.Millisecond))
		check(w.name+", long", mix(r, []writer{w}, false, 5000, benchNow.Add(-3*time.Hour), 1700*time.Millisecond))
	}
	for i := range 40 {
		by := make([]writer, 2+r.IntN(4))
		names := make([]string, len(by))
		for j := range by {
			by[j] = writers[r.IntN(len(writers))]
			names[j] = by[j].name
		}
		check(fmt.Sprintf("mixture %d of %s", i, strings.Join(names, ", ")),
			mix(r, by, true, 100+r.IntN(600), benchNow.Add(-65*time.Minute), time.Duration(r.IntN(12000))*time.Millisecond))
	}
	if runtime.GOMAXPROCS(0) < 2 {
		t.Log("one processor: files were not read in parts")
	}
}

// FuzzShortcutsAreEqualToReadingEachLine looks for a text that a shortcut
// reads otherwise than the plain way.
func FuzzShortcutsAreEqualToReadingEachLine(f *testing.F) {
	r := rand.New(rand.NewPCG(15, 18))
	for _, w := range writers {
		f.Add([]byte(mix(r, []writer{w}, true, 5, benchNow.Add(-time.Hour), time.Second)))
	}
	f.Add([]byte(mix(r, writers, true, 40, benchNow.Add(-time.Hour), time.Second)))
	win := window{benchNow.Add(-2 * time.Hour).UnixNano(), benchNow.UnixNano()}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, floor := range []severity{noLevel, errorLevel} {
			var seen []string
			s := newScan(sourceAt("x"), time.Unix(0, win.from), time.Unix(0, win.to), benchNow, func(l *line) { seen = append(seen, string(l.text)) })
			s.floor, s.ctx = floor, t.Context()
			s.stamps = newStamper("", s.zones, s.win)
			s.settle(bytes.NewReader(text))
			s.reader.reset(bytes.NewReader(text))
			s.lines(0)
			if diff := accountOf(&s.tally, seen).differs(plainly(text, win, benchNow, floor)); diff != "" {
				t.Errorf("from %v: %s", floor, diff)
			}
		}
	})
}

// TestTheFilterPassesWhatAPatternTakes: a pattern's literals only save the
// trying of its expression.
func TestTheFilterPassesWhatAPatternTakes(t *testing.T) {
	t.Parallel()
	sets, err := patternSets()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var all []*patternSet
	for _, name := range SetNames() {
		all = append(all, sets[name])
		for _, p := range sets[name].Patterns {
			lines = append(append(lines, p.Match...), p.Never...)
		}
	}
	m, err := newMatcher(all...)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(15, 18))
	lines = append(lines, strings.Split(mix(r, writers, true, 3000, benchNow.Add(-time.Hour), time.Second), "\n")...)
	for _, n := range lines[:len(lines):len(lines)] {
		lines = append(lines, damaged(r, n+" "), strings.ToUpper(n), strings.ToLower(n), n+" "+lines[r.IntN(len(lines))])
	}
	for _, text := range lines {
		l := lineOf(text)
		found := m.match(l)
		for at, p := range m.patterns {
			takes := p.level != noLevel && l.level() >= p.level || p.expr != nil && p.matches(l.text)
			if takes != (found&(1<<at) != 0) {
				t.Errorf("%s takes %q: %v, behind the filter %v", p.Name, text, takes, !takes)
			}
		}
	}
}

// TestTheLevelIsFoundWhereverTheFormatPutsIt is what a shortcut got wrong: it
// took the first word behind the stamp for the level.
func TestTheLevelIsFoundWhereverTheFormatPutsIt(t *testing.T) {
	t.Parallel()
	for _, w := range writers {
		if w.name == "syslog without levels" || w.name == "nginx access" || w.name == "json with two stamps" {
			continue
		}
		var lines []string
		for i := range 55 {
			level := "info"
			if i >= 5 {
				level = "error"
			}
			lines = append(lines, w.line(benchNow.Add(-10*time.Minute+time.Duration(i)*50*time.Millisecond), level, 3*i))
		}
		res := count(t, logOf(t, lines...), nil)
		if res.Level != checks.Warn || factOf(res, "count") != "50" {
			t.Errorf("%s: %v, counted %s of 50 %s", w.name, res.Level, factOf(res, "count"), res.Err)
		}
	}
}
