package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// Current is the user of this process. The login is the kernel's, never the
// environment's; without one the name is only claimed.
func Current() runbooks.Actor {
	who := actor(os.Getuid())
	who.Login, who.LoginState, who.LoginWhy = proc("").login("self")
	who.TTY = proc("").tty("self")
	who.Claimed = who.LoginState != runbooks.LoginKnown
	return who
}

// actor is a user of this host of whom only the id is known.
func actor(uid int) runbooks.Actor {
	who := runbooks.Actor{UID: uid, Name: nameOf(strconv.Itoa(uid))}
	if host, err := os.Hostname(); err == nil {
		who.Host = host
	}
	return who
}

func nameOf(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}

// unsetLogin is what Linux reports for a process without a login: (uid_t)-1.
const unsetLogin = "4294967295"

// login reads the login behind a process, "self" or a number. why is set where
// it could not be read.
func (p proc) login(process string) (name string, state runbooks.LoginState, why string) {
	raw, err := p.read(process, "loginuid")
	uid := strings.TrimSpace(string(raw))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", runbooks.LoginUnreadable, "the kernel shows no login id of process " + process
	case err != nil:
		return "", runbooks.LoginUnreadable, err.Error()
	case uid == unsetLogin:
		return "", runbooks.LoginUnset, ""
	}
	if _, err := strconv.ParseUint(uid, 10, 32); err != nil {
		return "", runbooks.LoginUnreadable, fmt.Sprintf("the login id of process %s is %q, not a number", process, uid)
	}
	return nameOf(uid), runbooks.LoginKnown, ""
}

// tty is the terminal of a process, "" if its standard input is none.
func (p proc) tty(process string) string {
	tty, err := os.Readlink(p.path(process, "fd/0"))
	if err == nil && (strings.HasPrefix(tty, "/dev/pts/") || strings.HasPrefix(tty, "/dev/tty")) {
		return tty
	}
	return ""
}
