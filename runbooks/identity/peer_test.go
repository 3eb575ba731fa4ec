package identity

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestMain connects the socket that it inherited when it is asked to, and stays
// until its standard input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv("CONNECT"); path != "" {
		if err := unix.Connect(3, &unix.SockaddrUnix{Name: path}); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("connected\n") //nolint:errcheck // the test would wait and fail
		io.Copy(io.Discard, os.Stdin)        //nolint:errcheck // it ends with the test
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// caller is a connection that a child made; we hold its other end, as whoever
// sent a child ahead would.
type caller struct {
	conn *net.UnixConn // as a supervisor accepts it
	cmd  *exec.Cmd
	stay io.Closer
}

// call has a child of that user connect to a socket of ours.
func call(t *testing.T, uid int) caller {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer") // short: an address has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { socket.Close() })
	if err := errors.Join(os.Chmod(dir, 0o711), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CONNECT="+path)
	cmd.ExtraFiles = []*os.File{socket}
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	stay, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stay.Close(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("the child did not connect: %v", err)
	}
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return caller{conn, cmd, stay}
}

// ends kills the child. One that is not waited for stays a zombie, whose entry
// in /proc can still be read.
func (c caller) ends(t *testing.T, wait bool) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if wait {
		c.cmd.Wait()
		return
	}
	pidfd, err := unix.PidfdOpen(c.cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 10_000); err != nil {
		t.Fatal(err)
	}
}

// ways are those of finding the peer's process.
var ways = map[string]func(int, unix.Ucred) (int, error){"kept by the kernel": heldByKernel, "found by its id": heldByID}

// own is what the kernel says of this process, which its children inherit.
func own(t *testing.T) (string, runbooks.LoginState) {
	t.Helper()
	who := Current()
	if who.LoginState == runbooks.LoginUnreadable {
		t.Skipf("no login can be read on this host: %s", who.LoginWhy)
	}
	return who.Login, who.LoginState
}

func TestTheLoginOfAProcessThatLivesIsRead(t *testing.T) {
	login, state := own(t)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := call(t, os.Getuid())
			who, err := peer(c.conn, SinceBoot(), way, "")
			if err != nil || who.LoginState != state || who.Login != login || who.UID != os.Getuid() || who.LoginWhy != "" {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// TestAClientThatEndedBeforeItsLoginWasReadHasNone although its user is known:
// the login is neither set nor unset, it is unreadable.
func TestAClientThatEndedBeforeItsLoginWasReadHasNone(t *testing.T) {
	for name, way := range ways {
		for _, waited := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, waited for %v", name, waited), func(t *testing.T) {
				c := call(t, os.Getuid())
				c.ends(t, waited)
				who, err := peer(c.conn, SinceBoot(), way, "")
				if err != nil || who.LoginState != runbooks.LoginUnreadable || who.Login != "" || who.UID != os.Getuid() {
					t.Errorf("%+v, %v", who, err)
				}
				if !strings.Contains(who.LoginWhy, errEnded.Error()) {
					t.Errorf("it does not say why: %q", who.LoginWhy)
				}
			})
		}
	}
}

func TestTheUserIsTheOneThatConnected(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a child of another user needs root")
		}
		t.Skip("a child of another user needs root")
	}
	const uid = 65534
	c := call(t, uid)
	if who, err := Peer(c.conn, SinceBoot()); err != nil || who.UID != uid || who.LoginState == runbooks.LoginUnreadable {
		t.Errorf("%+v, %v", who, err)
	}
}

// TestAnotherProcessUnderTheIDIsNotThePeer: the user has changed, it began
// after the connection, or what /proc shows cannot be read.
func TestAnotherProcessUnderTheIDIsNotThePeer(t *testing.T) {
	c := call(t, os.Getuid())
	pid := strconv.Itoa(c.cmd.Process.Pid)
	stat := pid + " (a) b) S" + strings.Repeat(" 1", 18) + " 100 " + strings.Repeat("1 ", 30)
	status := fmt.Sprintf("Name:\tx\nUid:\t7\t%d\t7\t7\n", os.Getuid())
	for name, f := range map[string]struct {
		stat, status, loginuid string
		accepted               time.Duration
		want                   runbooks.LoginState
		why                    string
	}{
		"as it is":            {stat, status, "1000", time.Second, runbooks.LoginKnown, ""},
		"no login":            {stat, status, "4294967295", time.Second, runbooks.LoginUnset, ""},
		"another user":        {stat, "Uid:\t0\t4711\t0\t0\n", "1000", time.Second, runbooks.LoginUnreadable, "acts as user 4711"},
		"no users":            {stat, "Name:\tx\n", "1000", time.Second, runbooks.LoginUnreadable, "no user ids"},
		"begun after it":      {stat, status, "1000", time.Second - 1, runbooks.LoginUnreadable, "began after"},
		"no start":            {"1 (x) S 1", status, "1000", time.Second, runbooks.LoginUnreadable, "no start time"},
		"half a login":        {stat, status, "", time.Second, runbooks.LoginUnreadable, "not a number"},
		"a login of words":    {stat, status, "ada", time.Second, runbooks.LoginUnreadable, "not a number"},
		"a kernel without it": {stat, status, "-", time.Second, runbooks.LoginUnreadable, "shows no login id"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, pid), 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{"stat": f.stat, "status": f.status, "loginuid": f.loginuid} {
				if text == "-" {
					continue
				}
				if err := os.WriteFile(filepath.Join(root, pid, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			who, err := peer(c.conn, f.accepted, heldByID, proc(root))
			if err != nil || who.LoginState != f.want || !strings.Contains(who.LoginWhy, f.why) || (f.why == "") != (who.LoginWhy == "") {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// TestAClientThatEndsWhileItsLoginIsReadHasNone: the last look finds it gone.
func TestAClientThatEndsWhileItsLoginIsReadHasNone(t *testing.T) {
	c := call(t, os.Getuid())
	pidfd, err := heldByID(0, unix.Ucred{Pid: int32(c.cmd.Process.Pid)})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	root := t.TempDir()
	pid := strconv.Itoa(c.cmd.Process.Pid)
	if err := os.Mkdir(filepath.Join(root, pid), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, pid, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", pid+" (x) S"+strings.Repeat(" 1", 40))
	write("status", fmt.Sprintf("Uid:\t0\t%d\t0\t0\n", os.Getuid()))
	login := filepath.Join(root, pid, "loginuid")
	if err := unix.Mkfifo(login, 0o600); err != nil {
		t.Fatal(err)
	}
	who := runbooks.Actor{LoginState: runbooks.LoginUnreadable}
	done := make(chan struct{})
	go func() {
		defer close(done)
		proc(root).prove(pidfd, unix.Ucred{Pid: int32(c.cmd.Process.Pid), Uid: uint32(os.Getuid())}, time.Hour, &who)
	}()
	in, err := os.OpenFile(login, os.O_WRONLY, 0) // returns when it is being read
	if err != nil {
		t.Fatal(err)
	}
	c.ends(t, true)
	in.WriteString("1000")
	in.Close()
	<-done
	if who.LoginState != runbooks.LoginUnreadable || who.Login != "" || who.LoginWhy != errEnded.Error() {
		t.Errorf("%+v", who)
	}
}
