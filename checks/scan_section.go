package checks

import "time"

// A Scan is one entry under "scans": one tool that may look at, or attack, one
// target, because somebody has allowed it until a day. No module takes a
// target from anywhere else.
type Scan struct {
	Name      string
	Tool      string        // nmap, testssl, sqlmap, zap or gitleaks
	Target    string        // a host, host:port, URL or directory, as the tool takes it
	Ports     string        // nmap: "22,80,8000-8100"; "" for nmap's own thousand
	Reference string        // of the authorisation: a ticket, a contract
	Until     time.Time     // the last day of the authorisation
	Baseline  string        // an earlier report that somebody has read and accepted; "" for none
	Reports   string        // directory that reports are kept in
	MaxTime   time.Duration // after which the scan is ended; 0 means 15 minutes
	Staging   bool          // the target is not production
	Origin    string
}
