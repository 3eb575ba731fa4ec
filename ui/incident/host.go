package incident

import (
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// host is the machine: /var full, its disk saturated.
func host() []*state {
	cpu := check("sys.cpu", "sys.cpu", "31 % busy", calm60,
		fact.Pct("busy", 31), fact.Pct("user", 22), fact.Pct("system", 6), fact.Pct("iowait", 3), fact.Pct("steal", 0), fact.Pct("hottest", 88),
		fact.Number("load1", 9.1), fact.Number("load5", 8.7), fact.Number("load15", 4), fact.Number("load_per_core", 0.5), fact.Number("cores", 8),
		fact.Number("runnable", 2), fact.Number("blocked", 14), fact.Dur("measured", time.Minute))
	mem := check("sys.mem", "sys.mem", "62 % used", calm60,
		fact.Pct("used", 62), fact.Pct("swap_used", 5), fact.Size("available", 5.9*gib), fact.Size("total", 15.6*gib), fact.Size("swap_total", 2.0*gib),
		fact.Number("swap_in", 0), fact.Number("swap_out", 0), fact.Number("oom_kills", 0))
	psi := check("sys.psi", "sys.psi", "tasks wait for disks", "...................................................=========",
		fact.Pct("cpu_some", 0.4), fact.Pct("mem_some", 0), fact.Pct("mem_full", 0), fact.Pct("io_some", 61), fact.Pct("io_full", 44)).
		bad(checks.Warn, "02:52", broke("io_full", "", "> 10%")).trend("io_full", climb(1, 44))
	disk := check("sys.disk", "sys.disk", "/var 100 % full, 0 B free", ".................................................===########",
		fact.Pct("used", 41).On("/"), fact.Size("free", 23.0*gib).On("/"), fact.Size("total", 40.0*gib).On("/"), fact.Pct("inodes", 9).On("/"), fact.Flag("read_only", false).On("/"), fact.Flag("answered", true).On("/"),
		fact.Pct("used", 100).On("/var"), fact.Size("free", 0.0).On("/var"), fact.Size("total", 62.0*gib).On("/var"), fact.Pct("inodes", 12).On("/var"), fact.Flag("read_only", false).On("/var"), fact.Flag("answered", true).On("/var"),
		fact.Pct("used", 57).On("/srv/backups"), fact.Size("free", 210.0*gib).On("/srv/backups"), fact.Size("total", 500.0*gib).On("/srv/backups"), fact.Dur("full_in", 91*24*time.Hour).On("/srv/backups"), fact.Flag("read_only", false).On("/srv/backups"), fact.Flag("answered", true).On("/srv/backups"),
		fact.Pct("used", 18).On("/boot"), fact.Size("free", 800.0*mib).On("/boot"), fact.Size("total", 1.0*gib).On("/boot"), fact.Flag("read_only", false).On("/boot"), fact.Flag("answered", true).On("/boot")).
		bad(checks.Crit, "02:51", broke("used", "/var", "> 90%")).trend("used|/var", climb(40, 100))
	io := check("sys.diskio", "sys.diskio", "vda is saturated", "...................................................=========",
		fact.Pct("busy", 99).On("vda"), fact.Dur("latency", 140*time.Millisecond).On("vda"), fact.Number("queue", 31).On("vda"), fact.Size("read", 1.2*mib).On("vda"), fact.Size("written", 38.0*mib).On("vda"),
		fact.Pct("busy", 4).On("vdb"), fact.Dur("latency", 2*time.Millisecond).On("vdb"), fact.Number("queue", 0).On("vdb"), fact.Size("read", 0.0).On("vdb"), fact.Size("written", 40.0*kib).On("vdb")).
		bad(checks.Warn, "02:52", broke("latency", "vda", "> 50ms")).trend("busy|vda", climb(20, 99))
	net := check("sys.net", "sys.net", "1.5 MiB/s", calm60,
		fact.Size("in", 0.4*mib).On("eth0"), fact.Size("out", 1.1*mib).On("eth0"), fact.Pct("errors", 0).On("eth0"), fact.Number("drops", 0).On("eth0"),
		fact.Number("established", 311), fact.Pct("retransmits", 0.1), fact.Number("listen_drops", 0))
	procs := check("sys.procs", "sys.procs", "311 processes", calm60,
		fact.Number("total", 311), fact.Number("running", 2), fact.Number("zombies", 0), fact.Number("blocked", 14), fact.Pct("files", 12), fact.Pct("pids", 1)).
		table("top_cpu", "pid user cpu mem rss state command",
			row(4411, "postgres", 11.0, 3.1, size(0.5*gib), "D", "postgres"), row(913, "lms", 8.2, 9.0, size(1.4*gib), "S", "node backend.js"), row(702, "www-data", 3.1, 0.4, size(62*mib), "S", "nginx")).
		table("top_mem", "pid user cpu mem rss state command",
			row(913, "lms", 8.2, 9.0, size(1.4*gib), "S", "node backend.js"), row(811, "postgres", 0.2, 6.6, size(1.0*gib), "S", "postgres"), row(640, "redis", 0.1, 1.3, size(212*mib), "S", "redis-server"))
	up := check("sys.uptime", "sys.uptime", "up 41 d", strings.Repeat("=", 60),
		fact.Dur("up", 41*24*time.Hour), fact.At("booted", Night.Add(-41*24*time.Hour)), fact.Flag("reboot_required", true), fact.Word("kernel", "6.1.0-28-amd64")).
		bad(checks.Warn, "01:00", checks.Breach{Fact: "reboot_required", Rule: "reboot_required == true"})
	return []*state{cpu, mem, psi, disk, io, net, procs, up}
}

const calm60 = "............................................................"
