// Opsdeck is a terminal console for engineers who walk maintenance-window
// checklists and triage incidents over SSH.
//
// This file is the whole program: the families of checks, the shipped
// runbooks, and the command line over them.
package main

import (
	// First, and before bubbletea: see the package for why.
	_ "github.com/advanced-lms/opsdeck/ui/theme/settled"

	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // hosts without a zone database keep their windows too

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/backup"
	"github.com/advanced-lms/opsdeck/checks/calendar"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/docker"
	"github.com/advanced-lms/opsdeck/checks/documents"
	"github.com/advanced-lms/opsdeck/checks/files"
	"github.com/advanced-lms/opsdeck/checks/git"
	"github.com/advanced-lms/opsdeck/checks/host"
	"github.com/advanced-lms/opsdeck/checks/load"
	"github.com/advanced-lms/opsdeck/checks/logs"
	"github.com/advanced-lms/opsdeck/checks/maintenance"
	"github.com/advanced-lms/opsdeck/checks/nginx"
	"github.com/advanced-lms/opsdeck/checks/notify"
	"github.com/advanced-lms/opsdeck/checks/npm"
	"github.com/advanced-lms/opsdeck/checks/pgbouncer"
	"github.com/advanced-lms/opsdeck/checks/policy"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/prometheus"
	"github.com/advanced-lms/opsdeck/checks/record"
	"github.com/advanced-lms/opsdeck/checks/redis"
	"github.com/advanced-lms/opsdeck/checks/retention"
	"github.com/advanced-lms/opsdeck/checks/rotation"
	"github.com/advanced-lms/opsdeck/checks/scan"
	"github.com/advanced-lms/opsdeck/checks/secret"
	"github.com/advanced-lms/opsdeck/checks/system"
	"github.com/advanced-lms/opsdeck/checks/systemd"
	"github.com/advanced-lms/opsdeck/checks/tlscert"
	"github.com/advanced-lms/opsdeck/checks/trend"
	"github.com/advanced-lms/opsdeck/checks/web"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/ui/cli"
)

func main() { os.Exit(run()) }

func run() int {
	crash.Begin()
	defer crash.Recover()
	crash.Point("main")
	// State, reports and logs are for their owner alone.
	syscall.Umask(0o077)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return cli.Main(ctx, cli.Program{
		Version: version(),
		Families: []checks.Family{
			backup.Family(),
			calendar.Family(),
			certbot.Family(),
			command.Family(),
			docker.Family(),
			documents.Family(),
			files.Family(),
			git.Family(),
			host.Family(),
			load.Family(),
			logs.Family(),
			maintenance.Family(),
			nginx.Family(),
			notify.Family(),
			npm.Family(),
			pgbouncer.Family(),
			policy.Family(),
			postgres.Family(),
			prometheus.Family(),
			record.Family(),
			redis.Family(),
			retention.Family(),
			rotation.Family(),
			scan.Family(),
			secret.Family(),
			system.Family(),
			systemd.Family(),
			tlscert.Family(),
			trend.Family(),
			web.Family(),
		},
		Library: library.FS,
		Stdin:   os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv,
	}, os.Args[1:])
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
