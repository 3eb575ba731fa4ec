package ui

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

// A driver holds a deck: keys in, screen out. It must run in a synctest
// bubble: commands run until everything is idle, ticks by the fake clock.
type driver struct {
	t       *testing.T
	m       *Model
	monitor *fakeMonitor
	tty     *fakeTerminal
	log     bytes.Buffer
	msgs    chan tea.Msg
	quit    bool
	ctx     context.Context
	painted canvas // what the terminal shows
	wire    int    // bytes sent for it
}

// fakeTerminal swallows and counts what is written.
type fakeTerminal struct {
	mu   sync.Mutex
	sent bytes.Buffer
}

func (f *fakeTerminal) Read([]byte) (int, error) { return 0, io.EOF }
func (f *fakeTerminal) Close() error             { return nil }
func (f *fakeTerminal) Fd() uintptr              { return ^uintptr(0) }
func (f *fakeTerminal) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent.Write(p)
}

func (f *fakeTerminal) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent.String()
}

func newTheme(o theme.Options) *theme.Theme { return theme.New(lipgloss.NewRenderer(io.Discard), o) }

// drive starts a deck over a snapshot in a bubble. The clock stands at night.
func drive(t *testing.T, s watch.Snapshot, size pane.Size, o theme.Options, specs []pane.Spec, play func(*driver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := &driver{t: t, monitor: newFakeMonitor(s), tty: &fakeTerminal{}, msgs: make(chan tea.Msg, 100)}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		d.ctx = ctx
		d.m = newModel(ctx, Deps{
			Monitor: d.monitor, Panes: specs, Theme: newTheme(o), Host: "web1", Site: "PROD", User: "dana via ssh",
			Now: func() time.Time { return night.Add(time.Since(start)) }, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
			LogPath: "/var/log/deck.log", SelfCost: func() Cost { return Cost{CPU: 0.6, RSS: 11 << 20} }, Terminal: d.tty,
		})
		d.run(d.m.Init())
		d.send(tea.WindowSizeMsg{Width: size.W, Height: size.H})
		play(d)
	})
}

// run starts a command and gives the deck what comes of it, until all is idle.
func (d *driver) run(cmd tea.Cmd) {
	d.start(cmd)
	d.settle()
}

func (d *driver) start(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		select {
		case d.msgs <- cmd():
		case <-d.ctx.Done():
		}
	}()
}

func (d *driver) settle() {
	for {
		synctest.Wait()
		select {
		case msg := <-d.msgs:
			d.take(msg)
		default:
			return
		}
	}
}

func (d *driver) take(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.QuitMsg:
		d.quit = true
	case tea.BatchMsg:
		for _, cmd := range msg {
			d.start(cmd)
		}
	default:
		_, cmd := d.m.Update(msg)
		d.paint(d.m.View())
		d.start(cmd)
	}
}

// paint sends a screen as the painter does, but every one of them.
func (d *driver) paint(view string) {
	sent := d.painted.draw(frame{epoch: d.m.epoch, text: view})
	d.wire += len(sent)
	if _, err := d.m.meter.Write(sent); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) send(msg tea.Msg) {
	d.take(msg)
	d.settle()
}

// press sends keys: names such as "enter", or letters.
func (d *driver) press(keys ...string) {
	d.t.Helper()
	for _, k := range keys {
		d.send(keyMsg(k))
	}
}

// typeText sends a text letter by letter.
func (d *driver) typeText(text string) {
	for _, r := range text {
		d.send(keyMsg(string(r)))
	}
}

func keyMsg(name string) tea.KeyMsg {
	for typ, known := range map[tea.KeyType]string{
		tea.KeyEnter: "enter", tea.KeyEsc: "esc", tea.KeyTab: "tab", tea.KeyShiftTab: "shift+tab", tea.KeyUp: "up", tea.KeyDown: "down",
		tea.KeyCtrlC: "ctrl+c", tea.KeyCtrlD: "ctrl+d", tea.KeyBackspace: "backspace", tea.KeySpace: " ", tea.KeyLeft: "left", tea.KeyRight: "right",
	} {
		if known == name {
			if typ == tea.KeySpace {
				return tea.KeyMsg{Type: typ, Runes: []rune{' '}}
			}
			return tea.KeyMsg{Type: typ}
		}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// pass lets time go by.
func (d *driver) pass(t time.Duration) {
	for end := time.Now().Add(t); ; {
		step := min(100*time.Millisecond, time.Until(end))
		if step <= 0 {
			return
		}
		time.Sleep(step)
		d.settle()
	}
}

// screen is what is shown, without styles.
func (d *driver) screen() string { return ansi.Strip(d.m.View()) }

// line is one line of the screen.
func (d *driver) line(y int) string { return strings.Split(d.screen(), "\n")[y] }

func (d *driver) shows(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if !strings.Contains(d.screen(), text) {
			d.t.Errorf("the screen does not show %q:\n%s", text, d.screen())
		}
	}
}

func (d *driver) hides(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if strings.Contains(d.screen(), text) {
			d.t.Errorf("the screen shows %q:\n%s", text, d.screen())
		}
	}
}
