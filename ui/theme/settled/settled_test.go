package settled_test

import (
	"fmt"
	"os"
	"testing"

	// The test binary is the program under test: it links bubbletea, whose
	// init asks the terminal unless this package came first.
	_ "github.com/advanced-lms/opsdeck/ui/theme/settled"

	"github.com/advanced-lms/opsdeck/ui/screen"
	tea "github.com/charmbracelet/bubbletea"
)

const asProgram = "OPSDECK_TEST_SETTLED"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		fmt.Println("main has started", tea.KeyEnter)
		return
	}
	os.Exit(m.Run())
}

func TestNothingIsAskedOnASilentTerminal(t *testing.T) {
	term := screen.AsksNothing(t, "main has started", []string{asProgram + "=1"}, os.Args[0])
	if code := term.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
