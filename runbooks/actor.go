package runbooks

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// An Actor is who did something. Claimed says that the name is only claimed:
// the kernel knows no login behind the process, and the user is the record's
// own, whom many people can be. Another user, at the socket of a supervisor, is
// the kernel's word.
type Actor struct {
	Name    string `json:"name"`
	UID     int    `json:"uid"`
	Login   string `json:"login,omitempty"` // the login identity, which survives sudo
	Host    string `json:"host,omitempty"`
	TTY     string `json:"tty,omitempty"`
	Claimed bool   `json:"claimed,omitempty"`
}

// String is the actor for a list: "ada", "root (login ada)", "ci (claimed)".
func (a Actor) String() string {
	switch {
	case a.Claimed:
		return a.Name + " (claimed)"
	case a.Login != "" && a.Login != a.Name:
		return a.Name + " (login " + a.Login + ")"
	}
	return a.Name
}

// Identity is what distinguishes people: the login if it is known.
func (a Actor) Identity() string {
	if a.Login != "" {
		return a.Login
	}
	return a.Name
}

// Differs reports whether the kernel vouches for these being two people: two
// logins, or two users of whom neither's login is known. A name that is only
// claimed under the same user id, or one person as two users, is not enough.
func (a Actor) Differs(other Actor) bool {
	if a.Login != "" || other.Login != "" { // one who has a login may have taken another user to be without
		return a.Login != "" && other.Login != "" && a.Login != other.Login
	}
	return a.UID != other.UID && a.Identity() != other.Identity()
}

// unsetLogin is what Linux reports for a process without a login: (uid_t)-1.
const unsetLogin = "4294967295"

// CurrentActor is the user of this process. The login identity is the audit
// login uid of the kernel, never the environment; without one the name is
// claimed.
func CurrentActor() Actor { return ActorOf(os.Getpid(), os.Getuid()) }

// ActorOf is the user of a process, of which the kernel said that the user id
// is that: a peer on a socket.
func ActorOf(pid, uid int) Actor {
	a := Actor{UID: uid, Name: nameOf(strconv.Itoa(uid))}
	if host, err := os.Hostname(); err == nil {
		a.Host = host
	}
	proc := "/proc/" + strconv.Itoa(pid)
	if tty, err := os.Readlink(proc + "/fd/0"); err == nil && (strings.HasPrefix(tty, "/dev/pts/") || strings.HasPrefix(tty, "/dev/tty")) {
		a.TTY = tty
	}
	raw, err := os.ReadFile(proc + "/loginuid")
	login := strings.TrimSpace(string(raw))
	if err != nil || login == "" || login == unsetLogin {
		a.Claimed = true
		return a
	}
	a.Login = nameOf(login)
	return a
}

func nameOf(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}
