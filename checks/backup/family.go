package backup

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the modules that make backup files and look at them.
func Family() checks.Family {
	return checks.Family{
		Name:    "backup",
		Doc:     "Backup files: age, completeness, size against the one before, a second place, a new one.",
		Modules: modules,
	}
}

// setParams name the files: a set of the site file, or a directory and a
// pattern given here.
func setParams() []checks.Param {
	return []checks.Param{
		{Name: "set", Type: checks.TextParam, Names: "backups", Doc: "backup set of the site file; without it, and without dir, the only one there is", Example: "db"},
		{Name: "dir", Type: checks.TextParam, Doc: "directory of the backups, instead of a set", Example: "/var/backups/advanced-lms"},
		{Name: "glob", Type: checks.TextParam, Doc: "names of the backups in dir, * without it", Example: "db_backup_2*.sql.gz"},
		{Name: "marker", Type: checks.TextParam, Doc: "what is added to a backup's name to make that of its completion marker; a backup without the marker is unfinished", Example: ".done"},
		{Name: "settle", Type: checks.DurationParam, Default: "2s", Doc: "how long a recent file is watched to see whether it grows; unused with a marker"},
	}
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
