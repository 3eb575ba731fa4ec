package system

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestModulesKeepTheirPromises(t *testing.T) { checktest.Family(t, Family()) }

// TestThisHostCanBeRead runs every module on the host the tests run on, as
// root and as an ordinary user, and asks only for an answer.
func TestThisHostCanBeRead(t *testing.T) {
	for _, m := range modules {
		for user, m := range map[string]*checks.Module{"self": m, "ordinary": asNobody(t, m)} {
			t.Run(m.Name+"/"+user, func(t *testing.T) {
				t.Parallel()
				raw := map[string]any{}
				if _, ok := m.Param("sample"); ok {
					raw["sample"] = "200ms"
				}
				res := watch(t, checks.Env{Root: "/"}, m, raw).run()
				if res.Level == checks.Unknown || res.Level == checks.Skipped && m != PSI && m != DiskIO {
					t.Errorf("%v: %s", res.Level, res.Err)
				}
				if res.Note == "" || len(res.Note) > 90 {
					t.Errorf("the note %q does not fit a line", res.Note)
				}
			})
		}
	}
}

// sources are the files that each module cannot do without.
var sources = map[string][]string{
	"sys.cpu":    {"proc/stat", "proc/loadavg", "proc/self/mountinfo"},
	"sys.mem":    {"proc/meminfo", "proc/vmstat"},
	"sys.disk":   {"proc/self/mountinfo"},
	"sys.diskio": {"proc/diskstats"},
	"sys.net":    {"proc/net/dev", "proc/net/snmp", "proc/net/netstat"},
	"sys.psi":    {"proc/pressure/cpu", "proc/pressure/memory", "proc/pressure/io"},
	"sys.uptime": {"proc/uptime", "proc/sys/kernel/osrelease"},
	"sys.procs":  {"proc/400/stat", "proc/meminfo", "proc/sys/fs/file-nr", "proc/loadavg", "proc/sys/kernel/pid_max"},
}

func eachSource(t *testing.T, scene func(t *testing.T, m *checks.Module, file string)) {
	t.Helper()
	for _, m := range modules {
		for _, file := range sources[m.Name] {
			t.Run(m.Name+"/"+file, func(t *testing.T) { scene(t, m, file) })
		}
		if len(sources[m.Name]) == 0 {
			t.Errorf("no sources of %s are listed", m.Name)
		}
	}
}

func TestAForbiddenFileIsDeniedAndNeverZero(t *testing.T) {
	eachSource(t, func(t *testing.T, m *checks.Module, file string) {
		unknown(t, now(t, asNobody(t, m), nil, func(tr tree) { tr.open().mode(file, 0) }), checks.Denied)
	})
}

func TestAFileOfNonsenseIsNeverZero(t *testing.T) {
	for _, nonsense := range []string{"", "\n", "no such thing\n", "some avg10=x avg60=y\n", "cpu cpu cpu cpu cpu\n", "-1 -1 -1\n", "NaN NaN NaN 1/NaN"} {
		eachSource(t, func(t *testing.T, m *checks.Module, file string) {
			if file == "proc/sys/kernel/osrelease" {
				t.Skip("any text is a release")
			}
			res := now(t, m, nil, func(tr tree) { tr.write(file, nonsense) })
			if res.Level == checks.Skipped && file == "proc/diskstats" && nonsense == "" {
				return // a host without disks
			}
			if res.Level != checks.Unknown || res.Class != checks.Parse && res.Class != checks.NoData {
				t.Errorf("%q gives %v, class %q: %s", nonsense, res.Level, res.Class, res.Err)
			}
		})
	}
}

func TestAMissingFileIsNotAPass(t *testing.T) {
	eachSource(t, func(t *testing.T, m *checks.Module, file string) {
		res := now(t, m, nil, func(tr tree) { tr.remove(file) })
		gone := file == "proc/400/stat" // a process that ended
		if !gone && res.Level != checks.Unknown && (m != PSI || res.Level != checks.Skipped) {
			t.Errorf("%v: %s", res.Level, res.Note)
		}
	})
}

func TestANamedPipeInTheWayDoesNotBlock(t *testing.T) {
	tr := calm(t)
	tr.remove("proc/uptime")
	mkfifo(t, filepath.Join(tr.dir, "proc/uptime"))
	unknown(t, watch(t, checks.Env{Root: tr.dir}, Uptime, nil).run(), checks.Other)
}

func TestUptime(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", unchanged, checks.OK, ""},
		{"just booted", func(tr tree) { tr.write("proc/uptime", "59.01 100.0\n") }, checks.Warn, "up"},
		{"update installed", func(tr tree) { tr.write("run/reboot-required", "*** System restart required ***\n") }, checks.Warn, "reboot_required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, now(t, Uptime, nil, tt.change), tt.level, tt.because) })
	}
}

func TestOnADistributionWithoutTheFlagNothingIsClaimedAboutReboots(t *testing.T) {
	res := now(t, Uptime, nil, func(tr tree) { tr.remove("etc/debian_version") })
	judged(t, res, checks.OK, "")
	if f, ok := res.Fact("reboot_required", ""); ok {
		t.Errorf("it claims %v", f.Bool())
	}
}

func TestUptimeTellsTheInstantInTheSitesZone(t *testing.T) {
	tr := calm(t)
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	env := checks.Env{Root: tr.dir, Now: func() time.Time { return at }, Site: checks.SiteFacts{Zone: time.FixedZone("", 3600)}}
	res := watch(t, env, Uptime, nil).run()
	if got, want := value(t, res, "booted", "").Text, "2026-11-23T02:46:23.000+01:00"; got != want {
		t.Errorf("booted %s, want %s", got, want)
	}
}

func TestPSI(t *testing.T) {
	lines := func(some, full string) string {
		return fmt.Sprintf("some avg10=%s avg60=%s avg300=0.00 total=1\nfull avg10=%s avg60=%s avg300=0.00 total=1\n", some, some, full, full)
	}
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", unchanged, checks.OK, ""},
		{"disk", func(tr tree) { tr.write("proc/pressure/io", lines("61.00", "12.00")) }, checks.Warn, "io_full"},
		{"disk alone", func(tr tree) { tr.write("proc/pressure/io", lines("61.00", "44.00")) }, checks.Crit, "io_full"},
		{"thrashing", func(tr tree) { tr.write("proc/pressure/memory", lines("41.00", "3.00")) }, checks.Crit, "mem_some_60"},
		{"processor alone never fails", func(tr tree) { tr.write("proc/pressure/cpu", lines("99.00", "0.00")) }, checks.Warn, "cpu_some_60"},
		{"a kernel without it", func(tr tree) { tr.remove("proc/pressure") }, checks.Skipped, ""},
		{"no host at all", func(tr tree) { tr.remove("proc") }, checks.Unknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, now(t, PSI, nil, tt.change), tt.level, tt.because) })
	}
}

func TestWithoutARootNothingIsRead(t *testing.T) {
	for _, m := range modules {
		unknown(t, watch(t, checks.Env{}, m, nil).run(), checks.Unconfigured)
	}
}

func TestFilesBeyondTheBoundAreRefused(t *testing.T) {
	tr := calm(t)
	if err := os.Truncate(filepath.Join(tr.dir, "proc/uptime"), maxFile+1); err != nil {
		t.Fatal(err)
	}
	unknown(t, watch(t, checks.Env{Root: tr.dir}, Uptime, nil).run(), checks.Limit)
}

func BenchmarkCPU(b *testing.B)    { benchmark(b, CPU) }
func BenchmarkMem(b *testing.B)    { benchmark(b, Mem) }
func BenchmarkDisk(b *testing.B)   { benchmark(b, Disk) }
func BenchmarkDiskIO(b *testing.B) { benchmark(b, DiskIO) }
func BenchmarkNet(b *testing.B)    { benchmark(b, Net) }
func BenchmarkPSI(b *testing.B)    { benchmark(b, PSI) }
func BenchmarkUptime(b *testing.B) { benchmark(b, Uptime) }
func BenchmarkProcs(b *testing.B)  { benchmark(b, Procs) }

// benchmark is one run of a module on this host as the monitor makes it: the
// counters of two seconds ago are remembered.
func benchmark(b *testing.B, m *checks.Module) {
	args, problems := checks.Bind(m, nil)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	at := time.Now()
	env := checks.Env{Root: "/", Memory: &checks.Memory{}, Now: func() time.Time { at = at.Add(2 * time.Second); return at }}
	if _, err := m.Run(b.Context(), env, args); err != nil { // the first run waits for its sample
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Run(b.Context(), env, args); err != nil {
			b.Fatal(err)
		}
	}
}
