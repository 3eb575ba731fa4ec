package lock_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks/lock"
)

var me = lock.Holder{Who: "ada", What: "window-1/compact", PID: os.Getpid(), At: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)}

// TestMain holds a lock in a process of its own when it is asked to.
func TestMain(m *testing.M) {
	if target := os.Getenv("HOLD"); target != "" {
		if _, err := lock.Acquire([]string{target}, me); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("held\n") //nolint:errcheck // the parent would wait and fail
		select {}
	}
	os.Exit(m.Run())
}

func target(t *testing.T) string { return "test:" + t.Name() + time.Now().String() }

func TestATargetHasOneHolderWhoSaysWhoItIs(t *testing.T) {
	mine := target(t)
	held, err := lock.Acquire([]string{mine, "b" + mine, mine}, me)
	if err != nil {
		t.Fatal(err)
	}
	var taken *lock.HeldError
	if _, err := lock.Acquire([]string{"a" + mine, mine}, me); !errors.As(err, &taken) || taken.By.Who != "ada" || !strings.Contains(err.Error(), "window-1/compact") {
		t.Errorf("%v", err)
	}
	if _, held := lock.Who("a" + mine); held {
		t.Error("a set that was not had whole was kept in part")
	}
	held.Release()
	if _, still := lock.Who(mine); still {
		t.Error("it was not given back")
	}
}

func TestKillingTheHolderFreesTheTarget(t *testing.T) {
	mine := target(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "HOLD="+mine)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Acquire([]string{mine}, me); err == nil {
		t.Fatal("two processes hold one target")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	held, err := lock.Acquire([]string{mine}, me)
	if err != nil {
		t.Fatal(err)
	}
	held.Release()
}
