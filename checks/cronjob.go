package checks

// CronJob is one entry under "cron": a job that cron has to run, known by its
// command, and the log that proves that it ran.
type CronJob struct {
	Name     string
	Command  string // what the crontab's line runs, without redirections
	Schedule string // the five fields; "" for any
	User     string // "" for any
	Log      string // file that every run writes last, absolute; "" for none
	Success  string // text in the log's last line after a run that went well; "" for none
	Origin   string
}

// Logrotate is the section "logrotate" of the site file. Its zero value means
// the host's own configuration as Debian has it.
type Logrotate struct {
	Main   string   // configuration that the host's timer runs; "" means /etc/logrotate.conf
	State  string   // state file; "" means /var/lib/logrotate/status
	Config string   // the site's own part of it, absolute; "" means that all of it is judged
	Expect []string // directives that every block of Config has: "rotate 30"
	Origin string   // "" if there is no such section
}
