package runbooks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// ErrNoActions is why a session without Actions changes nothing.
var ErrNoActions = errors.New("this session changes nothing: actions need the supervisor")

// Arm makes the preview of an action. It returns when the preview is recorded
// or refused, which takes as long as the module needs to look.
func (s Seat) Arm(ctx context.Context, item string) error {
	unlock, err := s.drive()
	if err != nil {
		unlock()
		return err
	}
	l := s.l
	it, check, err := l.armable(item)
	l.barred(item, err)
	if err == nil && l.arming[item] {
		err = fmt.Errorf("%s: its preview is being made", item)
	}
	if err != nil {
		unlock()
		return l.orNotApplicable(s, it, err)
	}
	l.arming[item] = true
	under := l.o.SiteHash
	unlock()

	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	preview := l.o.Actions.Prober.Preview(ctx, check, checks.Own{})

	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = s.who
	delete(l.arming, item)
	if err := l.accepts(); err != nil {
		return err
	}
	if under != l.o.SiteHash {
		return fmt.Errorf("%s: the site file was edited while the preview was made: make it again", item)
	}
	return l.recordPreview(it, check, preview)
}

// orNotApplicable records an action whose thing the site does not have.
func (l *Local) orNotApplicable(s Seat, it Item, err error) error {
	var absent checks.NotHere
	if !errors.As(err, &absent) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = s.who
	run, _ := l.run.Item(it.ID)
	return l.notApplicable(it.ID, run.Attempts.Len()+1, absent.What)
}

// armable is the action and its check, if it may be armed now. The caller
// holds mu.
func (l *Local) armable(item string) (Item, checks.Check, error) {
	it, ok := l.section.Item(item)
	switch {
	case !ok:
		return it, checks.Check{}, fmt.Errorf("%s: the runbook has no such item", item)
	case it.Kind != Action:
		return it, checks.Check{}, fmt.Errorf("%s is a %s, not an action", item, it.Kind)
	case l.o.Actions == nil:
		return it, checks.Check{}, ErrNoActions
	}
	run, _ := l.run.Item(item)
	if err := l.run.Ready(item, l.o.Now()); err != nil && run.State != Armed {
		return it, checks.Check{}, err
	}
	if err := l.mayAct(it); err != nil {
		return it, checks.Check{}, err
	}
	check, err := Resolve(it, l.o.Site, l.variables)
	if err == nil && check.Module.Effect == checks.ReadOnly {
		err = fmt.Errorf("%s: %s changes nothing and is no action", item, check.Module.Name)
	}
	return it, check, err
}

// mayAct says why no action may begin now: the place forbids it, or the clock.
func (l *Local) mayAct(it Item) error {
	if l.o.Actions.Refuse != nil {
		if why := l.o.Actions.Refuse(); why != "" {
			return fmt.Errorf("no action may begin: %s", why)
		}
	}
	return WindowGate(l.run, l.section, l.window(), it, l.o.Now())
}

// barred records that the window kept somebody from beginning an action. The
// same try again within a minute is the same try.
func (l *Local) barred(item string, err error) {
	var outside *NotReadyError
	if !errors.As(err, &outside) || !outside.Outside {
		return
	}
	run, _ := l.run.Item(item)
	if last, tried := run.Barred.Newest(); tried {
		if last.Text == outside.Why && last.Actor.Identity() == l.who.Identity() && l.o.Now().Sub(last.At) < time.Minute {
			return
		}
	}
	l.append(item, 0, ActionBarred{Reason: outside.Why}) //nolint:errcheck // it was refused either way; Err says if nothing is recorded any more
}

// window is the runbook's, in the run's zone; nil if it has none.
func (l *Local) window() *civil.Window {
	if l.book.Window == nil {
		return nil
	}
	w := l.book.Window.In(l.zone())
	return &w
}

// recordPreview records what the action would do, or that it cannot be begun.
func (l *Local) recordPreview(it Item, check checks.Check, preview checks.Result) error {
	run, _ := l.run.Item(it.ID)
	attempt := run.Attempts.Len() + 1
	if run.State == Armed {
		attempt = run.Attempts.Len()
	}
	if preview.Level != checks.OK {
		if run.State == Armed {
			if err := l.append(it.ID, attempt, ActionDisarmed{Reason: preview.Err}); err != nil {
				return err
			}
			attempt++
		}
		return l.append(it.ID, attempt, ActionRefused{Result: preview})
	}
	if l.o.Actions.Advice != nil {
		preview.Detail = append(preview.Detail, l.o.Actions.Advice(l.o.Now())...)
	}
	preview.Detail = append(preview.Detail, l.overrun(it, check, preview)...)
	danger, signers := dangerOf(it, check, preview), it.Signers
	if danger >= 3 {
		signers = max(1, signers)
	}
	if note := l.who.signerNote(); note != "" && signers > 0 {
		preview.Detail = append(preview.Detail, "careful: "+note)
	}
	armed := ActionArmed{
		Module: check.Module.Name, Check: check.ID, Connection: check.Connection, With: check.Args.Raw(check.Module),
		Warn: check.Rules.Warn.Text, Fail: check.Rules.Fail.Text, Verify: it.Verify,
		Danger: danger, Signers: signers, Crash: check.Module.Crash, Timeout: check.Deadline(),
		Estimate: l.estimates[it.ID], Preview: preview, Hash: hashOf(preview), Gates: l.gatesOf(it),
		Site: l.o.SiteHash,
	}
	if err := l.append(it.ID, attempt, armed); err != nil {
		return err
	}
	crash.Point("after-armed")
	return nil
}

// dangerOf is the highest of what the runbook, the module and the preview say:
// a command's danger stands in the site file.
func dangerOf(it Item, check checks.Check, preview checks.Result) int {
	danger := max(it.Danger, check.Module.Danger)
	if f, ok := preview.Fact("danger", ""); ok {
		danger = max(danger, int(f.Num))
	}
	return min(danger, 3)
}

func hashOf(preview checks.Result) Hash {
	raw, err := json.Marshal(preview)
	if err != nil {
		raw = []byte(preview.Note)
	}
	return sha256.Sum256(raw)
}

func (l *Local) gatesOf(it Item) []Gate {
	var gates []Gate
	for _, need := range it.Needs {
		needed, ok := l.run.Item(need.Item)
		if !ok {
			continue
		}
		g := Gate{Item: need.Item, State: needed.State}
		if a, tried := needed.Latest(); tried && !a.Ended.IsZero() {
			g.Age = l.run.since(a, a.Ended, l.o.Now())
		}
		if !needed.Override.Expired(l.o.Now()) {
			g.Override = needed.Override.Text
		}
		gates = append(gates, g)
	}
	return gates
}

// Disarm takes back what was armed.
func (s Seat) Disarm(item, reason string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	it, _ := s.l.run.Item(item)
	return s.l.append(item, it.Attempts.Len(), ActionDisarmed{Reason: s.l.line(reason)})
}

// Approve confirms an armed action and begins it: typed is the target's name
// where the danger asks for it, seen the hash of the preview that was on the
// screen.
func (s Seat) Approve(item, typed string, seen Hash) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	run, check, err := l.approvable(item, typed, seen)
	l.barred(item, err)
	if err != nil {
		return err
	}
	attempt := run.Attempts.Len()
	a, _ := run.Latest()
	if err := l.append(item, attempt, ActionConfirmed{Typed: l.line(strings.TrimSpace(typed)), Preview: seen}); err != nil {
		return err
	}
	crash.Point("after-confirmed")
	claim := ActionClaimed{Locks: a.Armed.Preview.Locks, Fingerprint: a.Armed.Preview.Fingerprint}
	if err := l.append(item, attempt, claim); err != nil {
		return err
	}
	crash.Point("after-claimed")
	return l.beginDeed(item, attempt, *a.Armed, check)
}

// approvable is the armed item and its check, if it may be confirmed now.
func (l *Local) approvable(item, typed string, seen Hash) (ItemRun, checks.Check, error) {
	run, ok := l.run.Item(item)
	it, known := l.section.Item(item)
	if !ok || !known {
		return run, checks.Check{}, fmt.Errorf("%s: the runbook has no such item", item)
	}
	if l.o.Actions == nil {
		return run, checks.Check{}, ErrNoActions
	}
	if err := run.Confirmable(l.who, strings.TrimSpace(typed), seen); err != nil {
		return run, checks.Check{}, fmt.Errorf("%s: %w", item, err)
	}
	a, _ := run.Latest()
	if age := l.run.since(a, a.Started, l.o.Now()); age > previewHolds || age < backwards {
		return run, checks.Check{}, fmt.Errorf("%s: the preview is %v old: make a new one", item, age.Round(time.Minute))
	}
	if err := l.run.held(run, l.o.Now()); err != nil {
		return run, checks.Check{}, err
	}
	if err := l.mayAct(it); err != nil {
		return run, checks.Check{}, err
	}
	if err := l.free(item, a.Armed.Preview.Locks); err != nil {
		return run, checks.Check{}, err
	}
	check, err := Resolve(it, l.o.Site, l.variables)
	return run, check, err
}

// free is nil if nobody holds what the action needs for itself.
func (l *Local) free(item string, locks []string) error {
	if l.o.Actions.Holder == nil {
		return nil
	}
	for _, lock := range locks {
		if who := l.o.Actions.Holder(lock); who != "" {
			return fmt.Errorf("%s: %s is being worked at by %s", item, lock, who)
		}
	}
	return nil
}

// Cancel asks what runs to stop. It returns when that is recorded; the item
// becomes cancelled when it is seen to be gone.
func (s Seat) Cancel(item, reason string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	it, ok := l.run.Item(item)
	again := it.State == Cancelling && it.Kind == Action // it did not end the first time
	if !ok || it.State != Running && !again {
		return fmt.Errorf("%s is %s: there is nothing to cancel", item, it.State)
	}
	if !again {
		if err := l.append(item, it.Attempts.Len(), ItemCancelling{Reason: l.line(reason)}); err != nil {
			return err
		}
	}
	if cancel := l.running[item]; cancel != nil && it.Kind != Action {
		cancel()
		return nil
	}
	a, _ := it.Latest()
	if a.Intent != nil && l.o.Actions != nil {
		l.endDeed(a.Intent.Step)
	}
	return nil
}

// endDeed asks a step to end, and ends it. Nobody waits for it.
func (l *Local) endDeed(step string) {
	l.tasks.Go(func() {
		defer crash.Recover()
		ctx, cancel := context.WithTimeout(l.ctx, cancelTimeout)
		defer cancel()
		l.o.Actions.Deeds.Cancel(ctx, step) //nolint:errcheck // whether it is gone is seen by looking at it
	})
}

// Resolve says what became of an interrupted action, by a person's evidence.
func (s Seat) Resolve(item string, done bool, evidence string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	resolved := ItemResolved{Level: checks.Crit, Evidence: s.l.line(evidence)}
	if done {
		resolved.Level = checks.OK
	}
	it, _ := s.l.run.Item(item)
	if err := s.l.append(item, it.Attempts.Len(), resolved); err != nil {
		return err
	}
	s.l.settle(item)
	return nil
}

// Probe looks again from outside at an interrupted action.
func (s Seat) Probe(item string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	it, ok := s.l.run.Item(item)
	if !ok || it.Kind != Action || it.State != Interrupted {
		return fmt.Errorf("%s is %s: there is nothing to look for", item, it.State)
	}
	s.l.probeLater(item, it.Attempts.Len(), s.who)
	return nil
}

// Live is what is to be seen of the item's newest action, from a position of
// its output on.
func (s Seat) Live(item string, from int64) (Live, error) {
	s.l.mu.Lock()
	it, _ := s.l.run.Item(item)
	a, _ := it.Latest()
	s.l.mu.Unlock()
	if a.Intent == nil || s.l.o.Actions == nil {
		return Live{}, fmt.Errorf("%s has no output", item)
	}
	return s.l.o.Actions.Deeds.Live(a.Intent.Step, from)
}
