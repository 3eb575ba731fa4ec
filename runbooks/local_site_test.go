package runbooks_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestWhatWasArmedUnderAnEditedSiteFileIsTakenBack, with the reason in the
// record; a preview under the new file can be confirmed.
func TestWhatWasArmedUnderAnEditedSiteFileIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.sees(true)
		o := windowOptions(&memory{}, y)
		o.SiteHash = "11111111aaaa"
		l := drive(t, o)
		defer l.Close()
		seen := arm(t, l, "tidy")
		must(t, l.UseSite(o.Site, "22222222bbbb"))
		a := stateOf(t, l, "tidy", runbooks.Pending)
		if a.State != runbooks.Cancelled || !strings.Contains(a.Reason, "the site file was edited since the preview (11111111, now 22222222)") {
			t.Errorf("%s: %s", a.State, a.Reason)
		}
		if err := l.Approve("tidy", "", seen); err == nil {
			t.Error("what was taken back was begun")
		}
		must(t, l.UseSite(o.Site, "22222222bbbb")) // the same again takes nothing back
		seen = arm(t, l, "tidy")
		must(t, l.UseSite(o.Site, "22222222bbbb"))
		must(t, l.Approve("tidy", "", seen))
		if deed := y.prepared[len(y.prepared)-1]; deed.Site != "22222222bbbb" {
			t.Errorf("the action is told of the site file %q", deed.Site)
		}
		y.ends("step-1", checks.OK, false)
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Passed)
	})
}

// TestAPreviewThatTheSiteFileChangedUnderIsNotArmed: it was looked at under the
// old one.
func TestAPreviewThatTheSiteFileChangedUnderIsNotArmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		o := windowOptions(&memory{}, y)
		o.SiteHash = "11111111aaaa"
		looks := &slowLook{yard: y, began: make(chan struct{}), goOn: make(chan struct{})}
		o.Actions.Prober = looks
		l := drive(t, o)
		defer l.Close()
		armed := make(chan error)
		go func() { armed <- l.Arm(t.Context(), "tidy") }()
		<-looks.began
		must(t, l.UseSite(o.Site, "22222222bbbb"))
		close(looks.goOn)
		if err := <-armed; err == nil || !strings.Contains(err.Error(), "the site file was edited while the preview was made") {
			t.Errorf("%v", err)
		}
		if it, _ := l.Run().Item("tidy"); it.State != runbooks.Pending {
			t.Errorf("it is %s", it.State)
		}
	})
}

// slowLook makes a preview that ends when the test says so.
type slowLook struct {
	*yard
	began, goOn chan struct{}
}

func (s *slowLook) Preview(ctx context.Context, c checks.Check, own checks.Own) checks.Result {
	close(s.began)
	<-s.goOn
	return s.yard.Preview(ctx, c, own)
}
