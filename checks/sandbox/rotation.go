package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// rotation is a logrotate of the sandbox's own: nothing of the machine's is
// rotated. One log is due, and late.
const rotation = `logrotate:
  main: "${dir}/rotation/logrotate.conf"
  config: "${dir}/rotation/lms"
  state: "${dir}/rotation/status"
  expect: [daily, missingok, delaycompress, notifempty]
`

// writeRotation writes what rotation names.
func writeRotation(dir string, now time.Time) error {
	own, log := filepath.Join(dir, "rotation"), filepath.Join(dir, "log", "mail.log")
	if err := os.Mkdir(own, 0o700); err != nil {
		return fmt.Errorf("writing the sandbox's rotation: %w", err)
	}
	for name, text := range map[string]string{
		filepath.Join(own, "logrotate.conf"): fmt.Sprintf("weekly\nrotate 4\ncreate\ncompress\ninclude %s\n", filepath.Join(own, "lms")),
		filepath.Join(own, "lms"):            fmt.Sprintf("%s {\n    daily\n    missingok\n    delaycompress\n    notifempty\n}\n", log),
		filepath.Join(own, "status"):         fmt.Sprintf("logrotate state -- version 2\n%q %s\n", log, now.Add(-50*time.Hour).Local().Format("2006-1-2-15:4:5")),
		log:                                  "mail to user 100 sent\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the sandbox's rotation: %w", err)
		}
	}
	return nil
}
