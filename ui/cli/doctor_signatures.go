package cli

import (
	"context"
	"fmt"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
)

// examineSignatures says whether a second person can sign what needs one, and
// what two people are told apart by.
func (p *program) examineSignatures(ctx context.Context, w *world) []finding {
	needing := p.needingSignatures(w)
	switch {
	case needing == 0:
		return nil
	case w.site.Socket != "":
		return []finding{p.signaturesFar(ctx, w, needing)}
	}
	switch who := identity.Current(); who.LoginState {
	case runbooks.LoginUnset:
		return []finding{{checks.Warn, "signatures", fmt.Sprintf("%d items want a second person; no login is set behind %s, "+
			"so people are told apart by their user ids alone, and only %[2]s and root reach this supervisor",
			needing, who.Name), "opsdeck init --system"}}
	case runbooks.LoginUnreadable:
		return []finding{noLogins(needing, who)}
	}
	return []finding{{checks.Warn, "signatures", fmt.Sprintf("%d items want a second person, who has to come to this account "+
		"by sudo or su from a login of their own", needing), "opsdeck init --system"}}
}

// signaturesFar asks a supervisor of another user what it can read of us.
func (p *program) signaturesFar(ctx context.Context, w *world, needing int) finding {
	says := fmt.Sprintf("%d items want a second person, who signs through %s", needing, w.site.Socket)
	you, _, err := p.client(w).Greet(ctx)
	switch {
	case err != nil:
		return finding{checks.Unknown, "signatures", says + "; what it can read of logins is not known: " + err.Error(), ""}
	case you.LoginState == runbooks.LoginUnset:
		return finding{checks.OK, "signatures", says + "; no login is set behind " + you.Name +
			", so people without one are told apart by their user ids alone", ""}
	case you.LoginState == runbooks.LoginUnreadable:
		return noLogins(needing, you)
	}
	return finding{checks.OK, "signatures", says, ""}
}

func noLogins(needing int, who runbooks.Actor) finding {
	return finding{checks.Warn, "signatures", fmt.Sprintf("%d items want a second person, "+
		"and the login of %s cannot be read (%s): it counts as no signature", needing, who.Name, who.LoginWhy),
		"let the supervisor read /proc/PID/loginuid: a kernel with audit, and /proc without hidepid"}
}

// needingSignatures counts the items of the shelf that one person alone cannot
// begin.
func (p *program) needingSignatures(w *world) int {
	needing := 0
	for _, b := range w.shelf().Runbooks {
		for _, s := range b.Sections {
			for _, it := range s.Items {
				if it.Danger >= 3 || it.Signers > 0 {
					needing++
				}
			}
		}
	}
	return needing
}
