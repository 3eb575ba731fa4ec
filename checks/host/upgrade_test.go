package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func golden(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	two = `Inst openssl [3.0.19-1] (3.0.22-1 Debian-Security:12/oldstable-security [amd64])
Inst libssl3 [3.0.19-1] (3.0.22-1 Debian-Security:12/oldstable-security [amd64]) []
`
	oldVersions = "ii \topenssl\tamd64\t3.0.19-1\nii \tlibssl3\tamd64\t3.0.19-1\nii \tbash\tamd64\t5.2\n"
	newVersions = "ii \topenssl\tamd64\t3.0.22-1\nhi \tlibssl3\tamd64\t3.0.22-1\nii \tbash\tamd64\t5.2\n"
	planning    = "apt-get -s -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
	downloading = "apt-get -y -q --download-only"
	installing  = "apt-get -y -q --no-download"
)

// debian is a machine on which openssl and libssl3 wait for a security fix and
// bash for a plain one.
func debian(t *testing.T) *machine {
	m := newMachine(t)
	m.says("apt-get -s upgrade", two+"Inst bash [5.2] (5.3 Debian:12.15/oldstable [amd64])\n")
	m.says(planning, two)
	m.says("dpkg-query", oldVersions)
	m.says(downloading, "Get:1 openssl\n")
	m.does(installing, func(call checks.Call) (checks.Output, error) {
		m.says("dpkg-query", newVersions)
		fmt.Fprint(call.Live, "Unpacking openssl (3.0.22-1) ...\nUnpack", "ing libssl3 (3.0.22-1) ...\nSetting up openssl (3.0.22-1) ...\nSetting up libssl3 ...\n")
		return checks.Output{}, nil
	})
	return m
}

func TestThePlanOfThisReleaseIsUnderstood(t *testing.T) {
	t.Parallel()
	plan, err := parsePlan(golden(t, "upgrade-debian12.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 116 { // what apt-get itself says
		t.Errorf("%d changes", len(plan))
	}
	want := change{"libgcrypt20-dev", "1.10.1-3", "1.10.1-3+deb12u1", "Debian:12.15/oldstable, Debian-Security:12/oldstable-security", true}
	if diff := cmp.Diff(want, plan[2], cmp.AllowUnexported(change{})); diff != "" {
		t.Error(diff)
	}
	if plan[0].pkg != "base-files" || plan[0].security {
		t.Errorf("the first is %+v", plan[0])
	}
}

func TestNewAndRemovedAndForeignPackagesAreUnderstood(t *testing.T) {
	t.Parallel()
	plan, err := parsePlan(golden(t, "dist-upgrade-new-kernel.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan {
		got = append(got, fmt.Sprintf("%s %q %q %v", c.pkg, c.from, c.to, c.security))
	}
	want := []string{
		`libold1 "1.0-1" "" false`, `linux-image-6.1.0-41-amd64 "" "6.1.192-2" true`, `libc6:i386 "2.36-9+deb12u10" "2.36-9+deb12u13" false`,
		`libc6 "2.36-9+deb12u10" "2.36-9+deb12u13" false`, `linux-image-amd64 "6.1.0-35" "6.1.192-2" true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAHalfUnderstoodPlanIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Inst openssl", "Inst openssl (", "Inst --purge (1 Debian:12 [amd64])", "Inst a [1] (-x Debian:12 [amd64])", "Remv ", "Remv -x [1]"} {
		if plan, err := parsePlan(two + text + "\n"); checks.ClassOf(err) != checks.Parse {
			t.Errorf("%q gives %v, %v", text, plan, err)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add(golden(f, "upgrade-debian12.txt"))
	f.Add(golden(f, "dist-upgrade-new-kernel.txt"))
	f.Add("Inst x\nRemv y\n")
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := parsePlan(text)
		for _, c := range plan {
			if strings.HasPrefix(c.pkg, "-") || strings.ContainsAny(c.pkg+c.to, " =\n\x00") {
				t.Errorf("%+v could be an option", c)
			}
		}
		if n := strings.Count("\n"+text, "\nInst "); err == nil && len(plan) < n {
			t.Errorf("%d of %d changes", len(plan), n)
		}
	})
}

func FuzzParseInstalled(f *testing.F) {
	f.Add(oldVersions)
	f.Add("rc \tx\tall\t1\niF \ty\tall\t2\n")
	f.Fuzz(func(t *testing.T, text string) {
		if in, err := parseInstalled(text); err == nil && len(in.versions) == 0 {
			t.Error("nothing is installed, and that is no error")
		}
	})
}

func TestThePreviewOfAnUpgradeListsExactlyWhatWouldChange(t *testing.T) {
	t.Parallel()
	m := debian(t)
	res := m.preview(Upgrade, nil)
	if res.Level != checks.OK || res.Target != "lms1" || res.Fingerprint == "" {
		t.Fatalf("%v %q: %s", res.Level, res.Target, res.Err)
	}
	if number(t, res, "upgrades") != 2 || number(t, res, "security") != 2 || number(t, res, "waiting") != 3 {
		t.Errorf("%+v", res.Facts)
	}
	if f, _ := res.Fact("target", "openssl"); f.Text != "3.0.22-1" {
		t.Errorf("openssl is to be at %q", f.Text)
	}
	table, _ := res.Table("packages")
	if len(table.Rows) != 2 || table.Rows[0][1].Text != "3.0.19-1" {
		t.Errorf("%+v", table)
	}
	if !m.has(planning + " --only-upgrade --no-remove install -- openssl=3.0.22-1 libssl3=3.0.22-1") {
		t.Errorf("it asked %q", m.ran)
	}
	if m.has("apt-get -y") {
		t.Error("the preview upgrades")
	}
	m.says(planning, strings.ReplaceAll(two, "3.0.22-1", "3.0.23-1"))
	if m.preview(Upgrade, nil).Fingerprint == res.Fingerprint {
		t.Error("another plan has the same fingerprint")
	}
}

func TestNamedPackagesAreTheOnlyOnes(t *testing.T) {
	t.Parallel()
	m := debian(t)
	m.says(planning+" --only-upgrade --no-remove install -- bash=5.3", "Inst bash [5.2] (5.3 Debian:12.15/oldstable [amd64])\n")
	res := m.preview(Upgrade, map[string]any{"packages": []any{"bash", "zsh"}})
	if res.Level != checks.OK || number(t, res, "upgrades") != 1 || number(t, res, "security") != 0 || !hasDetail(res, "nothing to upgrade for zsh") {
		t.Errorf("%v %+v %q %s", res.Level, res.Facts, res.Detail, res.Err)
	}
}

func TestAFullUpgradeSaysWhatItRemoves(t *testing.T) {
	t.Parallel()
	m := debian(t)
	m.says("apt-get -s dist-upgrade", golden(t, "dist-upgrade-new-kernel.txt"))
	m.says(planning+" install", golden(t, "dist-upgrade-new-kernel.txt"))
	res := m.preview(Upgrade, map[string]any{"full": true})
	if res.Level != checks.OK || number(t, res, "removed") != 1 || number(t, res, "added") != 1 || !hasDetail(res, "careful: removes libold1") {
		t.Errorf("%v %+v %q %s", res.Level, res.Facts, res.Detail, res.Err)
	}
}

func TestAnUpgradeThatCannotBeginSaysWhy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		with  func(m *machine)
		level checks.Level
		says  string
	}{
		{"half installed", func(m *machine) {
			m.says("dpkg --audit", "The following packages are only half configured:\n openssl  Secure Sockets Layer toolkit\n")
		}, checks.Unknown, "dpkg --configure -a first"},
		{"locked", func(m *machine) { m.lock("4242", "unattended-upgr") }, checks.Unknown, "process 4242 (unattended-upgr) holds the lock"},
		{"unmet", func(m *machine) {
			m.ends("apt-get -s upgrade", 100, "", "E: Unmet dependencies. Try 'apt --fix-broken install'.\n")
		}, checks.Unknown, "Unmet dependencies"},
		{"removal", func(m *machine) {
			m.ends(planning, 100, "", "E: Packages need to be removed but remove is disabled.\n")
		}, checks.Unknown, "remove is disabled"},
		{"not understood", func(m *machine) { m.says("apt-get -s upgrade", "Inst openssl ???\n") }, checks.Unknown, "not understood"},
		{"never fetched", func(m *machine) {
			must(m.t, os.Remove(filepath.Join(m.root, "var/lib/apt/periodic/update-success-stamp")))
		}, checks.Unknown, "apt-get update"},
		{"no apt", func(m *machine) { m.lacks("apt-get") }, checks.Skipped, "no apt-get"},
		{"no dpkg", func(m *machine) { must(m.t, os.Remove(filepath.Join(m.root, "var/lib/dpkg/status"))) }, checks.Skipped, "no dpkg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := debian(t)
			tt.with(m)
			if res := m.preview(Upgrade, nil); res.Level != tt.level || !strings.Contains(res.Err, tt.says) {
				t.Errorf("%v: %s", res.Level, res.Err)
			}
		})
	}
}

// lock makes the machine's kernel say that a process holds dpkg's lock.
func (m *machine) lock(pid, name string) {
	info, err := os.Stat(filepath.Join(m.root, "var/lib/dpkg/lock-frontend"))
	must(m.t, err)
	inode := info.Sys().(*syscall.Stat_t).Ino
	m.file("proc/locks", fmt.Sprintf("1: FLOCK  ADVISORY  WRITE 1 fd:00:7 0 EOF\n2: POSIX  ADVISORY  WRITE %s fd:00:%d 0 EOF\n", pid, inode))
	m.file("proc/"+pid+"/comm", name+"\n")
}

func TestOldListsAreSaid(t *testing.T) {
	t.Parallel()
	m := debian(t)
	old := time.Now().Add(-9 * 24 * time.Hour)
	must(t, os.Chtimes(filepath.Join(m.root, "var/lib/apt/periodic/update-success-stamp"), old, old))
	if res := m.preview(Upgrade, nil); !hasDetail(res, "careful: the package lists are 9 d old") {
		t.Errorf("%q", res.Detail)
	}
}

func TestAnUpgradeInstallsWhatWasConfirmed(t *testing.T) {
	t.Parallel()
	m := debian(t)
	confirmed := m.preview(Upgrade, nil).Facts
	if res := m.probe(Upgrade, confirmed); res.Level != checks.Crit {
		t.Errorf("before it the probe says %v: %s", res.Level, res.Note)
	}
	var steps []checks.Progress
	env := m.env()
	env.Before, env.Progress = confirmed, func(p checks.Progress) { steps = append(steps, p) }
	res := checks.NewRunner(env, nil).Act(t.Context(), bind(t, Upgrade, nil), env)
	if res.Level != checks.OK {
		t.Fatalf("%v: %s %s %+v", res.Level, res.Note, res.Err, res.Why)
	}
	exact := " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --only-upgrade --no-remove install -- openssl=3.0.22-1 libssl3=3.0.22-1"
	if !m.has(downloading+exact) || !m.has(installing+exact) {
		t.Errorf("it ran %q", m.ran)
	}
	if len(steps) != 4 || steps[3] != (checks.Progress{Done: 4, Total: 4, What: "setting up libssl3"}) {
		t.Errorf("progress %+v", steps)
	}
	if res := m.probe(Upgrade, confirmed); res.Level != checks.OK {
		t.Errorf("after it the probe says %v: %s", res.Level, res.Note)
	}
	m.file("run/reboot-required", "")
	if res := m.act(t.Context(), Upgrade, nil, confirmed); res.Level != checks.Warn {
		t.Errorf("with a reboot pending it is %v", res.Level)
	}
}

func TestAFailedUpgradeIsNeverGreen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		with  func(m *machine)
		level checks.Level
		class checks.Class
		says  string
	}{
		{"no mirror", func(m *machine) {
			m.ends(downloading, 100, "", "E: Failed to fetch http://deb.example/openssl.deb  Connection refused\nE: Unable to fetch some archives\n")
		}, checks.Unknown, checks.Other, "nothing is changed yet: Failed to fetch"},
		{"locked", func(m *machine) {
			m.ends(installing, 100, "", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4242 (apt-get)\n")
		}, checks.Unknown, checks.Other, "held by process 4242 (apt-get)"},
		{"no rights", func(m *machine) {
			m.ends(downloading, 100, "", "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock, are you root?\n")
		}, checks.Unknown, checks.Denied, "are you root"},
		{"a script failed", func(m *machine) {
			m.does(installing, func(checks.Call) (checks.Output, error) {
				m.says("dpkg-query", strings.Replace(newVersions, "ii \topenssl", "iF \topenssl", 1))
				return checks.Output{Code: 100, Stderr: []byte("E: Sub-process /usr/bin/dpkg returned an error code (1)\n")}, nil
			})
		}, checks.Crit, "", "Sub-process /usr/bin/dpkg"},
		{"apt did nothing and said nothing", func(m *machine) { m.says(installing, "") }, checks.Crit, "", "0 of 2 packages"},
		{"dpkg does not answer", func(m *machine) { m.says("dpkg-query", "") }, checks.Unknown, checks.NoData, ""},
		{"no apt", func(m *machine) { m.lacks("apt-get -y") }, checks.Skipped, checks.Unconfigured, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := debian(t)
			confirmed := m.preview(Upgrade, nil).Facts
			if tt.name == "dpkg does not answer" {
				m.says(installing, "")
			}
			tt.with(m)
			res := m.act(t.Context(), Upgrade, nil, confirmed)
			if res.Level != tt.level || res.Class != tt.class || !strings.Contains(res.Note+res.Err, tt.says) {
				t.Errorf("%v %q: %s %s", res.Level, res.Class, res.Note, res.Err)
			}
			if p := m.probe(Upgrade, confirmed); p.Level == checks.OK {
				t.Errorf("the probe says %v", p.Level)
			}
		})
	}
}

func TestACancelBeforeTheInstallationChangesNothing(t *testing.T) {
	t.Parallel()
	m := debian(t)
	confirmed := m.preview(Upgrade, nil).Facts
	ctx, cancel := context.WithCancel(t.Context())
	m.does(downloading, func(checks.Call) (checks.Output, error) {
		cancel()
		return checks.Output{Code: -1}, fmt.Errorf("apt-get was ended: %w", context.Canceled)
	})
	if res := m.act(ctx, Upgrade, nil, confirmed); res.Level != checks.Unknown || m.has(installing) {
		t.Errorf("%v %s; ran %q", res.Level, res.Err, m.ran)
	}
}

func TestNothingIsUpgradedWithoutAConfirmedPreview(t *testing.T) {
	t.Parallel()
	m := debian(t)
	hostile := []fact.Fact{fact.Number("upgrades", 1), fact.Word("target", "1").On("-oDPkg::Pre-Invoke::=id")}
	for _, facts := range [][]fact.Fact{nil, hostile} {
		if res := m.act(t.Context(), Upgrade, nil, facts); res.Level != checks.Unknown {
			t.Errorf("%v", res.Level)
		}
	}
	if len(m.ran) > 0 {
		t.Errorf("it ran %q", m.ran)
	}
	if _, problems := checks.NewCheck(Upgrade, "u", map[string]any{"packages": []any{"--purge"}}, checks.Rules{}); len(problems) == 0 {
		t.Error("an option binds as a package")
	}
}

func TestNothingWaitingIsDoneAndFine(t *testing.T) {
	t.Parallel()
	m := debian(t)
	m.says("apt-get -s upgrade", "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
	confirmed := m.preview(Upgrade, nil)
	if confirmed.Level != checks.OK || number(t, confirmed, "upgrades") != 0 {
		t.Errorf("%v %s", confirmed.Level, confirmed.Err)
	}
	if res := m.act(t.Context(), Upgrade, nil, confirmed.Facts); res.Level != checks.OK || m.has("apt-get -y") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	if res := m.probe(Upgrade, confirmed.Facts); res.Level != checks.OK {
		t.Errorf("the probe says %v", res.Level)
	}
}

// TestTheRealAptIsUnderstood asks this host's own apt-get, if it has one; only
// questions pass.
func TestTheRealAptIsUnderstood(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/bin/apt-get"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("no apt-get")
		}
		t.Skip("no apt-get on this host")
	}
	run := command.NewExec()
	asks := func(ctx context.Context, call checks.Call) (checks.Output, error) {
		line := strings.Join(call.Argv, " ")
		if !strings.HasPrefix(line, "apt-get -s ") && line != "dpkg --audit" && !strings.HasPrefix(line, "dpkg-query -W ") {
			return checks.Output{}, errors.New("a test may not run " + line)
		}
		return run(ctx, call)
	}
	env := checks.Env{Root: "/", Exec: asks, Now: time.Now, Token: "opsdeck/test"}
	runner := checks.NewRunner(env, nil)
	res := runner.Preview(t.Context(), bind(t, Upgrade, nil), env)
	if res.Class == checks.Parse || res.Class == checks.Internal || res.Level == checks.Unknown && !strings.Contains(res.Err, "half installed") && !strings.Contains(res.Err, "holds the lock") && !strings.Contains(res.Err, "never fetched") {
		t.Errorf("%v %q: %s", res.Level, res.Class, res.Err)
	}
	env.Before = res.Facts
	if res.Level == checks.OK {
		if p := runner.Probe(t.Context(), bind(t, Upgrade, nil), env, checks.Rule{}); p.Level == checks.Unknown {
			t.Errorf("the probe: %s", p.Err)
		}
	}
}
