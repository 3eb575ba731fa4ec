package checks

import "time"

// A KeptSecret is one entry under "secrets": a secret that an application reads
// from an environment file, and what rotating it has to respect.
type KeptSecret struct {
	Name   string
	File   string        // the environment file, absolute
	Key    string        // "JWT_SECRET"
	New    string        // file for a new value that is made ahead of the rotation; "" for none
	Accept string        // "two-keys": the application also accepts Key+"_OLD"; "one-key": a password, set elsewhere first; "" undeclared
	Grace  time.Duration // how long the old value is accepted
	Backup string        // directory of backup copies; "" means beside File

	// Of the password of a PostgreSQL role.
	Role    string   // "lms_user"; "" if it is something else
	Clients []string // whatever logs in as the role, by application name or path: "backend", "/etc/cron.d/report"
	Login   string   // DSN by which they do, without user and password; "" means as the actions' connection does

	Origin string
}

// OldKey is the key under which the value before the last rotation is kept.
func (k KeptSecret) OldKey() string { return k.Key + "_OLD" }
