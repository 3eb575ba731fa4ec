package postgres

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// owned is what the checks of a connection have cost the server so far.
type owned struct {
	at           time.Time
	spent        time.Duration
	transactions int64
}

func (s *Server) owned() owned {
	return owned{s.now(), time.Duration(s.spent.Load()), s.commits.Load() + s.rollbacks.Load()}
}

// ownCost is the share of the time since the last look in which the session
// was in use, over all checks: the server worked for it no longer than that,
// because the way there and back is in it. Absent at the first look.
func (s *Server) ownCost(memory *checks.Memory) ([]fact.Fact, string) {
	now := s.owned()
	last, known := checks.Remembered[owned](memory, "own cost")
	checks.Remember(memory, "own cost", now)
	took := now.at.Sub(last.at)
	if !known || took <= 0 || now.spent < last.spent {
		return nil, fmt.Sprintf("opsdeck's own polling: %d transactions, %s in all", now.transactions, fact.FormatDuration(now.spent))
	}
	share := 100 * float64(now.spent-last.spent) / float64(took)
	return []fact.Fact{fact.Pct("own", share)},
		fmt.Sprintf("opsdeck's own polling: %d transactions and at most %s of the server's time in the last %s (%s of one session), left out of pg.tps",
			now.transactions-last.transactions, fact.FormatDuration(now.spent-last.spent), fact.FormatDuration(took), fact.PctValue(share))
}
