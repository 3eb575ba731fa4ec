package owner

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A Refusal is the error for a file that may not steer opsdeck: somebody else
// could have written it.
type Refusal struct {
	Path   string // the file that was asked for, absolute
	At     string // the file, folder or link that breaks the rule
	Owner  string // who that belongs to: "deploy (1001)"
	UID    uint32
	Mode   uint32 // permission bits with sticky and set-id, as chmod takes them
	Why    string // what is wrong with it
	Remedy string // what to do about it
}

// Error names the file, what breaks the rule, its owner and mode, and the remedy.
func (r *Refusal) Error() string { return r.Cause() + ": " + r.Remedy }

// Cause is the refusal without the remedy, for those who show that beside it.
func (r *Refusal) Cause() string {
	subject := "it"
	if r.At != r.Path {
		subject = r.At
	}
	facts := fmt.Sprintf("mode %04o", r.Mode)
	if !strings.Contains(r.Why, r.Owner) {
		facts = "owner " + r.Owner + ", " + facts
	}
	return fmt.Sprintf("refusing %s: %s %s (%s)", r.Path, subject, r.Why, facts)
}

// refusal is of the entry e on the way to the path that was asked for.
func (w *walk) refusal(e entry, why, remedy string) *Refusal {
	return &Refusal{
		Path: w.asked, At: e.path, Owner: w.rule.accounts.describe(e.stat.Uid), UID: e.stat.Uid,
		Mode: e.stat.Mode & 0o7777, Why: why, Remedy: remedy,
	}
}

// foreign refuses what belongs to somebody else.
func (w *walk) foreign(e entry) *Refusal {
	name := fmt.Sprint(e.stat.Uid)
	if user, ok := w.rule.accounts.byUID(e.stat.Uid); ok {
		name = user.name
	}
	me := "root"
	if user, ok := w.rule.accounts.byUID(w.rule.uid); ok {
		me = user.name
	}
	chown, what := "chown "+me, ""
	if e.isLink() {
		chown, what = "chown -h "+me, "is a symbolic link that "
	}
	what += fmt.Sprintf("belongs to user %s, not to %s", w.rule.accounts.describe(e.stat.Uid), w.rule.people())
	return w.refusal(e, what, fmt.Sprintf("%s %s, or trust that owner with the line %q in %s",
		chown, e.path, name, strings.Join(w.rule.named, " or ")))
}

// open refuses what others may write.
func (w *walk) open(e entry, how, bits string) *Refusal {
	return w.refusal(e, how, fmt.Sprintf("chmod %s %s", bits, e.path))
}

// shared refuses an entry of somebody else in a folder that everyone may write.
func (w *walk) shared(e entry) *Refusal {
	return w.refusal(e, fmt.Sprintf("is in %s, which others can write, and belongs to user %s, not to %s",
		filepath.Dir(e.path), w.rule.accounts.describe(e.stat.Uid), w.rule.people()),
		"move it to a folder that only its owner can write")
}
