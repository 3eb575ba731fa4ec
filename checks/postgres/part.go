package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// refusedFor is how long a question is not asked again that the server refused
// for good: each try is a line in its log.
const refusedFor = 5 * time.Minute

// A refusal is why a part was not answered, until it is tried again.
type refusal struct {
	why   string
	until time.Time
}

// part runs one query of a check that says something without it too, in a
// transaction of its own. why is the reason if the server refused it: no right,
// not this version, somebody's lock, no time. The error is one that ends the
// check: the server is gone.
func part[T any](ctx context.Context, s *Server, what, sql string, args ...any) (found []T, why string, err error) {
	if held, ok := s.refused.Load(what); ok {
		if r, ok := held.(refusal); ok && s.now().Before(r.until) {
			return nil, r.why, nil
		}
	}
	found, err = many[T](ctx, s, what, sql, args...)
	var answered *pgconn.PgError
	if err == nil || !errors.As(err, &answered) || isDown(err) || isAuth(answered.Code) {
		return found, "", err
	}
	why = answeredWith(answered)
	if !isPassing(answered) {
		s.refused.Store(what, refusal{why, s.now().Add(refusedFor)})
	}
	return nil, why, nil
}

// isPassing: the next look may well be answered. One that took too long is not
// tried again at once: it cost the server that time.
func isPassing(e *pgconn.PgError) bool { return e.Code == lockNotAvailable }

// answeredWith is the server's reason in plain words, without the name of the
// connection that the check names anyway.
func answeredWith(e *pgconn.PgError) string {
	_, text := meaning(e)
	return text
}

// partial is a list of reasons for the evidence: what is not known, and why.
type partial []string

func (p *partial) miss(what, why string) {
	if why != "" {
		*p = append(*p, what+" not known: "+why)
	}
}
