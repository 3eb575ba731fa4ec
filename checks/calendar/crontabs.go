package calendar

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// crontab is a file to read. Without an owner its entries name their users.
type crontab struct{ path, owner string }

// crontabs lists the crontabs of the host; folders that may not be listed are
// noted in the plan.
func (h host) crontabs(p *plan) []crontab {
	tabs := []crontab{{path: "etc/crontab"}}
	for _, name := range h.names(p, "etc/cron.d", h.inCronD) {
		tabs = append(tabs, crontab{path: path.Join("etc/cron.d", name)})
	}
	// Debian keeps users' crontabs in a folder of its own, others do not.
	for _, folder := range []string{"var/spool/cron/crontabs", "var/spool/cron"} {
		for _, name := range h.names(p, folder, userName.MatchString) {
			tabs = append(tabs, crontab{path.Join(folder, name), name})
		}
	}
	return tabs
}

var (
	userName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)
	runPartName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	leftOver    = regexp.MustCompile(`^\.|~$|\.(rpmsave|rpmorig|rpmnew|dpkg-[a-z]+|swp)$`)
)

// inCronD reports whether cron reads a file of that name: Debian's leaves out
// all with a dot, others what editors and packages leave behind.
func (h host) inCronD(name string) bool {
	if h.exists("etc/debian_version") {
		return runPartName.MatchString(name)
	}
	return !leftOver.MatchString(name)
}

// names lists the files of a folder that cron would read, links included.
func (h host) names(p *plan, folder string, reads func(string) bool) []string {
	entries, err := h.list(folder)
	if err != nil {
		p.miss("/"+folder, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && reads(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

var (
	// unless matches `test -x /usr/sbin/anacron || …` and `[ -d /run/x ] || …`:
	// where the path exists, the rest does not run.
	unless = regexp.MustCompile(`^(?:test\s+-[edfx]\s+(/\S+)|\[\s+-[edfx]\s+(/\S+)\s+\])\s*\|\|\s*`)
	// parts matches the folder of a run-parts.
	parts = regexp.MustCompile(`run-parts\s.*(/etc/cron\.(?:hourly|daily|weekly|monthly))\b`)
)

// commands are what an entry's command comes to on this host: nothing where it
// is only for hosts that lack something, the scripts of a folder where it runs
// them all.
func (p *plan) commands(h host, command, source string) []string {
	command = strings.TrimSpace(command)
	text := strings.TrimPrefix(strings.TrimPrefix(command, "root "), "cd / && ")
	for {
		m := unless.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		guard := unless.FindStringSubmatch(text)
		if h.exists(guard[1] + guard[2]) {
			return nil
		}
		text = strings.TrimLeft(text[m[1]:], "( {")
	}
	if m := parts.FindStringSubmatch(text); m != nil {
		return p.scripts(h, m[1], command, source)
	}
	return []string{command}
}

// scripts are those that run-parts would start from the folder.
func (p *plan) scripts(h host, folder, command, source string) []string {
	entries, err := h.list(folder)
	if err != nil {
		p.miss(folder, err)
		return []string{command}
	}
	var scripts []string
	for _, e := range entries {
		if !runPartName.MatchString(e.Name()) && h.exists("etc/debian_version") || leftOver.MatchString(e.Name()) {
			continue
		}
		script := path.Join(folder, e.Name())
		executable, err := h.executable(script)
		if err != nil {
			p.miss(script, err)
		}
		if executable {
			scripts = append(scripts, script)
		}
	}
	if len(scripts) == 0 {
		p.notes = append(p.notes, fmt.Sprintf("%s runs %s, where nothing is", source, folder))
	}
	return scripts
}

// anacron notes that its jobs are not counted: it runs what a day has missed,
// at a time nobody can foretell.
func (p *plan) anacron(h host) {
	if !h.exists("usr/sbin/anacron") {
		return
	}
	content, err := h.read("etc/anacrontab")
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		p.miss("/etc/anacrontab", err)
		return
	}
	jobs := 0
	for line := range strings.SplitSeq(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !setting.MatchString(line) {
			jobs++
		}
	}
	if jobs > 0 {
		p.notes = append(p.notes, fmt.Sprintf("careful: %d jobs of /etc/anacrontab run when anacron finds them due, in the window too", jobs))
	}
}
