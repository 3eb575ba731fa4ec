package postgres

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

const (
	oldPassword = "planted-old-password-0001"
	newPassword = "planted-new-password-0002"
)

// roleScene is a server that asks its roles for passwords and logs every
// statement, and the environment file that has the password of one of them.
type roleScene struct {
	*pgserver.Server
	dir  string
	env  checks.Env
	said bytes.Buffer
	own  checks.Own
}

// guarded are the lines of pg_hba.conf before those that trust everybody.
const guarded = "local all lms_user,gone_user,off_user scram-sha-256\nlocal all md5_user md5\nlocal all clear_user password\n"

func newRoleScene(t *testing.T, role, dsn string) *roleScene {
	t.Helper()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"log_statement": "all", "log_min_duration_statement": "0", "log_min_messages": "info"}})
	hba := filepath.Join(dataDir(server), "pg_hba.conf")
	rest, err := os.ReadFile(hba)
	if err == nil {
		err = os.WriteFile(hba, append([]byte(guarded), rest...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	pgtest.DB{DSN: server.DSN("postgres")}.Exec(t, "CREATE EXTENSION pg_stat_statements",
		"SET password_encryption = 'scram-sha-256'", "CREATE ROLE lms_user LOGIN PASSWORD '"+oldPassword+"'", "CREATE ROLE clear_user LOGIN PASSWORD 'x'", "CREATE ROLE open_user LOGIN",
		"CREATE ROLE gone_user LOGIN PASSWORD 'x' VALID UNTIL '2020-01-01'", "CREATE ROLE off_user NOLOGIN", "CREATE ROLE boss LOGIN CREATEROLE", "GRANT pg_monitor TO boss",
		"SET password_encryption = 'md5'", "CREATE ROLE md5_user LOGIN PASSWORD '"+oldPassword+"'", "SELECT pg_reload_conf()")
	s := &roleScene{Server: server, dir: t.TempDir()}
	eventuallyGuarded(t, server)
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, ".env", "PORT=8080\nDB_PASSWORD="+oldPassword+"\n")
	s.write(t, "db.new", newPassword+"\n")
	if dsn == "" {
		dsn = server.DSN("postgres")
	}
	s.env = envFor(t, dsn)
	s.env.Root, s.env.Now = "/", time.Now
	s.env.Site.Secrets = map[string]checks.KeptSecret{"database": {
		Name: "database", File: filepath.Join(s.dir, ".env"), New: filepath.Join(s.dir, "db.new"), Key: "DB_PASSWORD", Accept: "one-key", Role: role, Clients: []string{"backend", "/etc/cron.d/report"},
	}}
	s.own = checks.Own{Token: "opsdeck/0a1b2c3d", Out: &s.said}
	return s
}

// eventuallyGuarded waits until the reload has reached new sessions.
func eventuallyGuarded(t *testing.T, server *pgserver.Server) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), server.DSNAs("lms_user", "postgres"))
		if err != nil {
			return
		}
		conn.Close(t.Context())
		if time.Now().After(end) {
			t.Fatal("the server still asks for no password")
		}
	}
}

func (s *roleScene) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *roleScene) change(with func(*checks.KeptSecret)) {
	k := s.env.Site.Secrets["database"]
	with(&k)
	s.env.Site.Secrets = map[string]checks.KeptSecret{"database": k}
}

func roleCheck(t *testing.T, value string) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(RolePassword, "password", map[string]any{"name": "database", "value": value}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (s *roleScene) preview(t *testing.T, value string) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Preview(t.Context(), roleCheck(t, value), s.own)
}

func (s *roleScene) act(t *testing.T, value string, seen checks.Result) checks.Result {
	t.Helper()
	own := s.own
	own.Before = seen.Facts
	return checks.NewRunner(s.env, nil).Act(t.Context(), roleCheck(t, value), own)
}

func (s *roleScene) probe(t *testing.T, value string) checks.Result {
	t.Helper()
	return checks.NewRunner(s.env, nil).Probe(t.Context(), roleCheck(t, value), s.own, checks.Rule{})
}

// gets reports whether a role gets in with a password, as any client would try.
func (s *roleScene) gets(t *testing.T, role, password string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSNAs(role, "postgres")+" password="+password)
	if err != nil {
		return false
	}
	conn.Close(t.Context())
	return true
}

func (s *roleScene) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func detail(res checks.Result) string { return strings.Join(res.Detail, "\n") }

// TestARolesPasswordIsSetByItsVerifierAlone: the whole of it, with everything
// that is sent to the server read on its way.
func TestARolesPasswordIsSetByItsVerifierAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var wire bytes.Buffer
	var s *roleScene
	dsn := serve(t, func(client net.Conn) {
		server, err := net.Dial("unix", filepath.Join(s.SocketDir(), fmt.Sprintf(".s.PGSQL.%d", s.Port())))
		if err != nil {
			return
		}
		defer server.Close()
		go io.Copy(client, server) //nolint:errcheck // ends with either side
		sent := writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return wire.Write(p) })
		io.Copy(server, io.TeeReader(client, sent)) //nolint:errcheck // ends with either side
	}) + " user=" + super + " dbname=postgres"
	s = newRoleScene(t, "lms_user", dsn)
	backend := sessionWith(t, s.DSNAs("lms_user", "postgres")+" application_name=backend password="+oldPassword)
	sessionWith(t, s.DSNAs("lms_user", "postgres")+" application_name=forgotten password="+oldPassword)

	seen := s.preview(t, "new")
	expect(t, seen, checks.OK, "")
	contains(t, detail(seen), "/etc/cron.d/report", `careful: "forgotten" from this host is connected as lms_user and is not among its clients`, "whoever opens a new one fails")
	if seen.Target != "lms_user" || num(t, seen, "sessions", "") != 2 || num(t, seen, "unlisted", "") != 1 {
		t.Errorf("%s %v", seen.Target, seen.Facts)
	}
	expect(t, s.probe(t, "new"), checks.Crit, "")

	res := s.act(t, "new", seen)
	expect(t, res, checks.OK, "")
	if num(t, res, "login", "") != 1 || num(t, res, "old_refused", "") != 1 || num(t, res, "sessions", "") != 2 {
		t.Errorf("%v", res.Facts)
	}
	expect(t, s.probe(t, "new"), checks.OK, "")
	if !s.gets(t, "lms_user", newPassword) || s.gets(t, "lms_user", oldPassword) {
		t.Error("the wrong password works")
	}
	if _, err := backend.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("a session that was open is gone: %v", err)
	}

	var statements string
	if err := pgtest.Connect(t, s.DSN("postgres")).QueryRow(t.Context(), "SELECT coalesce(string_agg(query, E'\\n'), '') FROM pg_stat_statements WHERE query ILIKE '%alter role%'").Scan(&statements); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(s.log(t), "opsdeck")
	mu.Lock()
	sent := wire.String()
	mu.Unlock()
	if !strings.Contains(sent, "SCRAM-SHA-256$4096:") {
		t.Fatal("what was sent was not read")
	}
	for where, text := range map[string]string{"sent": sent, "in the log": s.log(t), "in the statistics": statements, "in the results": cmp.Diff(checks.Result{}, seen) + cmp.Diff(checks.Result{}, res), "said": s.said.String()} {
		if strings.Contains(text, newPassword) || where != "in the log" && strings.Contains(text, oldPassword) {
			t.Errorf("a password is %s", where)
		}
		if where != "sent" && strings.Contains(text, "SCRAM-SHA-256$4096:") {
			t.Errorf("the verifier is %s", where)
		}
	}
	if !strings.Contains(after, "SELECT") {
		t.Error("the log has no statements at all: it proves nothing")
	}
	if statements != "" {
		t.Errorf("the statistics have %q", statements)
	}

	// The way back, as long as the environment file has the old one. That the new
	// one cannot be read any more does not bar it, and is said.
	if err := os.Chmod(filepath.Join(s.dir, "db.new"), 0o644); err != nil {
		t.Fatal(err)
	}
	back := s.preview(t, "current")
	expect(t, back, checks.OK, "")
	contains(t, detail(back), "careful: the other password is not known")
	res = s.act(t, "current", back)
	expect(t, res, checks.OK, "")
	contains(t, detail(res), "whether the other password is refused is not known: ", "can be read by others")
	if err := os.Remove(filepath.Join(s.dir, "db.new")); err != nil {
		t.Fatal(err)
	}
	if res := s.probe(t, "current"); strings.Contains(detail(res), "not known") {
		t.Errorf("a password that there is not is not known: %v", res.Detail)
	}
	if s.gets(t, "lms_user", newPassword) || !s.gets(t, "lms_user", oldPassword) {
		t.Error("the way back leads nowhere")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestTheGuidesStatementIsInTheLog in clear text, placeholder and all.
func TestTheGuidesStatementIsInTheLog(t *testing.T) {
	t.Parallel()
	s := newRoleScene(t, "lms_user", "")
	pgtest.DB{DSN: s.DSN("postgres")}.Exec(t, "ALTER USER lms_user WITH PASSWORD 'new_strong_password'")
	if !strings.Contains(s.log(t), "new_strong_password") || !s.gets(t, "lms_user", "new_strong_password") {
		t.Error("the guide's statement does no harm any more")
	}
	// What neither the files nor anybody knows is not taken for either.
	expect(t, s.probe(t, "new"), checks.Crit, "")
	expect(t, s.probe(t, "current"), checks.Crit, "")
}

// TestARoleThatMayCreateRolesIsEnough, and says what it cannot keep quiet.
func TestARoleThatMayCreateRolesIsEnough(t *testing.T) {
	t.Parallel()
	s := newRoleScene(t, "lms_user", "")
	s.env = withDSN(t, s.env, s.DSNAs("boss", "postgres"))
	serverVersion := func() int {
		var v int
		if err := pgtest.Connect(t, s.DSN("postgres")).QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}()
	if serverVersion >= adminOptionSince {
		expect(t, s.preview(t, "new"), checks.Unknown, checks.Denied)
		pgtest.DB{DSN: s.DSN("postgres")}.Exec(t, "GRANT lms_user TO boss WITH ADMIN OPTION")
	}
	seen := s.preview(t, "new")
	expect(t, seen, checks.OK, "")
	contains(t, detail(seen), "the verifier may be in there, the password is not")
	expect(t, s.act(t, "new", seen), checks.OK, "")
	if log := s.log(t); strings.Contains(log, newPassword) || !strings.Contains(log, "SCRAM-SHA-256$4096:") {
		t.Error("the log has the password, or not even the statement")
	}
	pgtest.DB{DSN: s.DSN("postgres")}.Exec(t, "REVOKE pg_monitor FROM boss")
	s.env = withDSN(t, s.env, s.DSNAs("boss", "postgres"))
	expect(t, s.preview(t, "new"), checks.Unknown, checks.Denied)
}

// withDSN is the same site at another DSN.
func withDSN(t *testing.T, env checks.Env, dsn string) checks.Env {
	t.Helper()
	other := envFor(t, dsn)
	other.Root, other.Now, other.Site.Secrets = env.Root, env.Now, env.Site.Secrets
	return other
}

// TestAPasswordThatIsKeptAsMD5BecomesAVerifier, with a warning.
func TestAPasswordThatIsKeptAsMD5BecomesAVerifier(t *testing.T) {
	t.Parallel()
	s := newRoleScene(t, "md5_user", "")
	seen := s.preview(t, "new")
	expect(t, seen, checks.OK, "")
	contains(t, detail(seen), "kept as MD5 now")
	expect(t, s.act(t, "new", seen), checks.OK, "")
	if !s.gets(t, "md5_user", newPassword) {
		t.Error("the new password does not work")
	}
}

func TestARolesPasswordIsNotSetWhere(t *testing.T) {
	t.Parallel()
	s := newRoleScene(t, "lms_user", "")
	for name, tt := range map[string]struct {
		with  func(*checks.KeptSecret)
		class checks.Class
		says  string
	}{
		"it is no role's":            {func(k *checks.KeptSecret) { k.Role = "" }, checks.Unconfigured, "is not the password of a role"},
		"nobody listed the clients":  {func(k *checks.KeptSecret) { k.Clients = nil }, checks.Unconfigured, "does not list the clients"},
		"the role is not there":      {func(k *checks.KeptSecret) { k.Role = "nobody'; --" }, checks.Missing, "there is no role"},
		"the role may not log in":    {func(k *checks.KeptSecret) { k.Role = "off_user" }, checks.Refused, "may not log in at all"},
		"the role has expired":       {func(k *checks.KeptSecret) { k.Role = "gone_user" }, checks.Refused, "VALID UNTIL 2020-01-01"},
		"the server asks for none":   {func(k *checks.KeptSecret) { k.Role = "open_user" }, checks.Refused, "without a password"},
		"it would be sent in clear":  {func(k *checks.KeptSecret) { k.Role = "clear_user" }, checks.Refused, "in clear text"},
		"no new value was made":      {func(k *checks.KeptSecret) { k.New += ".none" }, "", "no such file"},
		"the clients log in nowhere": {func(k *checks.KeptSecret) { k.Login = "host=127.0.0.1 port=1 dbname=postgres sslmode=disable" }, checks.Refused, "logging in as lms_user"},
	} {
		before := s.env.Site.Secrets
		s.change(tt.with)
		for what, res := range map[string]checks.Result{"preview": s.preview(t, "new"), "deed": s.act(t, "new", checks.Result{})} {
			if res.Level != checks.Unknown || tt.class != "" && res.Class != tt.class || !strings.Contains(res.Err, tt.says) {
				t.Errorf("%s: the %s is %v %s: %s", name, what, res.Level, res.Class, res.Err)
			}
		}
		s.env.Site.Secrets = before
	}
	if !s.gets(t, "lms_user", oldPassword) {
		t.Error("the password was changed all the same")
	}
	plainly := *s
	plainly.env = withDSN(t, s.env, s.DSNAs(plain, "postgres"))
	expect(t, plainly.preview(t, "new"), checks.Unknown, checks.Denied)
	seen := s.preview(t, "new")
	s.write(t, "db.exchanged", "another-password-0003\n")
	if err := os.Rename(filepath.Join(s.dir, "db.exchanged"), filepath.Join(s.dir, "db.new")); err != nil {
		t.Fatal(err)
	}
	if res := s.act(t, "new", seen); res.Level != checks.Unknown || !strings.Contains(res.Err, "not what the preview saw") || !s.gets(t, "lms_user", oldPassword) {
		t.Errorf("a value that was exchanged: %v %s", res.Level, res.Err)
	}
}

// TestAVerifierIsThatOfTheStandard (RFC 7677's example).
func TestAVerifierIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	got, err := scramVerifier("pencil", salt, 4096)
	if want := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := scramVerifier("pass\u00adwort", salt, 1); checks.ClassOf(err) != checks.Parse {
		t.Errorf("a soft hyphen: %v", err)
	}
}
