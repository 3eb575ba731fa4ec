package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks/lock"
)

// systemUnit keeps the steps alive when the supervisor is started anew, as an
// upgrade does: they are processes of their own, and only told of by it.
const systemUnit = `[Unit]
Description=opsdeck: the runs of %[1]s
After=network.target

[Service]
User=opsdeck
Group=opsdeck
ExecStart=%[2]s supervise --site /etc/opsdeck/opsdeck.yaml --state /var/lib/opsdeck --group opsdeck --idle 0
RuntimeDirectory=opsdeck/supervisor
RuntimeDirectoryMode=0750
StateDirectory=opsdeck
StateDirectoryMode=0700
UMask=0077
KillMode=process
Restart=on-failure

[Install]
WantedBy=multi-user.target
`

// socketOfSystem is where an installed supervisor listens. It has a folder of its
// own: in /run/opsdeck only root may make anything, for the locks below it.
const socketOfSystem = "/run/opsdeck/supervisor/supervisor.sock"

// printSystem prints how a site gets a supervisor that runs as a user of its
// own: then nobody who walks a run can edit its record, and a second person
// can sign under their own login. Nothing is changed.
func (p *program) printSystem(w io.Writer, siteName string) error {
	self, err := os.Executable()
	if err != nil {
		self = "/usr/local/bin/opsdeck"
	}
	steps := []struct{ why, do string }{
		{"A user and a group of its own. Who is in the group may walk runs and sign them.",
			"useradd --system --home-dir /var/lib/opsdeck --shell /usr/sbin/nologin --user-group opsdeck\nusermod --append --groups opsdeck ADA\nusermod --append --groups opsdeck BOB"},
		{"The program, where only root can change it.",
			fmt.Sprintf("install -o root -g root -m 0755 %s /usr/local/bin/opsdeck", self)},
		{"The site file, readable for both sides and changeable for root alone. Secrets are read by\nthe supervisor: name files that only the user opsdeck can read.",
			"install -d -o root -g opsdeck -m 0750 /etc/opsdeck\ninstall -o root -g opsdeck -m 0640 opsdeck.yaml /etc/opsdeck/opsdeck.yaml"},
		{"Runbooks of your own. It takes no others, and none that others can change.",
			"install -d -o root -g opsdeck -m 0750 /etc/opsdeck/runbooks\ninstall -o root -g opsdeck -m 0640 RUNBOOK.md /etc/opsdeck/runbooks/RUNBOOK.md"},
		{"Its socket, as a line of that file. Decks and headless commands of all members use it.",
			"supervisor: {socket: " + socketOfSystem + "}"},
		{"The folder for the locks on targets, as a line of /etc/tmpfiles.d/opsdeck.conf. With it the\n" +
			"supervisor, root and all members of the group exclude each other, at this site and at others.",
			lock.TmpfilesLine},
		{"The service, as /etc/systemd/system/opsdeck.service:",
			strings.TrimRight(fmt.Sprintf(systemUnit, siteName, "/usr/local/bin/opsdeck"), "\n")},
		{"What actions need beyond its own rights, as exact commands in /etc/sudoers.d/opsdeck,\nfor example:",
			"opsdeck ALL=(root) NOPASSWD: /usr/sbin/nginx -s reload"},
		{"Start it, and look. Who was added to the group logs in again. Only its own user can verify\nthe record.",
			"systemd-tmpfiles --create /etc/tmpfiles.d/opsdeck.conf\nsystemctl daemon-reload\n" +
				"systemctl enable --now opsdeck\nopsdeck doctor\nsudo -u opsdeck opsdeck verify --state /var/lib/opsdeck"},
	}
	fmt.Fprintf(w, "How %s gets a supervisor of its own, so that nobody who walks a run can edit its\nrecord, and a second person can sign under their own login. Nothing was changed.\n", siteName)
	for i, s := range steps {
		fmt.Fprintf(w, "\n%d. %s\n\n", i+1, strings.ReplaceAll(s.why, "\n", "\n   "))
		for _, line := range strings.Split(s.do, "\n") {
			fmt.Fprintln(w, strings.TrimRight("       "+line, " "))
		}
	}
	return nil
}
