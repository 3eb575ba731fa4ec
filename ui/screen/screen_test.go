package screen

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestTextIsWhatATerminalShows(t *testing.T) {
	got := Text("\x1b[1;31m!!\x1b[0m disk\n中文 ok\x1b[2;1Hover\nlost", 12, 2)
	if want := "!! disk\nover ok"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPicturesAreWellFormedAndKeepStyles(t *testing.T) {
	svg := SVG("\x1b[1;31m!!\x1b[0m <disk> & \x1b[7mcursor\x1b[0m", 40, 3)
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	for _, want := range []string{`&lt;disk&gt; &amp;`, `font-weight="bold"`, palette[1], `fill="` + background + `"`, `>cursor<`} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture has no %s:\n%s", want, svg)
		}
	}
}

func TestProgramsOnATerminal(t *testing.T) {
	term := Start(t, 40, 5, nil, "sh", "-c", `stty size; read a; echo "got $a"; exit 3`)
	term.WaitFor("5 40")
	term.Send("word\r")
	term.WaitFor("got word")
	if code := term.Wait(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestHangUpReachesTheProgram(t *testing.T) {
	term := Start(t, 40, 5, nil, "sh", "-c", `echo ready; exec sleep 60`)
	term.WaitFor("ready")
	term.HangUp()
	if code := term.Wait(); code != -1 {
		t.Errorf("exit code %d, want an end by SIGHUP", code)
	}
	if ws, ok := term.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGHUP {
		t.Errorf("ended by %v", term.cmd.ProcessState)
	}
}

func TestQueriesAndModesAreFound(t *testing.T) {
	raw := []byte("\x1b]11;?\x07\x1b[6n\x1b[?1049h\x1b[?25l\x1b[?25h")
	if got := Queries(raw); len(got) != 2 {
		t.Errorf("queries: %v", got)
	}
	if got := Modes(raw); !slices.Equal(got, []string{"alternate screen"}) {
		t.Errorf("modes: %v", got)
	}
}
