package crash_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// asProgram makes the test binary a program that ends as it says.
const asProgram = "OPSDECK_TEST_CRASH"

func TestMain(m *testing.M) {
	if how := os.Getenv(asProgram); how != "" {
		crash.Begin()
		defer crash.Recover()
		programs[how]()
		os.Stdout.WriteString("it went on\n") //nolint:errcheck // the parent looks at it
		return
	}
	os.Exit(m.Run())
}

var programs = map[string]func(){
	"panic in a goroutine": func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer crash.Recover()
			panic("broken")
		}()
		<-done
	},
	"what is put right": func() {
		say := func(text string) func() { return func() { os.Stderr.WriteString(text + "\n") } }
		crash.AtEnd(say("first"))
		crash.AtEnd(say("taken back"))()
		crash.AtEnd(func() { panic("broken too") })
		crash.AtEnd(say("last"))
		panic("broken")
	},
	"a command's limit": func() {
		cmd := exec.Command("sh", "-c", "ulimit -Sc")
		cmd.Stdout = os.Stdout
		if err := crash.Start(cmd.Start); err != nil {
			panic(err)
		}
		cmd.Wait()
		limit := syscall.Rlimit{Cur: 1}
		if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) != nil || limit.Cur != 0 {
			panic("the program itself may leave a core file")
		}
	},
}

// program runs the test binary as a program, with a limit of core files.
func program(t *testing.T, how, cores string) (out, errout string, state *os.ProcessState) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "ulimit -Sc "+cores+"; exec "+os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"="+how)
	var said, complained strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complained
	cmd.Run() //nolint:errcheck // how it ended is looked at
	return said.String(), complained.String(), cmd.ProcessState
}

func TestAPanicInAGoroutineEndsTheProcessBeforeItsEndIsTold(t *testing.T) {
	out, errout, state := program(t, "panic in a goroutine", "0")
	if state.ExitCode() != crash.Code || out != "" || !strings.Contains(errout, `error: internal error: "broken"`) {
		t.Errorf("exit %d, %q, %q", state.ExitCode(), out, errout)
	}
}

func TestWhatIsPutRightComesLatestFirstAndAPanicInItEndsNothing(t *testing.T) {
	_, errout, state := program(t, "what is put right", "0")
	if state.ExitCode() != crash.Code || !strings.HasPrefix(errout, "last\nfirst\nerror: ") {
		t.Errorf("exit %d, %q", state.ExitCode(), errout)
	}
}

func TestACommandHasTheLimitOfCoreFilesThatTheProgramGot(t *testing.T) {
	for _, cores := range []string{"0", "17"} {
		if out, errout, _ := program(t, "a command's limit", cores); out != cores+"\nit went on\n" {
			t.Errorf("with %s the command has %q: %s", cores, out, errout)
		}
	}
}

func TestOnlyAFileOfThisUserAloneIsTheLog(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(path("open"), nil, 0o600), os.Chmod(path("open"), 0o622),
		os.WriteFile(path("target"), nil, 0o600), os.Symlink("target", path("link")),
		os.Mkdir(path("folder"), 0o700), syscall.Mkfifo(path("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"open", "link", "folder", "pipe", "missing/log"} {
		if err := crash.Log(path(name), true); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := crash.Log(path("new"), false); err == nil {
		t.Error("a log was made that must not be")
	}
	if os.Getuid() == 0 {
		if err := os.WriteFile(path("stranger"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path("stranger"), 54321, -1); err != nil {
			t.Fatal(err)
		}
		if err := crash.Log(path("stranger"), true); err == nil {
			t.Error("the file of another user was taken")
		}
	}
}
