package runbooks_test

import (
	"encoding/json"
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

// TestALoginThatCouldNotBeReadIsOfNoTwoPeople: whoever connects through a
// process that has ended is not somebody else for it.
func TestALoginThatCouldNotBeReadIsOfNoTwoPeople(t *testing.T) {
	who := func(name string, uid int, login string, state runbooks.LoginState) runbooks.Actor {
		return runbooks.Actor{Name: name, UID: uid, Login: login, LoginState: state}
	}
	known, other := who("ada", 1000, "ada", runbooks.LoginKnown), who("bob", 1001, "bob", runbooks.LoginKnown)
	unset, otherUnset := who("ada", 1000, "", runbooks.LoginUnset), who("bob", 1001, "", runbooks.LoginUnset)
	unreadable, otherUnreadable := who("ada", 1000, "", runbooks.LoginUnreadable), who("bob", 1001, "", runbooks.LoginUnreadable)
	before := who("bob", 1001, "", "") // of a record that kept no state
	for name, c := range map[string]struct {
		a, b         runbooks.Actor
		want, byUser bool
	}{
		"two logins":                    {known, other, true, false},
		"two users without logins":      {unset, otherUnset, true, true},
		"one user without a login":      {unset, unset, false, false},
		"a login and none":              {known, otherUnset, false, false},
		"a login and an unreadable one": {known, otherUnreadable, false, false},
		"none and an unreadable one":    {unset, otherUnreadable, false, false},
		"two unreadable ones":           {unreadable, otherUnreadable, false, false},
		"a record of before":            {who("ada", 1000, "", ""), before, true, false},
		"a record of before, and now":   {unset, before, true, false},
	} {
		if got := c.a.Differs(c.b); got != c.want || c.b.Differs(c.a) != c.want {
			t.Errorf("%s: two people is %v", name, got)
		}
		if got := runbooks.DifferByUser(c.a, c.b); got != c.byUser {
			t.Errorf("%s: told apart by the user alone is %v", name, got)
		}
	}
}

// TestARecordKeepsWhichAnswerItWas, and one of before reads as it was written.
func TestARecordKeepsWhichAnswerItWas(t *testing.T) {
	const before = `{"seq":1,"at":"2026-11-23T03:00:00Z","mono":0,"run":"r","kind":"signed","actor":{"name":"ada","uid":1000,"login":"ada"},"data":{}}`
	var e runbooks.Event
	if err := json.Unmarshal([]byte(before), &e); err != nil {
		t.Fatal(err)
	}
	if raw, err := e.Canonical(); err != nil || string(raw) != before {
		t.Errorf("it is hashed as %s, %v", raw, err)
	}
	for _, state := range []runbooks.LoginState{runbooks.LoginKnown, runbooks.LoginUnset, runbooks.LoginUnreadable} {
		e.Actor.LoginState = state
		raw, err := e.Canonical()
		var again runbooks.Event
		if err != nil || json.Unmarshal(raw, &again) != nil || again.Actor != e.Actor {
			t.Errorf("%s becomes %+v, %v", state, again.Actor, err)
		}
	}
}
