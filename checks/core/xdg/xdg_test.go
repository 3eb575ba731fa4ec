package xdg_test

import (
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/xdg"
)

// asProgram makes the test binary print where its state is.
const asProgram = "OPSDECK_TEST_XDG"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		dir, err := xdg.State(os.Getenv)
		if err != nil {
			os.Stdout.WriteString(err.Error()) //nolint:errcheck // the parent would see nothing and fail
			os.Exit(1)
		}
		os.Stdout.WriteString(dir) //nolint:errcheck // the parent would see nothing and fail
		return
	}
	os.Exit(m.Run())
}

func TestFoldersAreAbsolute(t *testing.T) {
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Skip("the user of this test has no entry in /etc/passwd")
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"the variable", map[string]string{"XDG_STATE_HOME": "/srv/state/", "HOME": "/home/dana"}, "/srv/state"},
		{"the home", map[string]string{"HOME": "/home/dana"}, "/home/dana/.local/state"},
		{"a relative variable is ignored", map[string]string{"XDG_STATE_HOME": "state", "HOME": "/home/dana"},
			"/home/dana/.local/state"},
		{"no home", nil, me.HomeDir + "/.local/state"},
		{"a relative home is ignored", map[string]string{"HOME": "dana"}, me.HomeDir + "/.local/state"},
		{"a variable needs no home", map[string]string{"XDG_STATE_HOME": "/srv/state"}, "/srv/state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := xdg.State(func(name string) string { return c.env[name] })
			if err != nil || got != c.want {
				t.Errorf("state is kept in %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestEachFolderHasItsVariableAndItsPlaceInTheHome(t *testing.T) {
	for variable, c := range map[string]struct {
		find   func(func(string) string) (string, error)
		inHome string
	}{
		"XDG_STATE_HOME":  {xdg.State, "/home/dana/.local/state"},
		"XDG_CONFIG_HOME": {xdg.Config, "/home/dana/.config"},
		"XDG_CACHE_HOME":  {xdg.Cache, "/home/dana/.cache"},
	} {
		env := map[string]string{"HOME": "/home/dana"}
		for _, want := range []string{c.inHome, "/srv/named"} {
			if got, err := c.find(func(name string) string { return env[name] }); err != nil || got != want {
				t.Errorf("with %v: %q, %v; want %q", env, got, err, want)
			}
			env[variable] = "/srv/named"
		}
	}
}

func TestRelativeValuesAreNamed(t *testing.T) {
	env := map[string]string{"HOME": "dana", "XDG_STATE_HOME": "/srv/state", "XDG_CACHE_HOME": "../cache"}
	want := []string{"HOME=dana", "XDG_CACHE_HOME=../cache"}
	if got := xdg.Ignored(func(name string) string { return env[name] }); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAUserWithoutAnEntryHasNoHome: neither what else the environment says of
// the user nor the working directory stands in for it.
func TestAUserWithoutAnEntryHasNoHome(t *testing.T) {
	const unknown = 54321
	if _, err := user.LookupId(strconv.Itoa(unknown)); err == nil {
		t.Skipf("there is a user %d", unknown)
	}
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a process of another user has to be started: run as root")
		}
		t.Skip("needs root to start a process of another user")
	}
	for _, home := range []string{"", "dana"} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{asProgram + "=1", "USER=dana", "HOME=" + home}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unknown, Gid: unknown}}
		said, err := cmd.Output()
		if err == nil || !strings.Contains(string(said), "no home for uid 54321") {
			t.Errorf("HOME=%q: %v %q", home, err, said)
		}
	}
}
