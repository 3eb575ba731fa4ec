package cli

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func TestOnlyUnwrittenMappingsOfTheProgramAreGivenBack(t *testing.T) {
	const self = "/usr/local/bin/opsdeck"
	for line, want := range map[string]bool{
		"00400000-00e8f000 r-xp 00000000 fe:00 1234 " + self:                true,
		"00e8f000-01f00000 r--p 00a8f000 fe:00 1234 " + self:                true,
		"01f00000-01f50000 rw-p 01b00000 fe:00 1234 " + self:                false, // what the program has changed
		"00400000-00e8f000 r-xs 00000000 fe:00 1234 " + self:                false,
		"7f0000000000-7f0000100000 r--p 00000000 fe:00 99 /usr/lib/zone.db": false,
		"7f0000000000-7f0000100000 r--p 00000000 00:00 0":                   false,
		"zz-00e8f000 r-xp 00000000 fe:00 1234 " + self:                      false,
		"00e8f000-00400000 r-xp 00000000 fe:00 1234 " + self:                false,
	} {
		if _, _, got := unchanged(line, self); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestGivingPagesBackMakesTheProgramSmallerAndHarmsNothing(t *testing.T) {
	before := fileMemory(t)
	if err := dropPages("/proc/self"); err != nil {
		t.Fatal(err)
	}
	if after := fileMemory(t); after >= before {
		t.Errorf("%d KiB of the file were in memory, now %d", before, after)
	}
}

// fileMemory is how much of its files the process has in memory, in KiB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Skip("this kernel does not tell memory of files apart")
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
