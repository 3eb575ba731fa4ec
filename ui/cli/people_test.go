package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

const guarded = "---\nrunbook: guarded\nschema: 1\n---\n# Guarded\n```yaml section\nid: guarded\ncadence: none\n```\n" +
	"- [ ] Act\n```yaml action\nid: act\nuse: cmd.run\nwith: {command: act}\ndanger: 3\nundo: none\ntimeout: 1m\n```\n"

// client does one thing at a run, from another process and perhaps as another
// user: client SOCKET BOOK SECTION ITEM VERB. It prints a line of JSON.
func client() {
	registry, err := checks.NewRegistry(families()...)
	if err != nil {
		fatal(err)
	}
	source, err := os.ReadFile(os.Args[2])
	if err != nil {
		fatal(err)
	}
	book, _ := markdown.Parse(filepath.Base(os.Args[2]), source, markdown.Options{Registry: registry})
	c := &supervisor.Client{Socket: os.Args[1], Version: "test"}
	s, err := c.Open(context.Background(), book, os.Args[3])
	if err != nil {
		fatal(err)
	}
	defer s.Close()
	if err := clientDoes(s, os.Args[4], os.Args[5]); err != nil {
		fatal(err)
	}
	it, _ := s.Run().Item(os.Args[4])
	json.NewEncoder(os.Stdout).Encode(map[string]any{"state": it.State, "you": s.You()})
}

func clientDoes(s *supervisor.Session, item, verb string) error {
	it, _ := s.Run().Item(item)
	a, _ := it.Latest()
	switch verb {
	case "arm":
		return s.Arm(context.Background(), item)
	case "sign":
		return s.Sign(item, "dba")
	case "start":
		return s.Start(item)
	case "approve":
		return s.Approve(item, a.Armed.Preview.Target, a.Armed.Hash)
	case "wait":
		for end := time.Now().Add(60 * time.Second); time.Now().Before(end) && !it.State.Decided(); time.Sleep(20 * time.Millisecond) {
			it, _ = s.Run().Item(item)
		}
	}
	return nil
}

func fatal(err error) {
	fmt.Println(err)
	os.Exit(1)
}

// people are real users of this host, made for the test.
type people struct {
	t    *testing.T
	dir  string
	ssh  string
	args []string
}

// newUser makes a user who can log in by key, and removes it afterwards.
func newUser(t *testing.T, name string, groups ...string) *user.User {
	t.Helper()
	args := []string{"--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh", "--no-user-group", "--gid", "nogroup"}
	if len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	if out, err := exec.Command(lookPath(t, "useradd"), append(args, name)...).CombinedOutput(); err != nil {
		t.Fatalf("useradd %s: %v %s", name, err, out)
	}
	t.Cleanup(func() { exec.Command("userdel", "--force", name).Run() })
	// A password that nobody knows, and not a locked account: sshd refuses those.
	if out, err := exec.Command("usermod", "--password", "*", name).CombinedOutput(); err != nil {
		t.Fatalf("usermod %s: %v %s", name, err, out)
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// as runs a program over ssh as somebody.
func (p *people) as(name string, command ...string) (string, error) {
	args := append(append([]string{}, p.args...), name+"@127.0.0.1", strings.Join(command, " "))
	out, err := exec.Command(p.ssh, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestTwoPeopleAtAnInstalledSupervisor: it runs as a user of its own; ada and
// bob come over ssh; an action of danger 3 needs both, and neither can touch
// the record.
func TestTwoPeopleAtAnInstalledSupervisor(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("making users needs root")
		}
		t.Skip("making users needs root")
	}
	mark := strconv.FormatInt(time.Now().UnixNano()%1_000_000, 36)
	group := "odg" + mark
	if out, err := exec.Command(lookPath(t, "groupadd"), group).CombinedOutput(); err != nil {
		t.Fatalf("groupadd: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("groupdel", group).Run() })
	service, ada, bob, eve := newUser(t, "ods"+mark, group), newUser(t, "oda"+mark, group), newUser(t, "odb"+mark, group), newUser(t, "ode"+mark)

	dir, err := os.MkdirTemp("/var/lib", "opsdeck-test-") // no directory on the way is anybody's but root's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(service.Uid)
	g, err := user.LookupGroup(group)
	if err != nil {
		t.Fatal(err)
	}
	gid, _ := strconv.Atoi(g.Gid)
	program, driver := filepath.Join(dir, "opsdeck"), filepath.Join(dir, "client")
	copyProgram(t, built(t), program)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, self, driver)
	for name, mode := range map[string]os.FileMode{"state": 0o700, "run": 0o750, "own": 0o700, "runbooks": 0o755} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if name != "runbooks" {
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	socket, effects := filepath.Join(dir, "run", "s.sock"), filepath.Join(dir, "own", "effects")
	files := map[string]string{
		"opsdeck.yaml":        fmt.Sprintf("schema: 1\nsite: shared\nsupervisor: {socket: %s}\ncommands:\n  act: {argv: [%s], danger: 3, timeout: 30s}\n", socket, filepath.Join(dir, "act.sh")),
		"act.sh":              "#!/bin/sh\nid -un >> " + effects + "\nsleep 1\n",
		"runbooks/guarded.md": guarded,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, 0o755)
	}
	os.Chmod(dir, 0o755)
	site := filepath.Join(dir, "opsdeck.yaml")
	supervised := exec.Command(program, "supervise", "--site", site, "--state", filepath.Join(dir, "state"), "--runbooks", filepath.Join(dir, "runbooks"), "--group", group, "--idle", "0")
	supervised.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin", "USER=root"} // what the environment claims is nobody's word
	supervised.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	supervised.Stderr = log
	if err := supervised.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		supervised.Process.Signal(syscall.SIGTERM)
		supervised.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("the supervisor said: %s", said)
		}
	})
	until(t, "the socket is there", func() bool { _, err := net.Dial("unix", socket); return err == nil })

	p := &people{t: t, dir: dir}
	all := sshdIn(t, dir)
	p.ssh = all[0]
	for _, a := range all[1 : len(all)-1] {
		if a != "-tt" {
			p.args = append(p.args, a)
		}
	}
	does := func(who *user.User, what string) (string, error) {
		return p.as(who.Username, driver, socket, filepath.Join(dir, "runbooks", "guarded.md"), "guarded", "act", what)
	}
	ok := func(who *user.User, what string) string {
		t.Helper()
		out, err := does(who, what)
		if err != nil {
			t.Fatalf("%s %s: %v %s", who.Username, what, err, out)
		}
		return out
	}
	refused := func(who *user.User, what, why string) {
		t.Helper()
		if out, err := does(who, what); err == nil || !strings.Contains(out, why) {
			t.Errorf("%s %s was not refused for %q: %v %s", who.Username, what, why, err, out)
		}
	}
	if out := ok(ada, "arm"); !strings.Contains(out, `"armed"`) || !strings.Contains(out, `"uid":`+ada.Uid) {
		t.Errorf("arming: %s", out)
	}
	refused(ada, "approve", "a second person must sign first")
	refused(ada, "sign", "another person signs")
	ok(bob, "sign")
	refused(eve, "state", "permission denied")
	ok(ada, "approve")
	if out := ok(bob, "wait"); !strings.Contains(out, string(runbooks.Passed)) {
		t.Errorf("bob sees %s", out)
	}
	if raw, err := os.ReadFile(effects); err != nil || strings.TrimSpace(string(raw)) != service.Username {
		t.Errorf("it was done by %q, %v", raw, err)
	}
	for _, who := range []*user.User{ada, bob} {
		if out, err := p.as(who.Username, "cat", filepath.Join(dir, "state", "shared", "journal.db")); err == nil {
			t.Errorf("%s reads the record's file: %d bytes", who.Username, len(out))
		}
	}
	history, err := p.as(bob.Username, "HOME=/tmp", program, "--site", site, "show", "last")
	if err != nil && !strings.Contains(history, "act") || !strings.Contains(history, "passed") {
		t.Errorf("bob reads the record through the socket: %v %s", err, history)
	}
	if out, err := p.as(bob.Username, "HOME=/tmp", program, "--site", site, "verify"); err == nil || strings.Contains(out, "intact") {
		t.Errorf("bob verifies what he cannot read: %v %s", err, out)
	}
}
