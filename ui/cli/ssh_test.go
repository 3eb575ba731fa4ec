package cli_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/ui/screen"
)

// lookPath finds a component that a test needs, or skips, or fails where every
// component is required.
func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no %s on this machine", name)
	}
	return path
}

// sshd starts a real server on loopback and returns the client's arguments.
func sshd(t *testing.T) []string {
	t.Helper()
	return sshdIn(t, t.TempDir())
}

// sshdIn keeps its keys in a directory, which those who log in must be able to
// enter.
func sshdIn(t *testing.T, dir string) []string {
	t.Helper()
	server, client, keygen := lookPath(t, "sshd"), lookPath(t, "ssh"), lookPath(t, "ssh-keygen")
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("making a key: %v %s", err, out)
		}
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	config := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nAcceptEnv LC_* NO_COLOR\nPrintMotd no\nPrintLastLog no\n", port, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	until(t, "sshd listens", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return []string{client, "-tt", "-F", "none", "-p", fmt.Sprint(port), "-i", filepath.Join(dir, "user"), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "SendEnv=LC_ALL NO_COLOR", me.Username + "@127.0.0.1"}
}

// until polls for a condition of another process.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// remote is the command line of the deck on the other side.
func remote(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	site := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(site, []byte("schema: 1\nsite: far\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("exec %s --site %s --state %s", built(t), site, filepath.Join(dir, "state"))
}

func TestTheDeckOverSSH(t *testing.T) {
	ssh := sshd(t)
	t.Run("resizes, answers and leaves", func(t *testing.T) {
		term := screen.Start(t, 80, 24, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}, append(ssh, remote(t))...)
		term.WaitFor("SYSTEM")
		term.Resize(120, 40)
		term.WaitUntil("a frame of the new size", func(s string) bool {
			lines := strings.Split(s, "\n")
			return len(lines) > 30 && strings.Contains(lines[len(lines)-1]+lines[len(lines)-2], "help")
		})
		term.Send("?")
		term.WaitFor("all keys")
		term.Send("\x1b")
		term.WaitUntil("the help is gone", func(s string) bool { return !strings.Contains(s, "all keys") })
		term.Send("q")
		if code := term.Wait(); code != 0 {
			t.Errorf("exit %d", code)
		}
		if left := screen.Modes(term.Raw()); len(left) > 0 {
			t.Errorf("the terminal is left with %v", left)
		}
	})
	t.Run("is gone when the client is killed", func(t *testing.T) {
		command := remote(t)
		term := screen.Start(t, 80, 24, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, append(ssh, command)...)
		term.WaitFor("SYSTEM")
		site := strings.Fields(command)[3]
		if !running(site) {
			t.Fatal("the deck is not found among the processes")
		}
		term.Process().Signal(syscall.SIGKILL)
		until(t, "the remote deck has ended", func() bool { return !running(site) })
	})
	t.Run("in pure ASCII where the locale is C, without colour where none is wanted", func(t *testing.T) {
		env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C", "NO_COLOR=1"}
		term := screen.Start(t, 80, 24, env, append(ssh, remote(t))...)
		term.WaitFor("SYSTEM")
		term.Send("q")
		term.Wait()
		raw := string(term.Raw())
		for i := range len(raw) {
			if raw[i] >= 0x80 {
				t.Fatalf("byte %#x in the C locale, near %q", raw[i], raw[max(0, i-20):min(len(raw), i+20)])
			}
		}
		for _, colour := range []string{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[91m", "\x1b[1;31m", "\x1b[38;"} {
			if strings.Contains(raw, colour) {
				t.Errorf("%q although NO_COLOR is set", colour)
			}
		}
	})
}

// running reports whether a process has the argument.
func running(argument string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		raw, err := os.ReadFile(path)
		words := strings.Split(string(raw), "\x00")
		if err == nil && len(words) > 2 && strings.HasSuffix(words[0], "opsdeck") && strings.Contains(string(raw), "\x00"+argument+"\x00") {
			return true
		}
	}
	return false
}

// TestAnyKindOfTerminal: what TERM says never keeps the deck from working.
func TestAnyKindOfTerminal(t *testing.T) {
	for _, kind := range []string{"xterm-256color", "screen-256color", "tmux-256color", "linux", "vt100", "vt220", "dumb", "no-such-terminal"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			argv := append([]string{"/usr/bin/env", "TERM=" + kind}, strings.Fields(strings.TrimPrefix(remote(t), "exec "))...)
			term := screen.Start(t, 80, 24, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, argv...)
			term.WaitFor("SYSTEM")
			term.Send("q")
			if code := term.Wait(); code != 0 {
				t.Errorf("exit %d", code)
			}
			if left := screen.Modes(term.Raw()); len(left) > 0 {
				t.Errorf("the terminal is left with %v", left)
			}
		})
	}
}

// TestTheDeckInTmux: the sizes it must be useful at, in a real multiplexer.
func TestTheDeckInTmux(t *testing.T) {
	tmux := lookPath(t, "tmux")
	socket := filepath.Join(t.TempDir(), "tmux")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tmux, append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %s: %v %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("new-session", "-d", "-x", "80", "-y", "24", remote(t))
	t.Cleanup(func() { exec.Command(tmux, "-S", socket, "kill-server").Run() })
	for _, size := range []struct{ w, h, says string }{{"80", "24", "DATABASE"}, {"160", "45", "RUNBOOK"}, {"40", "10", "WORST"}, {"120", "40", "SERVICES"}} {
		run("resize-window", "-x", size.w, "-y", size.h)
		until(t, "the deck at "+size.w+"x"+size.h, func() bool { return strings.Contains(run("capture-pane", "-p"), size.says) })
	}
}
