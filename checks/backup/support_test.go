package backup

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func newReader(content []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(content)) }

// WriteTo drains the members, for the tests.
func (g *gzipMembers) WriteTo(t *testing.T) (int64, error) {
	t.Helper()
	return io.Copy(io.Discard, struct{ io.Reader }{g})
}

// realDumps makes dumps of a real database, plain and custom, with pg_dump.
func realDumps(t *testing.T) (plain, custom []byte) {
	t.Helper()
	bin := postgresBin(t)
	account := &syscall.SysProcAttr{}
	dir, err := os.MkdirTemp("", "opsdeck-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Getuid() == 0 {
		account.Credential = unprivileged(t)
		if err := os.Chown(dir, int(account.Credential.Uid), int(account.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(name string, args ...string) []byte {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = account, dir
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LC_ALL=C", "PGHOST=" + dir, "PGUSER=lab", "PGDATABASE=postgres"}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v %s", name, err, out)
		}
		return out
	}
	data := filepath.Join(dir, "data")
	tool("initdb", "-D", data, "-U", "lab", "-A", "trust", "--no-sync")
	tool("pg_ctl", "-D", data, "-w", "-s", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -c fsync=off -k "+dir, "start")
	t.Cleanup(func() { tool("pg_ctl", "-D", data, "-s", "-m", "immediate", "stop") })
	tool("psql", "-qc", "CREATE TABLE users AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 5000) i; SELECT lo_from_bytea(0, 'x')")
	return tool("pg_dump"), tool("pg_dump", "-Fc")
}

func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	if err != nil || len(found) == 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("no pg_dump here")
		}
		t.Skip("no pg_dump here")
	}
	return filepath.Dir(found[len(found)-1])
}

func unprivileged(t *testing.T) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("no account to run a server as")
	return nil
}

func TestRealDumpsAreWholeAndTheirHalvesAreNot(t *testing.T) {
	t.Parallel()
	plain, custom := realDumps(t)
	for name, content := range map[string][]byte{
		"db_backup_20261123.sql": plain, newest: zip(t, plain),
		"db_backup_20261123.dump": custom, "db_backup_20261123.dump.gz": zip(t, custom),
	} {
		dir := t.TempDir()
		put(t, dir, name, content, 6*time.Hour)
		if res := run(t, Integrity, envOf(dir), nil); res.Level != checks.OK {
			t.Errorf("%s: %v %s %s", name, res.Level, res.Note, res.Err)
		}
		for _, part := range []int{2, 3, 5} {
			put(t, dir, name, content[:len(content)-len(content)/part], 6*time.Hour)
			if res := run(t, Integrity, envOf(dir), nil); res.Level != checks.Crit {
				t.Errorf("%s without its last 1/%d: %v %s", name, part, res.Level, res.Note)
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte("PGDMP\x01\x0e\x00\x04\x08\x01"), "x.dump")
	f.Add([]byte{0x1f, 0x8b, 8, 0}, "x.sql.gz")
	f.Add(dump(3, true), "x.sql")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		found, err := inspect(t.Context(), bytes.NewReader(content), int64(len(content)), inspectOptions{content: "auto", maxRatio: 500, name: name})
		if err == nil && found.problem == "" && found.trailer != nil && !*found.trailer {
			t.Error("whole without its trailer")
		}
	})
}

func FuzzCounterDoesNotCareHowTheStreamIsCut(f *testing.F) {
	f.Add([]byte("\nCOPY a\nCOPY b"), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		want := int64(bytes.Count(text, []byte("\nCOPY ")))
		c, got := newCounter("\nCOPY "), int64(0)
		size := int(step)%7 + 1
		for at := 0; at < len(text); at += size {
			got += c.add(text[at:min(at+size, len(text))])
		}
		if got != want {
			t.Errorf("counted %d, want %d", got, want)
		}
	})
}
