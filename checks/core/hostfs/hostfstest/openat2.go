// Package hostfstest makes the faults happen that hostfs has to stand: a kernel
// or a filter that refuses openat2, and a folder that changes places with
// another entry while something is done in it.
package hostfstest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const refusing = "OPSDECK_TEST_REFUSES_OPENAT2"

// WithoutOpenat2 runs the test once more, in a process of its own in which a
// seccomp filter answers openat2 with errno. It returns true in that process,
// where the test goes on, and false in the one that started it, where the test
// has nothing more to do.
func WithoutOpenat2(t *testing.T, errno syscall.Errno) bool {
	t.Helper()
	if os.Getenv(refusing) == t.Name() {
		if err := filter(errno); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Openat2(unix.AT_FDCWD, ".", &unix.OpenHow{Flags: unix.O_PATH})
		if err != errno {
			t.Fatalf("openat2 answers %d, %v under the filter, not %v", fd, err, errno)
		}
		return true
	}
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v")
	run.Env = append(os.Environ(), refusing+"="+t.Name())
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("with openat2 refused (%v): %v\n%s", errno, err, out)
	}
	return false
}

// filter makes openat2 fail in all threads of the process, for ever.
func filter(errno syscall.Errno) error {
	instructions := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: unix.SYS_OPENAT2},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refusing openat2: %w", err)
	}
	const how, threads = unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, how, threads, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		return fmt.Errorf("refusing openat2: %w", failed)
	}
	return nil
}
