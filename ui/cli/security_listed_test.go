package cli_test

import (
	"os"
	"regexp"
	"testing"
)

// TestEverySecurityPromiseHasItsTest holds the table of the security page to the
// tests that there are.
func TestEverySecurityPromiseHasItsTest(t *testing.T) {
	page, err := os.ReadFile("../../.github/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(string(page), -1) {
		promises[row[1]+": "+row[2]] = regexp.MustCompile(`\bTest\w+`).FindAllString(row[3], -1)
	}
	if len(promises) != 18 {
		t.Fatalf("the page makes %d promises, want 18", len(promises))
	}
	for promise, tests := range promises {
		if len(tests) == 0 {
			t.Errorf("%s: no test is named", promise)
		}
	}
	listed(t, promises)
}
