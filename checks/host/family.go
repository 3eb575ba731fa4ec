// Package host changes the host as a whole: it reboots it and upgrades its
// packages. Both are of the highest danger and act only on what a confirmed
// preview has shown: the boot id, or package by package the version to come.
//
// Files are read under Env.Root, programs run through Env.Exec. Read reboot.go
// and upgrade.go first. The package must not know what runs on the host.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{
		Name:    "host",
		Doc:     "The host as a whole: reboot and package upgrades",
		Modules: modules,
	}
}

// maxFile bounds the files read here, of which /proc/locks is the largest.
const maxFile = 1 << 20

// equipped holds that an Env has what the modules need.
func equipped(env checks.Env) error {
	switch {
	case env.Root == "":
		return checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	case env.Exec == nil:
		return checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	return nil
}

// read returns a regular file of the host, without the white space around it.
func read(env checks.Env, name string) (string, error) {
	content, err := hostfs.Read(filepath.Join(env.Root, name), maxFile)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// rebootRequired looks for the flag that Debian's package scripts leave.
func rebootRequired(env checks.Env) (bool, error) {
	_, err := os.Stat(filepath.Join(env.Root, "run/reboot-required"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a pending reboot: %w", err)
	}
	return true, nil
}

// hostname is what a person types to confirm.
func hostname(env checks.Env) (string, error) {
	name, err := read(env, "proc/sys/kernel/hostname")
	if err == nil && name == "" {
		err = checks.Failed(checks.NoData, "the host has no name")
	}
	return name, err
}

func now(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}

// lines are the non-empty lines of a text.
func lines(text string) []string {
	var list []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			list = append(list, l)
		}
	}
	return list
}
