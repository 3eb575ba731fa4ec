package backup

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// folderSpec is by what the directory of a set is known again.
var folderSpec = fact.Spec{
	Name: "folder", Type: fact.Text, Optional: true,
	Doc: "of a preview: device and inode of the directory that the backup is written to",
}

// hold opens the directory of a set that is written to, through links of root
// and the user only, and holds that the set was listed in it.
func (s *set) hold() (*hostfs.Dir, error) {
	held, err := hostfs.OpenDir(s.source.Dir)
	if err != nil {
		return nil, err
	}
	if err := s.liesIn(held); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// liesIn is an error unless the set was listed in that directory.
func (s *set) liesIn(held *hostfs.Dir) error {
	listed, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	info, err := hostfs.InfoOf(listed)
	if err != nil {
		return err
	}
	return held.Is(info.ID)
}

// folder is the directory as a preview records it.
func (p *plan) folder() (fact.Fact, error) {
	info, err := p.held.Info()
	return fact.Word(folderSpec.Name, info.ID.String()), err
}

// isPreviewed refuses a directory that is another than the one that was confirmed.
func (p *plan) isPreviewed(env checks.Env) error {
	is, err := p.folder()
	if err != nil {
		return err
	}
	if known, ok := env.BeforeFact(folderSpec.Name, ""); ok && known.Text != is.Text {
		return checks.Failed(checks.Other, "%s is not the directory that the preview saw any more", p.set.source.Dir)
	}
	return nil
}

// removeLeftovers removes the drafts that were looked at, and nothing that
// stands under their names by now.
func (p *plan) removeLeftovers(env checks.Env) error {
	for _, l := range p.removable() {
		env.Printf("removing %s, left unfinished by an earlier run", l.name())
		seen, err := hostfs.InfoOf(l.info)
		if err == nil {
			err = p.held.Remove(l.name(), seen.ID)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an unfinished backup: %w", err)
		}
	}
	return nil
}
