package cli_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// TestEveryModuleConforms runs the conformance suite on all that is shipped.
func TestEveryModuleConforms(t *testing.T) {
	for _, f := range families() {
		t.Run(f.Name, func(t *testing.T) { checktest.Family(t, f) })
	}
}

// TestTheTestsJoinTheFamiliesThatMainJoins: a family that only one of them
// knew would be shipped untested, or tested and not shipped.
func TestTheTestsJoinTheFamiliesThatMainJoins(t *testing.T) {
	call := regexp.MustCompile(`(\w+)\.Family\(\)`)
	named := func(path string) []string {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range call.FindAllStringSubmatch(string(src), -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	if main, tests := named("../../main.go"), named("script_test.go"); !slices.Equal(main, tests) || len(main) < 9 {
		t.Errorf("main joins %v, the tests %v", main, tests)
	}
}
