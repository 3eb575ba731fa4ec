package runbooks_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// person is somebody without a login, or with one that could not be read.
func person(name string, uid int, state runbooks.LoginState) runbooks.Actor {
	who := runbooks.Actor{Name: name, UID: uid, LoginState: state}
	if state == runbooks.LoginUnreadable {
		who.LoginWhy = "the process that connected has ended"
	}
	return who
}

// compacting drives the window as somebody up to the preview of what needs two
// people.
func compacting(t *testing.T, who runbooks.Actor) (*runbooks.Local, runbooks.Hash) {
	t.Helper()
	y := newYard()
	y.sees(true)
	o := windowOptions(&memory{}, y)
	o.Actor = who
	l := drive(t, o)
	must(t, l.StartAll())
	later(2 * time.Minute)
	must(t, l.Approve("maint-on", "lms", arm(t, l, "maint-on")))
	y.ends("step-1", checks.OK, false)
	later(time.Second)
	return l, arm(t, l, "compact")
}

// TestALoginThatCouldNotBeReadSignsNothing: neither as the second person nor as
// the first, and the refusal says why.
func TestALoginThatCouldNotBeReadSignsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := compacting(t, ada)
		defer l.Close()
		eve := person("eve", 1002, runbooks.LoginUnreadable)
		for _, item := range []string{"compact", "", "disk"} {
			if err := l.As(eve).Sign(item, "dba", seen); err == nil || !strings.Contains(err.Error(), "the process that connected has ended") {
				t.Errorf("it signed %q: %v", item, err)
			}
		}
		if err := l.Approve("compact", "lms", seen); !errors.Is(err, runbooks.ErrSigners) {
			t.Errorf("began with one person: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, seen := compacting(t, person("eve", 1002, runbooks.LoginUnreadable))
		defer l.Close()
		must(t, l.As(ada).Sign("compact", "dba", seen))
		if err := l.Approve("compact", "lms", seen); !errors.Is(err, runbooks.ErrSigners) || !strings.Contains(err.Error(), "could not be read") {
			t.Errorf("one whose login could not be read was the first of two: %v", err)
		}
	})
}

// TestTwoUsersWithoutALoginAreTwoPeople, and the preview says that it rests on
// their user ids alone.
func TestTwoUsersWithoutALoginAreTwoPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, seen := compacting(t, person("ops", 900, runbooks.LoginUnset))
		defer l.Close()
		it, _ := l.Run().Item("compact")
		a, _ := it.Latest()
		if detail := strings.Join(a.Armed.Preview.Detail, "\n"); !strings.Contains(detail, "careful: no login is set behind ops") {
			t.Errorf("the preview says %q", detail)
		}
		must(t, l.As(person("dba", 901, runbooks.LoginUnset)).Sign("compact", "dba", seen))
		must(t, l.Approve("compact", "lms", seen))
	})
}
