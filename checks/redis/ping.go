package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Ping tells whether the server answers. A server that refuses or hangs is a
// fact; a wrong password, a missing right or a server that is still loading
// leaves open how it is.
var Ping = module(checks.Module{
	Name: "redis.ping",
	Doc:  "Asks whether the Redis server answers and how fast, with its role, version and age",
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Doc: "the server answered PING with PONG", Worse: fact.Lower},
		{Name: "latency", Type: fact.Duration, Doc: "time of one PING on an open connection", Worse: fact.Higher, Optional: true},
		{Name: "connect", Type: fact.Duration, Doc: "time to connect, to log in and to be answered once: a server that was busy makes a client wait here", Worse: fact.Higher, Optional: true},
		{Name: "role", Type: fact.Text, Doc: "master or slave, as the server calls it", Optional: true},
		{Name: "version", Type: fact.Text, Doc: "version of the server", Optional: true},
		{Name: "up", Type: fact.Duration, Doc: "time since the server was started", Worse: fact.Lower, Optional: true},
		{Name: "problem", Type: fact.Text, Doc: "why it did not answer", Optional: true},
	},
	Warn: "latency > 100ms or connect > 500ms", Fail: "ok == false", Source: "proposed",
	Timeout: 6 * time.Second,
	Every:   10 * time.Second,
	Example: "use: redis.ping\nfail: ok == false or latency > 1s",
	Run:     ping,
})

func ping(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	inner, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	times, err := s.ping(inner)
	if ctx.Err() != nil {
		return checks.Findings{}, ctx.Err()
	}
	if down(err) {
		return checks.Findings{
			Note: "does not answer: " + string(checks.ClassOf(err)), Target: s.options.Addr,
			Facts: []fact.Fact{fact.Flag("ok", false), fact.Word("problem", err.Error())},
		}, nil
	}
	if err != nil {
		return checks.Findings{Target: s.options.Addr}, err
	}
	f := checks.Findings{
		Target: s.options.Addr,
		Note:   "PONG in " + fact.FormatDuration(times.answer.Round(time.Microsecond)),
		Facts:  []fact.Fact{fact.Flag("ok", true), fact.Dur("latency", times.answer), fact.Dur("connect", times.connect)},
		Phases: []checks.Phase{{Name: "connect", Took: times.connect}, {Name: "ping", Took: times.answer}},
	}
	s.introduce(inner, &f)
	return f, nil
}

// pingTimes separates what it takes to connect and to log in from an answer.
type pingTimes struct{ connect, answer time.Duration }

func (s *Server) ping(ctx context.Context) (pingTimes, error) {
	var times pingTimes
	err := s.use(ctx, func(ctx context.Context, client *redis.Client) error {
		conn := client.Conn()
		err := timed(&times.connect, func() error { return conn.Ping(ctx).Err() })
		if err == nil {
			err = timed(&times.answer, func() error { return conn.Ping(ctx).Err() })
		}
		if closeErr := conn.Close(); err == nil {
			err = closeErr
		}
		return err
	})
	return times, err
}

func timed(took *time.Duration, do func() error) error {
	began := time.Now()
	err := do()
	*took = time.Since(began)
	return err
}

// introduce adds what the server says of itself. A user that may PING and not
// INFO has found out what this module is about.
func (s *Server) introduce(ctx context.Context, f *checks.Findings) {
	values, err := s.info(ctx, "server", "replication")
	if err != nil {
		f.Detail = append(f.Detail, "role, version and age are not known: "+err.Error())
		return
	}
	for _, word := range []struct{ fact, field string }{{"version", "redis_version"}, {"role", "role"}} {
		if text := values[word.field]; text != "" {
			f.Facts = append(f.Facts, fact.Word(word.fact, text))
			f.Note += fmt.Sprintf(", %s %s", word.fact, text)
		}
	}
	if seconds, ok := count(values, "uptime_in_seconds"); ok {
		f.Facts = append(f.Facts, fact.Dur("up", time.Duration(min(seconds, 1e9))*time.Second))
	}
}
