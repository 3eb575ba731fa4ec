package postgres

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// backoff spaces attempts to open a session: 1, 2, 4 ... 30 s with jitter. Its
// zero value is ready.
type backoff struct {
	failures int
	until    time.Time
	last     error
}

const (
	longestWait = 30 * time.Second

	// authWait: trying a wrong password again and again locks accounts and
	// fills the server's log.
	authWait = 5 * time.Minute
)

// ready is nil when it is time to try.
func (b *backoff) ready(now time.Time) error {
	if b.last == nil || !now.Before(b.until) {
		return nil
	}
	return fmt.Errorf("%w (next try in %s)", b.last, b.until.Sub(now).Round(100*time.Millisecond))
}

func (b *backoff) succeeded() { *b = backoff{} }

func (b *backoff) failed(now time.Time, err error) {
	b.last = err
	b.until = now.Add(b.delay(err))
	b.failures++
}

// delay depends on what is known: a server that is starting says so and is
// asked again at once, a refusal is cheap for both sides, a wrong password is
// not for us to repeat.
func (b *backoff) delay(err error) time.Duration {
	limit := longestWait
	var answered *pgconn.PgError
	switch {
	case errors.As(err, &answered) && answered.Code == cannotConnectNow:
		limit = time.Second
	case errors.As(err, &answered) && isAuth(answered.Code):
		return authWait
	case isRefused(err):
		limit = 4 * time.Second
	}
	d := min(time.Second<<min(b.failures, 5), limit)
	return d - time.Duration(rand.Int64N(int64(d)/5)) // up to a fifth sooner
}
