package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/ui/screen"
)

// A dba sits before the real deck of the demo, and has sessions of its own in
// its database.
type dba struct {
	t                *testing.T
	site, state, dsn string
	term             *screen.Terminal
}

// seated starts the demo and the deck at its database.
func seated(t *testing.T) *dba {
	t.Helper()
	site, _ := headlessDemo(t)
	d := &dba{t: t, site: site, state: t.TempDir()}
	t.Cleanup(func() { endSupervisor(t, d.state) })
	raw, err := os.ReadFile(site)
	if err != nil {
		t.Fatal(err)
	}
	owner := regexp.MustCompile(`maintain: \{dsn: "([^"]+)"`).FindSubmatch(raw)
	if owner == nil {
		t.Fatalf("no owner's connection in %s", raw)
	}
	d.dsn = string(owner[1])
	d.exec(d.session("e2e-setup"),
		"CREATE TABLE e2e_rows (id int PRIMARY KEY, n int)", "INSERT INTO e2e_rows SELECT g, 0 FROM generate_series(1, 5000) g",
		"CREATE INDEX e2e_n ON e2e_rows (n)", "CREATE INDEX e2e_twin ON e2e_rows (n)", "DELETE FROM e2e_rows WHERE id > 2000", "ANALYZE e2e_rows")
	d.open(site, d.state)
	return d
}

// open starts a deck at the zoomed database pane.
func (d *dba) open(site, state string) {
	d.t.Helper()
	d.term = screen.Start(d.t, 160, 45, []string{"LC_ALL=C.UTF-8"}, built(d.t), "--site", site, "--state", state)
	d.term.WaitFor("DATABASE")
	d.keys("3z")
}

// keys types one key after the other, as fingers do: what comes at once is a
// paste, and confirms nothing.
func (d *dba) keys(text string) {
	d.t.Helper()
	for _, key := range text {
		d.term.Send(string(key))
		time.Sleep(40 * time.Millisecond) // between two keys of a person
	}
}

// at goes to a view and to the one row that has the text.
func (d *dba) at(view, title, row string) {
	d.t.Helper()
	d.keys("w")
	d.term.WaitFor("who holds up whom") // the list of views
	d.keys(view)
	d.term.WaitFor(title)
	d.keys("/")
	d.term.WaitFor("enter=accept")
	d.keys("\x15" + row + "\r") // the prompt holds the last filter
	d.term.WaitUntil("the cursor is on "+row, func(s string) bool { return onCursor(s, row) })
}

// proposes asks for what is behind a letter of the row's actions, and gives
// the reason if one is asked for. It waits for the preview.
func (d *dba) proposes(letter, reason string) string {
	d.t.Helper()
	d.keys("o")
	d.term.WaitFor("propose for")
	d.keys(letter)
	if reason != "" {
		d.term.WaitFor("It is recorded, and nothing is done before you confirm")
		d.keys(reason + "\r")
	}
	return d.term.WaitFor("if it dies")
}

// confirms does it, with the target typed if it is asked for.
func (d *dba) confirms(target, done string) {
	d.t.Helper()
	d.keys("y")
	if target != "" {
		d.term.WaitFor("type " + target + ":")
		d.keys(target)
		d.term.WaitFor("type " + target + ": " + target)
		d.keys("\r")
	}
	d.term.WaitUntil("tell that it is done: "+done, func(s string) bool { return strings.Contains(s, done) && strings.Contains(s, "1/1") })
	d.keys("3")
}

// session is one of the database's, known by its application.
func (d *dba) session(app string) *pgx.Conn {
	d.t.Helper()
	c, err := pgx.Connect(d.t.Context(), d.dsn+" application_name="+app)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close(context.Background()) }) //nolint:errcheck // the test is over, or the session was ended
	return c
}

func (d *dba) exec(c *pgx.Conn, statements ...string) {
	d.t.Helper()
	for _, sql := range statements {
		if _, err := c.Exec(d.t.Context(), sql); err != nil {
			d.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// begun runs a statement that waits, and gives what comes of it.
func (d *dba) begun(c *pgx.Conn, sql string) <-chan error {
	d.t.Helper()
	came := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), sql)
		came <- err
	}()
	return came
}

// told is what a command says of the newest run.
func (d *dba) told(args ...string) string {
	d.t.Helper()
	out, err := exec.Command(built(d.t), append(args, "--site", d.site, "--state", d.state)...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (d *dba) holds(text string, want ...string) {
	d.t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			d.t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

// TestADBAFreesTheVictimsAndTheRecordTellsIt: the root of a tree is ended from
// the pane, those behind it go on, and what was done can be read afterwards by
// whoever was not there.
func TestADBAFreesTheVictimsAndTheRecordTellsIt(t *testing.T) {
	d := seated(t)
	root, first, second := d.session("e2e-root"), d.session("e2e-first"), d.session("e2e-second")
	d.exec(root, "BEGIN", "UPDATE e2e_rows SET n = 1 WHERE id = 1")
	one, two := d.begun(first, "UPDATE e2e_rows SET n = 2 WHERE id = 1"), d.begun(second, "UPDATE e2e_rows SET n = 3 WHERE id = 1")
	pid := fmt.Sprint(root.PgConn().PID())

	d.at("b", "blocking", "e2e-root")
	preview := d.proposes("t", "holds up two others")
	d.holds(preview, "terminate pid "+pid, "frees 2", "e2e-first", "e2e-second", "holds up two others")
	d.confirms(pid, "1 terminated and gone")
	for _, victim := range []<-chan error{one, two} {
		if err := <-victim; err != nil {
			t.Errorf("a victim did not go on: %v", err)
		}
	}
	var began time.Time
	if err := root.QueryRow(t.Context(), "SELECT 1").Scan(new(int)); err == nil {
		t.Error("the root is still there")
	}
	shown := d.told("show", "last")
	d.holds(shown, "1 terminated and gone", "reason: holds up two others", "frees 2")
	at := regexp.MustCompile(pid + `@(\S+Z)`).FindStringSubmatch(shown)
	if at == nil {
		t.Fatalf("show does not tell when pid %s began:\n%s", pid, shown)
	}
	if began, _ = time.Parse(time.RFC3339Nano, at[1]); time.Since(began) > time.Hour || time.Since(began) < 0 {
		t.Errorf("it began at %q", at[1])
	}
	report := d.told("report", "last")
	d.holds(report, "| With reason | holds up two others |", "| With sessions | "+pid, at[1], "Before it was begun: freed",
		fmt.Sprint(first.PgConn().PID()), fmt.Sprint(second.PgConn().PID()), "none of them is there any more")
	d.holds(d.told("verify"), "intact and witnessed")
	d.term.Send("q")
}

// TestADBACancelsVacuumsAndRebuildsFromThePane: what else can be proposed for
// a row is done as a runbook's action is, and a frame goes into the run of a
// section.
func TestADBACancelsVacuumsAndRebuildsFromThePane(t *testing.T) {
	d := seated(t)
	runaway := d.session("e2e-runaway")
	ran := d.begun(runaway, "SELECT pg_sleep(300)")
	d.at("s", "sessions", "e2e-runaway")
	d.proposes("c", "runs away")
	d.confirms("", "1 cancelled and gone")
	var why *pgconn.PgError
	if err := <-ran; !errors.As(err, &why) || why.Code != "57014" {
		t.Errorf("the statement ended with %v", err)
	}
	d.exec(runaway, "SELECT 1") // the session is still there
	d.holds(d.told("report", "last"), "| With reason | runs away |", "pg\\_sleep")

	d.at("t", "tables", "e2e_rows")
	d.holds(d.proposes("v", ""), "vacuum table public.e2e_rows", "VACUUM of 1 tables")
	d.confirms("", "1 tables vacuumed")
	if vacuumed := d.number("SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'e2e_rows' AND vacuum_count > 0"); vacuumed != 1 {
		t.Error("the table was not vacuumed")
	}
	before := d.number("SELECT pg_relation_filenode('e2e_twin')::int8")
	d.at("i", "indexes", "e2e_twin")
	d.proposes("r", "")
	over := d.withoutBatch() // whose old transaction a rebuild waits for
	d.confirms("advanced_lms", "rebuilt")
	over()
	if after := d.number("SELECT pg_relation_filenode('e2e_twin')::int8"); after == before {
		t.Error("the index is the old one")
	}

	d.keys("4b")
	d.term.WaitFor("Daily")
	for range 60 {
		if onCursor(d.term.Screen(), "Daily") {
			break
		}
		d.keys("k")
	}
	d.keys("\r")
	d.term.WaitFor("daily 0/")
	d.keys("3")
	d.at("i", "indexes", "e2e_n")
	d.keys("E")
	d.term.WaitFor("attached to ")
	d.holds(d.told("report", "last"), "Frame: database: indexes", "public.e2e_n", "duplicate")
	d.term.Send("q")
}

// withoutBatch ends the demo's idle transaction whenever it is there, until
// the returned function is called.
func (d *dba) withoutBatch() func() {
	c := d.session("e2e-ends-batch")
	ctx, cancel := context.WithCancel(d.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			c.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lms-batch'") //nolint:errcheck // the next may do it
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond): // it comes back a second later
			}
		}
	}()
	return func() { cancel(); <-ended }
}

func (d *dba) number(sql string) (n int64) {
	d.t.Helper()
	if err := d.session("e2e-look").QueryRow(d.t.Context(), sql).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// TestASiteThatForbidsItOffersNoSignal: the pane says so before anything is
// asked, and goes on offering what is allowed.
func TestASiteThatForbidsItOffersNoSignal(t *testing.T) {
	d := seated(t)
	raw, err := os.ReadFile(d.site)
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "opsdeck.yaml")
	if err := os.WriteFile(closed, []byte(strings.Replace(string(raw), "kill_sessions: true", "kill_sessions: false", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.term.Send("q")
	d.term.Wait()
	d.open(closed, d.state)
	d.begun(d.session("e2e-runaway"), "SELECT pg_sleep(300)")
	d.at("s", "sessions", "e2e-runaway")
	d.keys("o")
	d.term.WaitFor("this site does not let opsdeck")
	d.at("t", "tables", "e2e_rows")
	d.proposes("v", "")
	d.term.Send("\x1b") // the preview stands, and must not keep the supervisor from ending
}
