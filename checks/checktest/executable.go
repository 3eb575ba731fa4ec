package checktest

import (
	"os"
	"syscall"
	"testing"
)

// WriteExecutable writes a program or script that the test is about to start.
// No process of this test binary is forked meanwhile: a child born while the
// file is open for writing would hold it open until its own exec, and the
// program could not be started ("text file busy").
func WriteExecutable(t *testing.T, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, content, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}
