package screen

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for something a program should do at once.
// It is generous: it is there to end a broken test, not to measure.
const patience = 20 * time.Second

// A Terminal is a program running on a pseudo-terminal. The terminal is
// silent: it shows what it is sent and answers no query, as behind a bad line.
type Terminal struct {
	t    testing.TB
	tty  *os.File
	cmd  *exec.Cmd
	gone chan struct{} // closed when the program has ended

	mu      sync.Mutex
	raw     bytes.Buffer
	shown   *vt.Emulator
	changed chan struct{} // closed and replaced with every byte
	stalled bool
	err     error
}

// Start runs a program on a new terminal of w columns and h rows. Its
// environment is env and TERM=xterm-256color alone. It is killed when the test ends.
func Start(t testing.TB, w, h int, env []string, argv ...string) *Terminal {
	t.Helper()
	heedHangUps()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	blocking, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(w), Rows: uint16(h)})
	if err != nil {
		t.Fatalf("starting %s on a terminal: %v", argv[0], err)
	}
	tty, err := pollable(blocking)
	if err != nil {
		t.Fatalf("opening the terminal: %v", err)
	}
	term := &Terminal{t: t, tty: tty, cmd: cmd, gone: make(chan struct{}), shown: vt.NewEmulator(w, h), changed: make(chan struct{})}
	go drain(term.shown)
	read := make(chan struct{})
	go func() { defer close(read); term.read() }()
	go func() { term.err = cmd.Wait(); <-read; close(term.gone) }()
	t.Cleanup(func() {
		// The program may have ended by itself, which is what is wanted.
		_ = cmd.Process.Kill()
		_ = tty.Close()
		<-term.gone
		if pipe, ok := term.shown.InputPipe().(io.Closer); ok {
			_ = pipe.Close() // ends drain; closing a pipe cannot fail
		}
	})
	return term
}

// heedHangUps undoes a SIGHUP that is ignored, as under nohup: whoever is
// started here would inherit that, and no terminal could hang it up.
func heedHangUps() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// pollable reopens a terminal so that closing it ends a read in progress; a
// hang-up would otherwise wait for the program to write once more.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), f.Close()
}

// drain throws away what the emulator would answer to queries.
func drain(e *vt.Emulator) {
	buf := make([]byte, 256)
	for {
		if _, err := e.Read(buf); err != nil {
			return
		}
	}
}

func (t *Terminal) read() {
	buf := make([]byte, 64<<10)
	for {
		if t.stall() {
			return
		}
		n, err := t.tty.Read(buf)
		t.mu.Lock()
		t.raw.Write(buf[:n])
		write(t.shown, string(buf[:n]))
		close(t.changed)
		t.changed = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return // EIO: the program has closed its side
		}
	}
}

func (t *Terminal) stall() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stalled
}

// Stall makes the terminal take nothing any more, as a broken line does before
// anyone notices.
func (t *Terminal) Stall() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stalled = true
}

// Raw is every byte the program has sent.
func (t *Terminal) Raw() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.raw.Bytes())
}

// Screen is what is shown now.
func (t *Terminal) Screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return text(t.shown)
}

// Send types keys: "q", "\r" for enter, "\x1b" for escape, "\x03" for ctrl-c.
func (t *Terminal) Send(keys string) {
	t.t.Helper()
	if _, err := t.tty.WriteString(keys); err != nil {
		t.t.Fatalf("typing %q: %v", keys, err)
	}
}

// Resize changes the size of the terminal.
func (t *Terminal) Resize(w, h int) {
	t.t.Helper()
	if err := t.setSize(w, h); err != nil {
		t.t.Fatalf("resizing the terminal: %v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown.Resize(w, h)
}

// setSize goes around File.Fd, which would make the terminal block again.
func (t *Terminal) setSize(w, h int) error {
	conn, err := t.tty.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(w), Row: uint16(h)})
	})
	return errors.Join(err, failed)
}

// WaitFor waits until the screen shows a text, and returns the screen.
func (t *Terminal) WaitFor(want string) string {
	t.t.Helper()
	return t.WaitUntil("show "+want, func(screen string) bool { return strings.Contains(screen, want) })
}

// WaitUntil waits until the screen is as it should be, and returns it.
func (t *Terminal) WaitUntil(what string, is func(screen string) bool) string {
	t.t.Helper()
	late := time.After(patience)
	for {
		t.mu.Lock()
		shown, changed := text(t.shown), t.changed
		t.mu.Unlock()
		if is(shown) {
			return shown
		}
		select {
		case <-changed:
		case <-t.gone:
			if is(t.Screen()) {
				return t.Screen()
			}
			t.t.Fatalf("the program ended (%v) and did not %s; it sent %q and showed:\n%s", t.err, what, tail(t.Raw()), t.Screen())
		case <-late:
			t.t.Fatalf("the program did not %s within %s; it shows:\n%s", what, patience, t.Screen())
		}
	}
}

// Wait waits for the program to end and returns its exit code, -1 if a signal
// ended it.
func (t *Terminal) Wait() int {
	t.t.Helper()
	select {
	case <-t.gone:
	case <-time.After(patience):
		t.t.Fatalf("the program has not ended after %s; it shows:\n%s", patience, t.Screen())
	}
	var exit *exec.ExitError
	if t.err != nil && !errors.As(t.err, &exit) {
		t.t.Fatalf("waiting for the program: %v", t.err)
	}
	return t.cmd.ProcessState.ExitCode()
}

// HangUp drops the line, as a lost SSH connection does.
func (t *Terminal) HangUp() {
	t.t.Helper()
	if err := t.tty.Close(); err != nil {
		t.t.Fatalf("closing the terminal: %v", err)
	}
}

// Process is the running program, for signals.
func (t *Terminal) Process() *os.Process { return t.cmd.Process }

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// Queries lists the questions to the terminal that are in a program's output:
// each of them would wait for an answer that may never come.
func Queries(raw []byte) []string {
	var found []string
	for name, seq := range map[string]string{
		"background colour (OSC 11)": "\x1b]11;?", "foreground colour (OSC 10)": "\x1b]10;?",
		"cursor position (CPR)": "\x1b[6n", "device attributes (DA1)": "\x1b[c", "device attributes (DA2)": "\x1b[>c",
	} {
		if bytes.Contains(raw, []byte(seq)) {
			found = append(found, name)
		}
	}
	return found
}

// stall is below the five seconds that a query without an answer costs,
// and well above what a start takes on a loaded machine.
const stall = 4500 * time.Millisecond

// AsksNothing starts a program on a silent terminal, waits until it shows
// want, and fails if it asked the terminal anything or stalled before. It
// returns the terminal for whatever else is to be tried.
func AsksNothing(t testing.TB, want string, env []string, argv ...string) *Terminal {
	t.Helper()
	begin := time.Now()
	term := Start(t, 80, 24, env, argv...)
	term.WaitFor(want)
	if took := time.Since(begin); took > stall {
		t.Errorf("%s took %s to show anything on a silent terminal", argv[0], took.Round(time.Millisecond))
	}
	if asked := Queries(term.Raw()); len(asked) > 0 {
		t.Errorf("%s asks the terminal: %v", argv[0], asked)
	}
	return term
}

// Modes lists the modes of the terminal that a program has left on at its end:
// the alternate screen, a hidden cursor, bracketed paste, the mouse.
func Modes(raw []byte) []string {
	var left []string
	for _, mode := range []struct{ name, on, off string }{
		{"alternate screen", "\x1b[?1049h", "\x1b[?1049l"}, {"hidden cursor", "\x1b[?25l", "\x1b[?25h"},
		{"bracketed paste", "\x1b[?2004h", "\x1b[?2004l"}, {"mouse", "\x1b[?1000h", "\x1b[?1000l"},
	} {
		if bytes.LastIndex(raw, []byte(mode.on)) > bytes.LastIndex(raw, []byte(mode.off)) {
			left = append(left, mode.name)
		}
	}
	return left
}
