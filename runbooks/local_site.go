package runbooks

import (
	"errors"
	"fmt"
)

// UseSite goes on with the site as its file is now, of that hash. What is armed
// was previewed under the old file and is taken back; checks and actions that
// run end as they began. An error is one of recording.
func (l *Local) UseSite(site Site, hash string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.o.SiteHash
	l.o.Site, l.o.SiteHash = site, hash
	if old == hash || !l.live || l.run.State.Ended() || l.accepts() != nil {
		return nil
	}
	l.who = l.run.Driver
	var errs []error
	for _, it := range l.run.Items {
		if it.State == Armed {
			errs = append(errs, l.takeBack(it, old))
		}
	}
	return errors.Join(errs...)
}

// takeBack records that what was previewed under another site file does not
// stand any more. The caller holds mu.
func (l *Local) takeBack(it ItemRun, old string) error {
	return l.append(it.ID, it.Attempts.Len(), ActionDisarmed{Reason: "taken back: " + l.siteEdited(old)})
}

// siteEdited says that a preview was made under another site file.
func (l *Local) siteEdited(old string) string {
	return fmt.Sprintf("the site file was edited since the preview (%s, now %s)", ShortHash(old), ShortHash(l.o.SiteHash))
}

// ShortHash is the hash of a site file as people compare it.
func ShortHash(hash string) string { return hash[:min(8, len(hash))] }
