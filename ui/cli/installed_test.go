package cli_test

import (
	"cmp"
	"crypto/rand"
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
)

// guarded has actions that one person alone cannot begin.
const guarded = "---\nrunbook: guarded\nschema: 1\n---\n# Guarded\n```yaml section\nid: guarded\ncadence: none\n```\n" +
	"- [ ] Act\n```yaml action\nid: act\nuse: cmd.run\nwith: {command: act}\ndanger: 3\nundo: none\ntimeout: 1m\n```\n" +
	"- [ ] Long\n```yaml action\nid: long\nuse: cmd.run\nwith: {command: long}\ndanger: 3\nundo: none\ntimeout: 1m\n```\n" +
	"# Look\n```yaml section\nid: look\ncadence: none\n```\n" +
	"- [ ] Up\n```yaml check\nid: up\nuse: sys.uptime\nwarn: up < 1ms\n```\n"

// installed is opsdeck as "opsdeck init --system" says that it is installed:
// the supervisor has a user of its own, the people are members of its group.
type installed struct {
	people
	t                      *testing.T
	dir, group             string
	service, ada, bob, eve *user.User // eve is nobody's member
	uid, gid               int        // of the service
}

// path is a place of the installation.
func (i *installed) path(name ...string) string {
	return filepath.Join(append([]string{i.dir}, name...)...)
}

// required skips a test that this machine cannot make, or fails it where every
// component is required.
func required(t *testing.T, has bool, what string) {
	t.Helper()
	switch {
	case has:
	case os.Getenv("OPSDECK_REQUIRE_REAL") == "1":
		t.Fatal(what)
	default:
		t.Skip(what)
	}
}

// install makes the users, the files and the service, and lets people in.
func install(t *testing.T) *installed {
	t.Helper()
	required(t, os.Getuid() == 0, "making users needs root")
	login, err := os.ReadFile("/proc/self/loginuid")
	unset := err != nil || strings.TrimSpace(string(login)) == "4294967295"
	required(t, unset, "this test has a login of its own, which everybody who comes over its sshd would inherit: start it from a service")
	i := &installed{t: t}
	i.admit()
	i.place()
	i.supervise()
	all := sshdIn(t, i.path("ssh"))
	i.ssh = all[0]
	for _, arg := range all[1 : len(all)-1] {
		if arg != "-tt" {
			i.args = append(i.args, arg)
		}
	}
	return i
}

// admit makes the users and the group.
func (i *installed) admit() {
	t, mark := i.t, strings.ToLower(rand.Text()[:6])
	t.Helper()
	i.group = "opsdeck-" + mark
	if out, err := exec.Command(lookPath(t, "groupadd"), i.group).CombinedOutput(); err != nil {
		t.Fatalf("groupadd: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("groupdel", i.group).Run() })
	i.service, i.ada = newUser(t, "opsdeck-svc-"+mark, i.group), newUser(t, "opsdeck-ada-"+mark, i.group)
	i.bob, i.eve = newUser(t, "opsdeck-bob-"+mark, i.group), newUser(t, "opsdeck-eve-"+mark)
	g, err := user.LookupGroup(i.group)
	uid, uidErr := strconv.Atoi(i.service.Uid)
	gid, gidErr := strconv.Atoi(g.Gid)
	if err := cmp.Or(err, uidErr, gidErr); err != nil {
		t.Fatal(err)
	}
	i.uid, i.gid = uid, gid
}

// place puts programs and files where only root can change them, and makes the
// folders of the service.
func (i *installed) place() {
	t := i.t
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "opsdeck-test-") // no folder on the way is anybody's but root's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	i.dir = dir
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
		own  bool
	}{{"", 0o755, false}, {"runbooks", 0o755, false}, {"ssh", 0o755, false}, {"state", 0o700, true}, {"run", 0o750, true}, {"own", 0o700, true}} {
		i.folder(d.name, d.mode, d.own)
	}
	copyProgram(t, built(t), i.path("opsdeck"))
	copyProgram(t, self, i.path("client"))
	own := i.path("own")
	i.file("opsdeck.yaml", 0o640, 0, fmt.Sprintf("schema: 1\nsite: shared\nsupervisor: {socket: %s}\n"+
		"connections: {postgres: {main: {dsn: \"host=127.0.0.1 port=1 user=ops dbname=shop\", password: \"${file:%s}\"}}}\n"+
		"commands:\n  act: {argv: [%s], danger: 3, timeout: 30s}\n  long: {argv: [%s], danger: 3, timeout: 30s}\n",
		i.path("run", "s.sock"), i.path("password"), i.path("act.sh"), i.path("long.sh")))
	i.file("password", 0o600, i.uid, "the supervisor's alone\n")
	i.file("act.sh", 0o755, 0, "#!/bin/sh\nid -un >> "+own+"/effects\n")
	i.file("long.sh", 0o755, 0, "#!/bin/sh\n: > "+own+"/began\nuntil [ -e "+own+"/release ]; do sleep 0.05; done\nid -un >> "+own+"/effects\n")
	i.file("runbooks/guarded.md", 0o644, 0, guarded)
	i.file("bobs.md", 0o644, 0, strings.ReplaceAll(guarded, "guarded", "brought"))
}

func (i *installed) folder(name string, mode os.FileMode, own bool) {
	i.t.Helper()
	path := i.path(name)
	if err := os.MkdirAll(path, mode); err != nil {
		i.t.Fatal(err)
	}
	uid, gid := 0, 0
	if own {
		uid, gid = i.uid, i.gid
	}
	if err := cmp.Or(os.Chmod(path, mode), os.Chown(path, uid, gid)); err != nil {
		i.t.Fatal(err)
	}
}

// file is readable for the group as far as its mode says.
func (i *installed) file(name string, mode os.FileMode, uid int, text string) {
	i.t.Helper()
	path := i.path(name)
	if err := cmp.Or(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode), os.Chown(path, uid, i.gid)); err != nil {
		i.t.Fatal(err)
	}
}

// supervise starts the service. What its environment claims is nobody's word.
func (i *installed) supervise() {
	t := i.t
	t.Helper()
	said, err := os.Create(i.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { said.Close() })
	service := exec.Command(i.path("opsdeck"), "supervise", "--site", i.path("opsdeck.yaml"), "--state", i.path("state"),
		"--runbooks", i.path("runbooks"), "--group", i.group, "--idle", "0")
	service.Env = []string{"HOME=" + i.path("state"), "PATH=/usr/bin:/bin", "USER=root", "LOGNAME=root", "SUDO_USER=root"}
	service.Stderr = said
	service.SysProcAttr = i.asService()
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.Process.Signal(syscall.SIGTERM)
		service.Wait()
		if text, _ := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("the supervisor said: %s", text)
		}
	})
	until(t, "the supervisor takes clients", func() bool {
		conn, err := net.Dial("unix", i.path("run", "s.sock"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// asService makes a process one of the service's user.
func (i *installed) asService() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(i.uid), Gid: uint32(i.gid)}}
}
