package systemd

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/advanced-lms/opsdeck/checks"
)

// odd is a systemd of our own on a private bus, for states that the real one
// cannot be brought into.
type odd struct {
	conn       *godbus.Conn
	properties map[string]godbus.Variant
	refuse     *godbus.Error // what every call is answered with
	job        string        // how a reload ends; "" if it never does
	silent     bool          // no call is answered
}

// GetAll is what systemd answers of a unit.
func (o *odd) GetAll(string) (map[string]godbus.Variant, *godbus.Error) {
	if o.silent {
		time.Sleep(2 * time.Second)
	}
	return o.properties, o.refuse
}

// ReloadUnit ends the job a moment later.
func (o *odd) ReloadUnit(unit, _ string) (godbus.ObjectPath, *godbus.Error) {
	const job = godbus.ObjectPath("/org/freedesktop/systemd1/job/7")
	if o.job != "" {
		time.AfterFunc(50*time.Millisecond, func() {
			o.conn.Emit("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager.JobRemoved", uint32(7), job, unit, o.job) //nolint:errcheck // the test sees that it is missing
		})
	}
	return job, nil
}

// likeReal are the properties of a service that is well.
func likeReal() map[string]godbus.Variant {
	p := map[string]godbus.Variant{}
	for name, value := range map[string]any{
		"Id": "odd.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "FragmentPath": "/x",
		"WantedBy": []string{"multi-user.target"}, "RequiredBy": []string{}, "NeedDaemonReload": false, "CanReload": true, "InvocationID": []byte{1, 2},
		"StateChangeTimestampMonotonic": uint64(5), "ActiveEnterTimestamp": uint64(1795753610510480), "ConditionResult": true, "ConditionTimestamp": uint64(1),
		"Result": "success", "ReloadResult": "success", "NRestarts": uint32(0), "MainPID": uint32(42),
		"ExecMainStartTimestamp": uint64(1), "ExecMainExitTimestamp": uint64(0), "ExecMainCode": int32(0), "ExecMainStatus": int32(0),
	} {
		p[name] = godbus.MakeVariant(value)
	}
	type command struct {
		Path string
		Argv []string
	}
	p["ExecStart"] = godbus.MakeVariant([]command{{"/bin/sleep", []string{"/bin/sleep", "9"}}})
	return p
}

// oddHost starts a bus and a systemd on it that a test then changes.
func oddHost(t *testing.T) (*odd, checks.Env) {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	root, err := os.MkdirTemp("", "bus") // short: a socket's path has some 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	for _, dir := range []string{"run/systemd/system", "run/dbus"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(root, "run/dbus/system_bus_socket")
	cmd := exec.Command(daemon, "--session", "--nofork", "--nosyslog", "--address=unix:path="+socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	awaits(t, func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	o := &odd{properties: likeReal(), job: "done"}
	if o.conn, err = godbus.Connect("unix:path=" + socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.conn.Close() })
	if err := o.conn.Export(o, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		t.Fatal(err)
	}
	if err := o.conn.ExportSubtree(o, "/org/freedesktop/systemd1/unit", "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if reply, err := o.conn.RequestName("org.freedesktop.systemd1", godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return o, checks.Env{Root: root}
}

func TestOddAnswersOfTheBus(t *testing.T) {
	o, env := oddHost(t)
	with := func(name string, value any) {
		o.properties = maps.Clone(likeReal())
		if value == nil {
			delete(o.properties, name)
			return
		}
		o.properties[name] = godbus.MakeVariant(value)
	}
	unit := bySystemd("odd.service")
	unitIs(t, env, unit, checks.OK, "active (running)")
	with("NRestarts", nil)
	unitIs(t, env, unit, checks.Unknown, "nothing of NRestarts")
	with("NRestarts", "three")
	unitIs(t, env, unit, checks.Unknown, "NRestarts of odd.service is a string")
	with("ActiveState", "activating")
	unitIs(t, env, unit, checks.Crit, "active == false")
	with("ActiveState", "reloading")
	unitIs(t, env, unit, checks.OK, "reloading")
	begin(t, env, "odd.service").preview(checks.Unknown, "is being reloaded already")
	for name, class := range map[string]checks.Class{
		"org.freedesktop.DBus.Error.AccessDenied":                     checks.Denied,
		"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": checks.Denied,
		"org.freedesktop.DBus.Error.NoReply":                          checks.Timeout,
		"org.freedesktop.systemd1.ShuttingDown":                       checks.Other,
	} {
		o.refuse = godbus.NewError(name, []any{"no"})
		if res := unitIs(t, env, unit, checks.Unknown, "systemd refuses"); res.Class != class {
			t.Errorf("%s is of class %q, want %q", name, res.Class, class)
		}
	}
}

// TestASystemdThatDoesNotAnswerIsLeft: the deadline ends it.
func TestASystemdThatDoesNotAnswerIsLeft(t *testing.T) {
	o, env := oddHost(t)
	o.silent = true
	check, problems := checks.NewCheck(Unit, "odd", bySystemd("odd.service"), checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	check.Timeout = 300 * time.Millisecond
	runner := checks.NewRunner(env, nil)
	if res := runner.Run(t.Context(), check); res.Level != checks.Unknown || res.Class != checks.Timeout || runner.Abandoned() > 0 {
		t.Errorf("%v %s %s", res.Level, res.Class, res.Err)
	}
}

func TestReloadsThatSystemdEndsOtherwise(t *testing.T) {
	o, env := oddHost(t)
	for _, job := range []string{"timeout", "canceled", "dependency"} {
		o.job = job
		d := begin(t, env, "odd.service")
		d.preview(checks.OK, "")
		res := d.act(checks.Crit, "did not change since the preview")
		if f, ok := res.Fact("job", ""); !ok || f.Text != job {
			t.Errorf("job %+v, want %s", f, job)
		}
	}
}

// TestABusNobodyListensAtIsGoneRound: its socket is left from another time.
func TestABusNobodyListensAtIsGoneRound(t *testing.T) {
	env := answering(t, checks.Output{Stdout: []byte(shown)})
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := os.MkdirAll(filepath.Join(env.Root, "run/dbus"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(listener.Addr().String(), filepath.Join(env.Root, "run/dbus/system_bus_socket")); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	unitIs(t, env, bySystemd("nginx.service"), checks.OK, "running")
	env.Exec = nil
	unitIs(t, env, bySystemd("nginx.service"), checks.Unknown, "connection refused; and no commands can be run here")
}
