// Package xdg finds the folders in which a user keeps state, configuration and
// caches, after the XDG Base Directory Specification. Every path it gives is
// absolute: a relative one would mean another folder to each process, and the
// supervisor does not stand where its client does. A variable with a relative
// value is therefore ignored, as the specification says.
//
// The home is that of $HOME, else that of the user database.
package xdg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// State is the folder for what programs keep of their own: $XDG_STATE_HOME, or
// .local/state in the home.
func State(env func(string) string) (string, error) {
	return folder(env, "XDG_STATE_HOME", ".local/state")
}

// Config is the folder for what users configure: $XDG_CONFIG_HOME, or .config
// in the home.
func Config(env func(string) string) (string, error) {
	return folder(env, "XDG_CONFIG_HOME", ".config")
}

// Cache is the folder for what can be had again: $XDG_CACHE_HOME, or .cache in
// the home.
func Cache(env func(string) string) (string, error) {
	return folder(env, "XDG_CACHE_HOME", ".cache")
}

func folder(env func(string) string, name, inHome string) (string, error) {
	if path := env(name); filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	home, err := Home(env)
	if err != nil {
		return "", err
	}
	return filepath.Join(home, inHome), nil
}

// Home is the user's home: $HOME, else that of the user's entry in the user
// database. Without either it is an error.
func Home(env func(string) string) (string, error) {
	if path := env("HOME"); filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return homeOf(os.Getuid())
}

// variables are those that this package reads.
var variables = []string{"HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}

// Ignored are the variables whose value is relative and so ignored, each as
// NAME=value.
func Ignored(env func(string) string) []string {
	var list []string
	for _, name := range variables {
		if value := env(name); value != "" && !filepath.IsAbs(value) {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// homeOf is the home in the user's entry: of /etc/passwd, or of what else the
// host has for users (LDAP, SSSD), which only the C library can ask.
func homeOf(uid int) (string, error) {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil && filepath.IsAbs(u.HomeDir) {
		return filepath.Clean(u.HomeDir), nil
	}
	if home, ok := homeByDatabase(id); ok {
		return home, nil
	}
	return "", fmt.Errorf("HOME is not set to an absolute path, and the user database has no home for uid %s", id)
}

// databasePatience bounds the question to the host's user database, which may
// be on another host.
const databasePatience = 2 * time.Second

func homeByDatabase(id string) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), databasePatience)
	defer cancel()
	getent := exec.CommandContext(ctx, "/usr/bin/getent", "passwd", id)
	getent.Env = []string{}
	said, err := getent.Output()
	fields := strings.Split(strings.TrimRight(string(said), "\n"), ":")
	const homeField = 5
	if err != nil || len(fields) <= homeField || !filepath.IsAbs(fields[homeField]) {
		return "", false
	}
	return filepath.Clean(fields[homeField]), true
}
