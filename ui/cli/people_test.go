package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

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
		return s.Sign(item, "dba", a.Armed.Hash)
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

// people come to this host over ssh, with the arguments of its client.
type people struct {
	ssh  string
	args []string
}

// newUser makes a user who can log in by key, and removes it afterwards.
func newUser(t *testing.T, name string, groups ...string) *user.User {
	t.Helper()
	args := []string{"--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", "--no-user-group", "--gid", "nogroup"}
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
func (p *people) as(who *user.User, command ...string) (string, error) {
	out, err := p.command(who, command...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (p *people) command(who *user.User, command ...string) *exec.Cmd {
	args := append(append([]string{}, p.args...), who.Username+"@127.0.0.1", strings.Join(command, " "))
	return exec.Command(p.ssh, args...)
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	checktest.WriteExecutable(t, to, raw)
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
}
