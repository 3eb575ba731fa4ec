package step

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// Logind is a sentence about whether the end of a login would end the steps
// that this process starts, however well they hide from the terminal; "" if it
// would not, or there is no systemd. Two things can: the session's scope is
// killed as a whole where KillUserProcesses is on, and a user's manager ends
// with the user's last session unless the user lingers.
func Logind() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return logind("/", name)
}

// logind reads under root what it means for processes of the user.
func logind(root, name string) string {
	raw, err := hostfs.Read(filepath.Join(root, "proc/self/cgroup"), maxFile)
	if err != nil {
		return "" // no cgroups: nothing that could be killed as a whole
	}
	place := systemdPlace(string(raw))
	unit := path.Base(place)
	switch {
	case strings.HasPrefix(unit, "session-") && strings.HasSuffix(unit, ".scope"):
		return sessionWarning(root, name)
	case strings.Contains(place+"/", "/user@"):
		if exists(filepath.Join(root, "var/lib/systemd/linger", name)) {
			return ""
		}
		return fmt.Sprintf("when the last session of %s ends, systemd ends this process and its actions with it: `loginctl enable-linger %s` keeps them", name, name)
	}
	return ""
}

func sessionWarning(root, name string) string {
	const remedy = "start opsdeck with `systemd-run --scope`, or set KillUserProcesses=no"
	kills, where := killsProcesses(root, name)
	switch {
	case kills && where == "":
		return "whether logging out ends running actions is not said in logind.conf, and systemd's own default is that it does: " + remedy
	case kills:
		return fmt.Sprintf("logging out ends running actions, because of KillUserProcesses in %s: %s", where, remedy)
	}
	return ""
}

// systemdPlace is the process's own place in systemd's tree: of the unified
// hierarchy, or of the one that bears systemd's name.
func systemdPlace(cgroups string) string {
	var unified string
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "name=systemd" {
			return parts[2]
		}
		if parts[0] == "0" && parts[1] == "" {
			unified = parts[2]
		}
	}
	return unified
}

// killsProcesses reports whether logind kills what a session of the user
// leaves, and which file says so: "" if none does.
func killsProcesses(root, name string) (kills bool, where string) {
	settings := map[string]string{}
	origin := map[string]string{}
	files := logindFiles(root)
	for _, file := range files {
		raw, err := hostfs.Read(filepath.Join(root, file), maxFile)
		if err != nil {
			continue // one that cannot be read says nothing, as if it were not there
		}
		for key, value := range loginSection(string(raw)) {
			settings[key], origin[key] = value, file
		}
	}
	excluded, set := settings["KillExcludeUsers"]
	if !set {
		excluded = "root"
	}
	if slices.Contains(strings.Fields(excluded), name) {
		return false, ""
	}
	if only := strings.Fields(settings["KillOnlyUsers"]); len(only) > 0 {
		return slices.Contains(only, name), origin["KillOnlyUsers"]
	}
	value, set := settings["KillUserProcesses"]
	if !set {
		value, where = shippedDefault(root, files)
		return value != "no", where
	}
	return isTrue(value), origin["KillUserProcesses"]
}

// logindFiles lists the files in the order in which they are read: the main
// one, then the drop-ins by name, of which the first folder's hides the others'.
func logindFiles(root string) []string {
	folders := []string{"etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd"}
	var files []string
	for _, folder := range folders {
		if main := path.Join(folder, "logind.conf"); exists(filepath.Join(root, main)) {
			files = append(files, main)
			break
		}
	}
	dropIns := map[string]string{}
	for _, folder := range slices.Backward(folders) {
		names, _ := filepath.Glob(filepath.Join(root, folder, "logind.conf.d", "*.conf")) // the pattern is well formed
		for _, name := range names {
			dropIns[filepath.Base(name)] = path.Join(folder, "logind.conf.d", filepath.Base(name))
		}
	}
	var order []string
	for name := range dropIns {
		order = append(order, name)
	}
	slices.Sort(order)
	for _, name := range order {
		files = append(files, dropIns[name])
	}
	return files
}

// loginSection is what the section [Login] sets.
func loginSection(text string) map[string]string {
	set, inside := map[string]string{}, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "[Login]"
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if inside && ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			set[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return set
}

// shippedDefault is what a commented-out line of the main file says:
// distributions change the default and keep it there. Without one the default
// is not known.
func shippedDefault(root string, files []string) (value, where string) {
	if len(files) == 0 {
		return "", ""
	}
	raw, err := hostfs.Read(filepath.Join(root, files[0]), maxFile)
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "#KillUserProcesses="); ok {
			if isTrue(value) {
				return "yes", files[0] + " (the default)"
			}
			return "no", files[0]
		}
	}
	return "", ""
}

// isTrue reads a boolean as systemd does.
func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
