package ui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"
)

// words are what random screens are made of: plain, styled, wide, joined, and
// with the unusual styles that no pane uses but a line may come to hold.
var words = []string{
	"cpu", " ", "  ", "      ", "31 %", "─", "│", "▁▂▃", "⣿", "é", "•", "…", "\x1b[1;31mcrit\x1b[0m", "\x1b[2m usual 12 %\x1b[0m",
	"\x1b[7m chosen \x1b[m", "\x1b[44m   \x1b[0m", "\x1b[1m\x1b[38;5;208mboth\x1b[0m", "\x1b[4mopen", "\x1b[0m", "中文", "👩‍💻", "🇩🇪", "e\u0301", "✔\ufe0f", "ok",
}

func randomLine(r *rand.Rand, w int) string {
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return cut(b.String(), w)
}

// cut makes a line fit. The emulator wraps too early after a joined character,
// so that a line which has one does not fill the last columns.
func cut(line string, w int) string {
	line = pane.Cut(line, w, "") + "\x1b[0m"
	if _, plain := cells(nil, line); !plain {
		line = pane.Cut(line, max(0, w-6), "") + "\x1b[0m"
	}
	return line
}

// altered is a screen in which a few lines differ, most of them by a word.
func altered(r *rand.Rand, lines []string, w int) []string {
	next := append([]string(nil), lines...)
	for range r.IntN(4) {
		y := r.IntN(len(next))
		old, word := words[r.IntN(len(words))], words[r.IntN(len(words))]
		if changed := strings.Replace(next[y], old, word, 1); changed != next[y] {
			next[y] = cut(changed, w)
			continue
		}
		next[y] = randomLine(r, w)
	}
	return next
}

// shown is what a terminal shows, cell by cell, styles and all.
func shown(t *testing.T, w, h int, e *vt.Emulator) []string {
	t.Helper()
	var list []string
	for y := range h {
		for x := range w {
			c := e.CellAt(x, y)
			text := c.Content
			if c.Width == 1 && text == "" {
				text = " "
			}
			list = append(list, fmt.Sprintf("%d,%d %q %s", y, x, text, c.Style.String()))
		}
	}
	return list
}

// whole is what a terminal shows of a screen that is sent to it at once.
func whole(t *testing.T, w, h int, text string) []string {
	t.Helper()
	e := vt.NewEmulator(w, h)
	for y, line := range strings.Split(text, "\n") {
		if _, err := fmt.Fprintf(e, "\x1b[%dH%s\x1b[m", y+1, line); err != nil {
			t.Fatal(err)
		}
	}
	return shown(t, w, h, e)
}

func TestThePaintedScreenIsTheView(t *testing.T) {
	for seed := range uint64(pick(testing.Short(), 10, 60)) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, h := 1+r.IntN(60), 1+r.IntN(8)
		e := vt.NewEmulator(w, h)
		var c canvas
		epoch, lines := 1, make([]string, h)
		for step := range 60 {
			if r.IntN(15) == 0 {
				w, h = 1+r.IntN(60), 1+r.IntN(8)
				e.Resize(w, h)
				epoch++
				lines = make([]string, h)
			}
			lines = altered(r, lines, w)
			text := strings.Join(lines, "\n")
			sent := c.draw(frame{epoch: epoch, text: text})
			if _, err := e.Write(sent); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole(t, w, h, text), shown(t, w, h, e)); diff != "" {
				t.Fatalf("seed %d, step %d, %dx%d: %q\nsent %q\n%s", seed, step, w, h, text, sent, diff)
			}
		}
	}
}

// TestThePaintedDeckIsTheView plays the deck itself, hostile data included.
func TestThePaintedDeckIsTheView(t *testing.T) {
	drive(t, hostile(), small, theme.Options{Color: theme.Sixteen}, liveDeck(), func(d *driver) {
		e := vt.NewEmulator(small.W, small.H)
		var c canvas
		size := small
		for i, key := range []string{"", "j", "1", "z", "?", "esc", "j", "esc", "0", "enter", "j", "esc", ":", "x", "esc", "/", "a", "esc"} {
			if i%6 == 5 {
				size.W, size.H = size.W+7*(i%4)-10, size.H+3
				e.Resize(size.W, size.H)
				d.send(tea.WindowSizeMsg{Width: size.W, Height: size.H})
			}
			if key != "" {
				d.press(key)
			}
			s := hostile()
			s.Seq += uint64(100 + i)
			d.monitor.publish(s)
			d.pass(time.Second)
			if _, err := e.Write(c.draw(frame{epoch: d.m.epoch, text: d.m.View()})); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole(t, size.W, size.H, d.m.View()), shown(t, size.W, size.H, e)); diff != "" {
				t.Fatalf("after %q: %s", key, diff)
			}
		}
	})
}

func TestOnlyWhatDiffersIsSent(t *testing.T) {
	for _, tt := range []struct{ name, was, is, want string }{
		{"nothing", "a\nb", "a\nb", ""},
		{"one cell", "cpu 31 %\nb", "cpu 32 %\nb", "\x1b[1;6H2"},
		{"a cell of a style", "x\ncpu \x1b[1;31m31\x1b[0m %", "x\ncpu \x1b[1;31m32\x1b[0m %", "\x1b[2;6H\x1b[1;31m2\x1b[m"},
		{"two cells far apart", "1 23456789 1", "2 23456789 2", "\x1b[1H2\x1b[10C2"},
		{"two cells close by", "1 23 1", "2 23 2", "\x1b[1H2 23 2"},
		{"a shorter line", "up 2m, 7 restarts", "up 2m", "\x1b[1;6H\x1b[K"},
		{"a longer line", "up 2m", "up 2m, 7", "\x1b[1;6H, 7"},
		{"a line with wide characters", "a 中 1", "a 中 2", "\x1b[1H\x1b[Ka 中 2\x1b[m"},
		{"only the style", "\x1b[1mok\x1b[0m", "ok", "\x1b[1Hok"},
	} {
		var c canvas
		c.draw(frame{text: tt.was})
		if got := string(c.draw(frame{text: tt.is})); got != tt.want {
			t.Errorf("%s: sent %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzCanvas(f *testing.F) {
	f.Add("cpu 31 %", "cpu 32 %")
	f.Add("\x1b[1;31mcrit\x1b[0m 中", "\x1b[1;31mcr\x1b[")
	f.Add("\xff\x1b]52;c;\x07", "e\u0301\u200d")
	f.Fuzz(func(t *testing.T, was, is string) {
		var c canvas
		c.draw(frame{text: was})
		sent := string(c.draw(frame{text: is}))
		if (sent == "") != (was == is) && !strings.ContainsAny(was+is, "\x1b \n") {
			t.Errorf("%q to %q sent %q", was, is, sent)
		}
		if again := c.draw(frame{text: is}); len(again) > 0 {
			t.Errorf("%q again sent %q", is, again)
		}
	})
}

// painting runs a painter in a bubble over a terminal that remembers.
func painting(t *testing.T, tty Terminal, play func(p *painter)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPainter(newMeter(tty), slog.New(slog.DiscardHandler))
		go p.run()
		play(p)
		p.stop()
		<-p.ended
	})
}

func TestThePainterSleepsWhileNothingChanges(t *testing.T) {
	tty := &fakeTerminal{}
	painting(t, tty, func(p *painter) {
		p.show(frame{epoch: 1, text: "one"})
		time.Sleep(time.Second)
		if got, want := tty.String(), enter+"\x1b[2J\x1b[1Hone"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		before := tty.String()
		p.show(frame{epoch: 1, text: "one"})
		time.Sleep(time.Hour)
		if got := tty.String(); got != before {
			t.Errorf("sent %q for nothing", got[len(before):])
		}
	})
}

func TestScreensInQuickSuccessionAreOnePaint(t *testing.T) {
	tty := &fakeTerminal{}
	painting(t, tty, func(p *painter) {
		p.show(frame{text: "0"})
		synctest.Wait()
		for i := range 10 {
			p.show(frame{text: fmt.Sprint("x", i)})
			synctest.Wait()
		}
		time.Sleep(breath)
		synctest.Wait()
		if got, want := tty.String(), enter+"\x1b[1H0"+"\x1b[1Hx9"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestNothingIsWrittenAfterTheTerminalWasRestored(t *testing.T) {
	tty := &fakeTerminal{}
	var after *painter
	painting(t, tty, func(p *painter) { after = p })
	if _, err := after.out.Write([]byte("late")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a late write gave %v", err)
	}
	if got := tty.String(); got != enter+restore {
		t.Errorf("sent %q", got)
	}
}

// fragileTerminal panics on the first frame.
type fragileTerminal struct{ fakeTerminal }

func (f *fragileTerminal) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("boom")) {
		panic("boom")
	}
	return f.fakeTerminal.Write(p)
}

func TestAPanicOfThePainterRestoresTheTerminal(t *testing.T) {
	tty := &fragileTerminal{}
	painting(t, tty, func(p *painter) {
		p.show(frame{text: "boom"})
		<-p.ended
		if p.err == nil || !strings.Contains(p.err.Error(), "boom") {
			t.Errorf("the error is %v", p.err)
		}
	})
	if got := tty.String(); got != enter+restore {
		t.Errorf("sent %q", got)
	}
}

func BenchmarkDrawAfterTick(b *testing.B) {
	m := benchModel(pane.Size{W: 120, H: 40})
	var c canvas
	at := night
	for b.Loop() {
		at = at.Add(time.Second)
		m.Update(tickMsg(at))
		_, _ = io.Discard.Write(c.draw(frame{text: m.View()})) // never fails
	}
}
