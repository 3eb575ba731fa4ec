package cli

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
		if got, err := unchanged(strings.NewReader(line), self); err != nil || (len(got) == 1) != want {
			t.Errorf("%q: %v %v", line, got, err)
		}
	}
}

// A program that is not linked statically has had its addresses put into pages
// that can then be written no more: dropped, they would be those of the file.
func TestPagesThatAreTheProcesssOwnAreKept(t *testing.T) {
	const self = "/usr/local/bin/opsdeck"
	mapped := func(addresses, anonymous, swap string) string {
		return addresses + " r--p 00000000 fe:00 1234 " + self + "\nSize: 8 kB\nAnonymous:       " + anonymous + " kB\nSwap:            " + swap + " kB\nVmFlags: rd mr mw me sd \n"
	}
	smaps := mapped("1000-3000", "0", "0") + mapped("3000-5000", "8", "0") + mapped("5000-7000", "0", "4") +
		"7000-9000 rw-p 00000000 00:00 0 [heap]\nAnonymous:       8 kB\nSwap:            0 kB\n" + mapped("9000-b000", "0", "0")
	got, err := unchanged(strings.NewReader(smaps), self)
	if want := []mapping{{0x1000, 0x3000}, {0x9000, 0xb000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%x, want %x: %v", got, want, err)
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
