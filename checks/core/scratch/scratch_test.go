package scratch_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/scratch"
)

// TestMain makes a folder and waits to be killed when it is asked to.
func TestMain(m *testing.M) {
	if parent := os.Getenv("SCRATCH_TEST_PARENT"); parent != "" {
		f, err := scratch.Make(parent)
		if err == nil {
			err = os.WriteFile(filepath.Join(f.Path, "copy"), []byte("left over"), 0o600)
		}
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(f.Path + "\n") //nolint:errcheck // the parent would wait and fail
		select {}
	}
	os.Exit(m.Run())
}

func holder(t *testing.T, parent string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SCRATCH_TEST_PARENT="+parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestWhatAKilledProcessLeftIsRemovedByTheNextAndWhatALivingOneUsesStays(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "tmp")
	dead, left := holder(t, parent)
	_, used := holder(t, parent)
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dead.Wait()
	mine, err := scratch.Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a killed process is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(used, "copy")); err != nil {
		t.Errorf("the folder of a living process is gone: %v", err)
	}
	if info, err := os.Stat(mine.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	if err := mine.Remove(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 1 {
		t.Errorf("%v are left, want only that of the living process", entries)
	}
}

// TestAReusedProcessIDDoesNotKeepAFolder: the folder's name has the start time
// of a process that had our id before us.
func TestAReusedProcessIDDoesNotKeepAFolder(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "tmp")
	mine, err := scratch.Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Remove() //nolint:errcheck // in the test's folder
	earlier := filepath.Join(parent, strings.Split(filepath.Base(filepath.Dir(mine.Path)), "-")[0]+"-1")
	for _, dir := range []string{earlier, filepath.Join(parent, "notes")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	second, err := scratch.Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Remove() //nolint:errcheck // in the test's folder
	if _, err := os.Stat(earlier); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of an earlier process with this id is still there: %v", err)
	}
	for _, dir := range []string{mine.Path, filepath.Join(parent, "notes")} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s was removed: %v", dir, err)
		}
	}
}

func TestAParentThatIsNotOursAloneIsRefused(t *testing.T) {
	open, link := filepath.Join(t.TempDir(), "open"), filepath.Join(t.TempDir(), "link")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for parent, why := range map[string]string{open: "open to others", link: "not a directory"} {
		if _, err := scratch.Make(parent); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", parent, err, why)
		}
	}
}

func TestWithoutAFolderOfItsOwnAProcessUsesTheRuntimeDirectory(t *testing.T) {
	runtime, own := t.TempDir(), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	for dir, below := range map[string]string{"": runtime, own: own} {
		f, err := scratch.In(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.Path, below+"/") {
			t.Errorf("for %q it is %s, want one below %s", dir, f.Path, below)
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
}
