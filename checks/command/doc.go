// Package command runs programs of the host: never a shell string, never an
// inherited environment, never without an end. NewExec is what every module
// gets as Env.Exec, and cmd.run runs the commands that the site file names.
//
// It must not know what the programs are for. Read exec.go first, then
// process.go for how one is ended, and leftovers.go for what it leaves behind.
package command
