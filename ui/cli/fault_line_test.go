package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// longItems are what an engineer starts and then loses the line to.
const longItems = "---\nrunbook: long\nschema: 1\n---\n# Long\n```yaml section\nid: long\ncadence: none\n```\n" +
	"- [ ] Up\n```yaml check\nid: up\nuse: sys.uptime\nwarn: up < 1ms\n```\n" +
	"- [ ] Watch\n```yaml hold\nid: watch\nuse: hold.timer\nfor: 4s\nsample: {every: 1s, items: [up]}\n```\n" +
	"- [ ] Rebuild\n```yaml action\nid: rebuild\nuse: pg.vacuum_full\nwith: {tables: [public.big]}\nundo: none\ntimeout: 2m\n```\n" +
	"- [ ] Restore\n```yaml action\nid: restore\nuse: pg.restore_test\nwith: {file: FILE, min_tables: 1, source: none}\ntimeout: 2m\nfail: errors > 0\n```\n"

// longRunning is a site whose actions take their time on a real database, and
// its supervisor, which a second user may sign at.
func longRunning(t *testing.T) (w *ward, socket, book string) {
	t.Helper()
	w = newWard(t, "")
	server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: pgtest.Dir(t), Preload: []string{}})
	if err != nil {
		pgtest.Missing(t, err)
	}
	t.Cleanup(func() { server.Stop() })
	db := pgtest.DB{Server: server, Name: "postgres", DSN: server.DSN("postgres")}
	db.Exec(t,
		"CREATE TABLE public.big AS SELECT g AS id, repeat('x', 400) AS pad FROM generate_series(1, 150000) g",
		"DELETE FROM public.big WHERE id % 2 = 0", "ANALYZE public.big",
		"CREATE ROLE restorer LOGIN CREATEDB",
	)
	dump := filepath.Join(w.dir, "db.dump")
	if out, err := exec.Command(lookPath(t, "pg_dump"), "-Fc", "-f", dump, db.DSN).CombinedOutput(); err != nil {
		t.Fatalf("pg_dump: %v %s", err, out)
	}
	book = filepath.Join(w.dir, "long.md")
	if err := os.WriteFile(book, []byte(strings.ReplaceAll(longItems, "FILE", dump)), 0o644); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(w.dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(run, "s.sock")
	site := fmt.Sprintf("schema: 1\nsite: ward\nsupervisor: {socket: %s}\nconnections:\n  postgres:\n    main: {dsn: %q}\n    verify: {dsn: %q}\n", socket, db.DSN, server.DSNAs("restorer", "postgres"))
	if err := os.WriteFile(filepath.Join(w.dir, "opsdeck.yaml"), []byte(site), 0o644); err != nil {
		t.Fatal(err)
	}
	return w, socket, book
}

// TestADroppedLineEndsNothing: the ssh client is killed while a hold, a real
// VACUUM FULL and a real restore go on; each ends as it would have.
func TestADroppedLineEndsNothing(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a second user is needed, which takes root")
		}
		t.Skip("a second user is needed, which takes root")
	}
	w, socket, book := longRunning(t)
	server := exec.Command(w.bin, "supervise", "--site", filepath.Join(w.dir, "opsdeck.yaml"), "--state", filepath.Join(w.dir, "state"), "--runbooks", w.dir, "--group", "nogroup")
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Signal(syscall.SIGTERM); server.Wait() })
	until(t, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(w.dir, "client") // the test binary goes by its name
	copyProgram(t, self, link)
	does := func(who *syscall.Credential, item, verb string) {
		t.Helper()
		cmd := exec.Command(link, socket, book, "long", item, verb)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v %s", verb, item, err, out)
		}
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for at := w.dir; at != "/tmp" && at != "/"; at = filepath.Dir(at) {
		os.Chmod(at, 0o755) // another user has to come to the socket
	}
	line := sshd(t)
	for _, c := range []struct {
		item  string
		begin func()
	}{
		{"watch", func() {}},
		{"rebuild", func() { does(nil, "rebuild", "arm"); does(nobody, "rebuild", "sign") }},
		{"restore", func() { does(nil, "restore", "arm") }},
	} {
		c.begin()
		verb := "approve"
		if c.item == "watch" {
			verb = "start"
		}
		command := fmt.Sprintf("%s %s %s long %s %s && %s %s %s long %s wait", link, socket, book, c.item, verb, link, socket, book, c.item)
		ssh := exec.Command(line[0], append(append([]string{}, line[1:]...), command)...)
		if err := ssh.Start(); err != nil {
			t.Fatal(err)
		}
		s := w.at(socket, book)
		until(t, c.item+" runs", func() bool { it, _ := s.Run().Item(c.item); return it.State == runbooks.Running || it.State.Decided() })
		ssh.Process.Kill()
		ssh.Wait()
		until(t, c.item+" ends", func() bool { it, _ := s.Run().Item(c.item); return it.State.Decided() })
		it, _ := s.Run().Item(c.item)
		a, _ := it.Latest()
		if it.State != runbooks.Passed && it.State != runbooks.Warned {
			t.Errorf("%s is %s: %s %+v %+v", c.item, it.State, a.Reason, a.Outcome, a.Verified)
		}
		if took := a.Ended.Sub(a.Started); c.item == "watch" && took < 3900*time.Millisecond {
			t.Errorf("the watch ended after %v", took)
		}
		s.Close()
	}
}
