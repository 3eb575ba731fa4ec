package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/tlscert/trust"
)

const (
	// lastAnswers are those that an abort goes by, and leastAnswers how many
	// there must be: the first one that fails is no rate yet.
	lastAnswers  = 100
	leastAnswers = 20

	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10

	// reportEvery and sayEvery are how often it tells how far it is.
	reportEvery = 250 * time.Millisecond
	sayEvery    = 5 * time.Second
)

// attack is one load that is ready to be sent.
type attack struct {
	env    checks.Env
	load   checks.Load
	header http.Header
	client *http.Client
	cut    context.Context // when it ends, every connection is closed
	end    context.CancelFunc
}

func newAttack(env checks.Env, l checks.Load) (*attack, error) {
	roots, err := trust.Roots(l.CA)
	if err != nil {
		return nil, err
	}
	a := &attack{env: env, load: l, header: http.Header{"User-Agent": {"opsdeck load test " + env.Token}}}
	if !l.Token.IsZero() {
		a.header.Set("Authorization", "Bearer "+l.Token.Reveal())
	}
	a.cut, a.end = context.WithCancel(context.Background())
	a.client = &http.Client{
		Timeout: l.Wait,
		Transport: &http.Transport{
			DialContext: a.dial, MaxIdleConnsPerHost: l.Users, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig: &tls.Config{RootCAs: roots, Time: env.Now},
		},
		// A redirect is no answer, and the token is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return a, nil
}

// dial opens a connection that ends with the attack, whatever is under way on
// it: vegeta itself waits for every answer.
func (a *attack) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := a.env.Dialer.DialContext(ctx, network, address)
	if err == nil {
		context.AfterFunc(a.cut, func() { defer crash.Recover(); conn.Close() })
	}
	return conn, err
}

// run sends one request, and the load if that is answered rightly.
func (a *attack) run(ctx context.Context) (*measured, error) {
	defer a.end()
	m := newMeasured(a.env.Now())
	code, err := a.first(ctx)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		m.refuse("connection refused")
	case err != nil:
		return nil, fmt.Errorf("load %s was not begun, because the first request had no answer: %w", a.load.Name, err)
	case !right(code):
		m.refuse(status(code))
	default:
		if err := a.all(ctx, m); err != nil {
			return nil, err
		}
	}
	m.ended = a.env.Now()
	return m, nil
}

// first finds out whether there is anything to put under load.
func (a *attack) first(ctx context.Context) (code int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.load.URL, http.NoBody)
	if err != nil {
		return 0, checks.Failed(checks.Unconfigured, "%w", err)
	}
	req.Header = a.header.Clone()
	answer, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// counted ends a pace after a number of requests.
type counted struct {
	vegeta.ConstantPacer
	total uint64
}

// Pace says how long to wait before the next request, and when there is none.
func (c counted) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if hits >= c.total {
		return 0, true
	}
	return c.ConstantPacer.Pace(elapsed, hits)
}

// all sends the load and measures the answers as they come.
func (a *attack) all(ctx context.Context, m *measured) error {
	l := a.load
	attacker := vegeta.NewAttacker(vegeta.Client(a.client), vegeta.Workers(uint64(min(10, l.Users))), vegeta.MaxWorkers(uint64(l.Users)), vegeta.MaxBody(0))
	defer context.AfterFunc(ctx, func() { defer crash.Recover(); attacker.Stop(); a.end() })()
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: l.URL, Header: a.header})
	pace := counted{vegeta.ConstantPacer{Freq: l.Rate, Per: time.Second}, uint64(l.Total())}
	said, reported := time.Now(), time.Now()
	for r := range attacker.Attack(target, pace, 0, "") {
		if ctx.Err() != nil || m.aborted {
			continue // what is cut off by us is no answer of theirs
		}
		if err := m.take(r); err != nil {
			attacker.Stop()
			a.end()
			return err
		}
		if m.failing() > l.Abort {
			m.aborted = true
			a.env.Printf("%s: more than %g %% of the last %d failed: it ends here", l.Name, l.Abort, len(m.last))
			attacker.Stop()
			a.end()
		}
		if now := time.Now(); now.Sub(reported) >= reportEvery || m.sent == l.Total() {
			reported = now
			a.env.Report(float64(m.sent), float64(l.Total()), m.String())
		}
		if now := time.Now(); now.Sub(said) >= sayEvery {
			said = now
			a.env.Printf("%s: %s", l.Name, m)
		}
	}
	return ctx.Err()
}
