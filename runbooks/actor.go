package runbooks

import "fmt"

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

	LoginState LoginState `json:"login_state,omitempty"`
	LoginWhy   string     `json:"login_why,omitempty"` // of a login that is unreadable
}

// LoginState says how much is known of the login behind an actor. Records of
// before it was kept have "": their Login is known, or else taken as unset.
type LoginState string

// The three answers to who logged in.
const (
	LoginKnown      LoginState = "known"
	LoginUnset      LoginState = "unset"      // read of a process that was proved to be the actor's, and there is none
	LoginUnreadable LoginState = "unreadable" // it never counts, neither as the first nor as the second person
)

// String is the actor for a list: "ada", "root (login ada)", "ci (claimed)".
func (a Actor) String() string {
	switch {
	case a.LoginState == LoginUnreadable:
		return a.Name + " (login unreadable)"
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
// logins, or two users of whom neither has a login. A name that is only claimed
// under the same user id, one person as two users, or somebody whose login
// could not be read, is not enough.
func (a Actor) Differs(other Actor) bool {
	if a.LoginState == LoginUnreadable || other.LoginState == LoginUnreadable {
		return false
	}
	if a.Login != "" || other.Login != "" { // one who has a login may have taken another user to be without
		return a.Login != "" && other.Login != "" && a.Login != other.Login
	}
	return a.UID != other.UID && a.Identity() != other.Identity()
}

// DifferByUser reports whether two people are told apart by their user ids
// alone, since no login is set behind either.
func DifferByUser(a, b Actor) bool {
	return a.LoginState == LoginUnset && b.LoginState == LoginUnset && a.Differs(b)
}

// signerNote says what a second signature beside this actor rests on, where
// that is less than two logins; "" else.
func (a Actor) signerNote() string {
	switch a.LoginState {
	case LoginUnset:
		return fmt.Sprintf("no login is set behind %s: any other user id without a login counts as the second person", a.Name)
	case LoginUnreadable:
		return fmt.Sprintf("the login of %s could not be read (%s): %[1]s cannot be one of the two people", a.Name, a.LoginWhy)
	}
	return ""
}

// unreadable says of an actor whose login could not be read that nothing may
// rest on it, and why.
func (a Actor) unreadable() error {
	return fmt.Errorf("the login of %s could not be read (%s), so it counts as no signature: connect again", a.Name, a.LoginWhy)
}
