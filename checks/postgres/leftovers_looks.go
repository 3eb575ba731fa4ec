package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// straysShown is how many files are listed; all are counted.
const straysShown = 100

// looksApart is the time between two looks at the files.
const looksApart = 300 * time.Millisecond

// mostLooks bounds how long agreement is waited for: six seconds and what the
// looks take, well within the deadline of the check.
const mostLooks = 20

// strays are the files that belong to no table.
type strays struct {
	largest   []stray // the largest, at most straysShown
	left      int     // on which no transaction can be at work
	size      float64 // bytes of these
	undecided int
}

// A listedStray is a row of straysSQL: a file, and the sums over all files.
type listedStray struct {
	stray
	Left      int
	LeftSize  float64
	Undecided int
}

// strays looks at the files until two looks agree on what is left. A commit
// makes a dropped table unknown before its files are removed, and one that came
// while the files were listed makes a new table known only to the next look:
// neither is a leftover, and neither stays as it is. Files that do not come to
// rest are undecided. Where the first look finds nothing there is no second.
func (s *Server) strays(ctx context.Context) (strays, error) {
	last, err := s.lookForStrays(ctx)
	for n := 1; err == nil && last.left > 0; n++ {
		if n == mostLooks {
			return last.allUndecided(), nil
		}
		select {
		case <-ctx.Done():
			return strays{}, ctx.Err()
		case <-time.After(looksApart):
		}
		var next strays
		if next, err = s.lookForStrays(ctx); err != nil || next.agrees(last) {
			return next, err
		}
		last = next
	}
	return last, err
}

// lookForStrays asks the server for the files, or reads its directories where
// the server refuses and this is its host.
func (s *Server) lookForStrays(ctx context.Context) (strays, error) {
	listed, why, err := part[listedStray](ctx, s, "files of no table", straysSQL)
	if err != nil {
		return strays{}, err
	}
	if why != "" {
		found, local := s.straysHere(ctx)
		if local != nil {
			return strays{}, checks.Failed(cmp.Or(checks.ClassOf(local), checks.Denied), "the server does not list its files to this role (%s), and from here they cannot be read: %w", why, local)
		}
		return found, nil
	}
	var found strays
	for _, x := range listed {
		found.largest = append(found.largest, x.stray)
		found.left, found.size, found.undecided = x.Left, x.LeftSize, x.Undecided
	}
	return found, nil
}

// sumUp counts all and keeps the largest.
func sumUp(all []stray) strays {
	var found strays
	for _, x := range all {
		if x.AtWork {
			found.undecided++
			continue
		}
		found.left, found.size = found.left+1, found.size+x.Size
	}
	slices.SortFunc(all, func(a, b stray) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Space, b.Space), cmp.Compare(a.Node, b.Node))
	})
	found.largest = all[:min(straysShown, len(all))]
	return found
}

// agrees: the same files are left, in number, size and by name where listed.
func (f strays) agrees(other strays) bool {
	return f.left == other.left && f.size == other.size && slices.Equal(f.names(), other.names())
}

// names are those of the listed files that are left.
func (f strays) names() []strayNode {
	var names []strayNode
	for _, x := range f.largest {
		if !x.AtWork {
			names = append(names, strayNode{x.Space, x.Node})
		}
	}
	return names
}

func (f strays) allUndecided() strays {
	all := strays{undecided: f.left + f.undecided}
	for _, x := range f.largest {
		x.AtWork = true
		all.largest = append(all.largest, x)
	}
	return all
}
