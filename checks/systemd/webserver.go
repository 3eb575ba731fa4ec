package systemd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/nginx"
)

// isNginx tells whether the service is nginx, by its name or by what it starts.
func (s state) isNginx() bool {
	return s.name == "nginx.service" || len(s.service.argv) > 0 && filepath.Base(s.service.argv[0]) == "nginx"
}

// testNginx tests the configuration that the service would load: that of its
// own command line. If the site file names another, its tests say nothing of
// the service, and nothing is reloaded.
func testNginx(ctx context.Context, env checks.Env, s state) (nginx.Tested, error) {
	starts := checks.Nginx{Config: option(s.service.argv, "-c"), Prefix: option(s.service.argv, "-p")}
	if len(s.service.argv) > 0 {
		starts.Binary = s.service.argv[0]
	}
	site := env.Site.Nginx
	switch {
	case starts.Config == "" && site.Config == "/etc/nginx/nginx.conf": // as every distribution builds it
	case site.Config != "" && site.Config != starts.Config:
		return nginx.Tested{}, checks.Failed(checks.Other, "%s starts %q, the site file's nginx.config is %s: not what is served would be tested", s.name, strings.Join(s.service.argv, " "), site.Config)
	}
	return nginx.Test(ctx, env, starts)
}

func option(argv []string, name string) string {
	if i := slices.Index(argv, name); i > 0 && i+1 < len(argv) {
		return argv[i+1]
	}
	return ""
}

// workers counts the children of a process that started after an instant, in
// the kernel's clock ticks since boot, and says when the newest did. A reload of
// nginx that worked has new ones; one that nginx gave up has not, and "nginx -s
// reload" ends with 0 all the same.
func workers(root string, parent int, after int64) (started int, newest int64, err error) {
	proc := filepath.Join(root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0, 0, fmt.Errorf("looking for nginx's workers: %w", err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := hostfs.Read(filepath.Join(proc, e.Name(), "stat"), maxFile)
		if err != nil {
			continue // it has ended
		}
		ppid, began, ok := parseStat(string(text))
		if !ok {
			return 0, 0, checks.Failed(checks.Parse, "proc/%s/stat: %.80q", e.Name(), text)
		}
		if ppid != parent {
			continue
		}
		newest = max(newest, began)
		if began > after {
			started++
		}
	}
	return started, newest, nil
}

// parseStat reads the parent and the start of a process. Its name, in brackets,
// may hold blanks and brackets.
func parseStat(text string) (parent int, began int64, ok bool) {
	const ppid, starttime = 1, 19 // after the name
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) <= starttime {
		return 0, 0, false
	}
	parent, errParent := strconv.Atoi(fields[ppid])
	began, errBegan := strconv.ParseInt(fields[starttime], 10, 64)
	return parent, began, errParent == nil && errBegan == nil
}
