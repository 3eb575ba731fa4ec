package runbooks_test

import (
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestTwoPeopleAreTwoOnlyByTheKernelsWord: whoever came by sudo, su, a container
// or cron is still who logged in; where nobody's login is known the user counts,
// and where only one's is, nobody can tell.
func TestTwoPeopleAreTwoOnlyByTheKernelsWord(t *testing.T) {
	who := func(name string, uid int, login string) runbooks.Actor {
		return runbooks.Actor{Name: name, UID: uid, Login: login, Claimed: login == ""}
	}
	for name, c := range map[string]struct {
		a, b runbooks.Actor
		want bool
	}{
		"two logins":                                {who("ada", 1000, "ada"), who("bob", 1001, "bob"), true},
		"two logins, one account by sudo":           {who("ops", 900, "ada"), who("ops", 900, "bob"), true},
		"one login, itself and by sudo":             {who("ada", 1000, "ada"), who("root", 0, "ada"), false},
		"one login as two users by su":              {who("ops", 900, "ada"), who("dba", 901, "ada"), false},
		"two users without logins":                  {who("ada", 1000, ""), who("bob", 1001, ""), true},
		"one user without a login, twice":           {who("ops", 900, ""), who("ops", 900, ""), false},
		"one user under two claimed names":          {who("ada", 900, ""), who("bob", 900, ""), false},
		"a login, and cron's or a container's user": {who("ada", 1000, "ada"), who("root", 0, ""), false},
	} {
		if got := c.a.Differs(c.b); got != c.want {
			t.Errorf("%s: two people is %v", name, got)
		}
		if c.a.Differs(c.b) != c.b.Differs(c.a) {
			t.Errorf("%s: it depends on who asks", name)
		}
	}
}
