package supervisor_test

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// aheadOf is a connection that a child of another user made and left to us.
func aheadOf(t *testing.T, socket string, uid uint32) net.Conn {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ours := os.NewFile(uintptr(fd), "socket")
	defer ours.Close()
	child := exec.Command("/proc/self/exe")
	child.Env, child.ExtraFiles = append(os.Environ(), "CONNECT="+socket), []*os.File{ours}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("connecting: %v %s", err, out)
	}
	conn, err := net.FileConn(ours)
	must(t, err)
	return conn
}

// TestASecondSignatureThroughAProcessThatEndedIsRefused: one person has a
// child of another user connect, which ends before its login can be read.
func TestASecondSignatureThroughAProcessThatEndedIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a child of another user needs root")
		}
		t.Skip("a child of another user needs root")
	}
	served := serveApart(t)
	served.stop(t) // it accepts when the child has ended
	conn := aheadOf(t, served.socket, nogroup)
	defer conn.Close()
	served.goOn(t)
	answers := bufio.NewScanner(conn)
	answers.Buffer(nil, 1<<20)
	ask := func(words string) string {
		t.Helper()
		_, err := conn.Write([]byte(words + "\n"))
		must(t, err)
		for answers.Scan() {
			if !strings.Contains(answers.Text(), `"news":`) || strings.Contains(answers.Text(), `"result":`) {
				return answers.Text()
			}
		}
		t.Fatalf("no answer to %s: %v", words, answers.Err())
		return ""
	}
	var hello struct {
		Result struct{ You runbooks.Actor }
	}
	must(t, json.Unmarshal([]byte(ask(`{"id":1,"method":"hello","params":{"protocol":1}}`)), &hello))
	if you := hello.Result.You; you.LoginState != runbooks.LoginUnreadable || you.UID != nogroup {
		t.Errorf("it is taken for %+v", you)
	}
	ask(`{"id":2,"method":"open","params":{"path":"daily.md","section":"all"}}`)
	if said := ask(`{"id":3,"method":"sign","handle":1,"params":{"text":"dba"}}`); !strings.Contains(said, "could not be read") {
		t.Errorf("it signed: %s", said)
	}
}
