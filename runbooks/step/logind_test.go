package step

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogindIsReadAsItWouldAct(t *testing.T) {
	t.Parallel()
	const (
		session = "0::/user.slice/user-1000.slice/session-3.scope\n"
		manager = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/tmux.scope\n"
		daemon  = "0::/system.slice/ssh.service\n"
		hybrid  = "12:pids:/\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/\n"
		conf    = "etc/systemd/logind.conf"
		dropIn  = "etc/systemd/logind.conf.d/90-site.conf"
		vendor  = "usr/lib/systemd/logind.conf.d/90-site.conf"
		debian  = "[Login]\n#KillUserProcesses=no\n#KillExcludeUsers=root\n"
		kill    = "[Login]\nKillUserProcesses=yes\n"
	)
	for _, c := range []struct {
		name   string
		cgroup string
		user   string
		files  map[string]string
		want   string // a part of the sentence; "" for none
	}{
		{"no cgroups", "", "ada", nil, ""},
		{"no systemd", "0::/\n", "ada", nil, ""},
		{"a daemon", daemon, "ada", map[string]string{conf: kill}, ""},
		{"a distribution's default is no", session, "ada", map[string]string{conf: debian}, ""},
		{"a distribution's default is yes", session, "ada", map[string]string{conf: "[Login]\n#KillUserProcesses=yes\n"}, "etc/systemd/logind.conf (the default)"},
		{"nothing is said", session, "ada", nil, "systemd's own default"},
		{"set", session, "ada", map[string]string{conf: kill}, "because of KillUserProcesses in etc/systemd/logind.conf"},
		{"set, in two hierarchies", hybrid, "ada", map[string]string{conf: kill}, "logging out ends"},
		{"set in another section", session, "ada", map[string]string{conf: "[Other]\nKillUserProcesses=yes\n" + debian}, ""},
		{"a drop-in wins", session, "ada", map[string]string{conf: debian, dropIn: kill}, dropIn},
		{"a drop-in takes it back", session, "ada", map[string]string{conf: kill, dropIn: "[Login]\nKillUserProcesses=no\n"}, ""},
		{"the vendor's drop-in is hidden", session, "ada", map[string]string{conf: debian, vendor: kill, dropIn: "# empty\n"}, ""},
		{"root is excluded", session, "root", map[string]string{conf: kill}, ""},
		{"root is not excluded", session, "root", map[string]string{conf: kill + "KillExcludeUsers=\n"}, "logging out ends"},
		{"only some users", session, "ada", map[string]string{conf: kill + "KillOnlyUsers=bob\n"}, ""},
		{"only this user", session, "ada", map[string]string{conf: debian + "KillOnlyUsers=bob ada\n"}, "logging out ends"},
		{"a user's manager", manager, "ada", map[string]string{conf: debian}, "loginctl enable-linger ada"},
		{"a user who lingers", manager, "ada", map[string]string{"var/lib/systemd/linger/ada": ""}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			plant(t, root, c.files)
			if c.cgroup != "" {
				plant(t, root, map[string]string{"proc/self/cgroup": c.cgroup})
			}
			got := logind(root, c.user)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func plant(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
