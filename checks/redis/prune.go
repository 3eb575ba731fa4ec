package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Prune removes keys that would stay for ever. Redis removes expired keys
// itself: what is left over are those without an expiry.
var Prune = module(checks.Module{
	Name:   "redis.prune",
	Doc:    "Finds keys of a pattern that have no expiry and were not used for long, and removes them in small steps if told to; every key with an expiry stays",
	Effect: checks.Destructive, Danger: 3, Repeatable: true,
	Crash: "what was removed by then is gone, the rest stays and is found by the next preview",
	Params: []checks.Param{
		{Name: "pattern", Type: checks.TextParam, Default: "session:*", Check: checkPattern, Doc: "keys to look at, as SCAN matches them", Example: "session:*"},
		{Name: "db", Type: checks.NumberParam, Default: 0, Check: checkDB, Doc: "database in which they are looked for"},
		{Name: "idle", Type: checks.DurationParam, Default: "30d", Check: checkIdle, Doc: "how long a key must not have been used"},
		{Name: "max", Type: checks.NumberParam, Default: 10_000, Check: checkMost, Doc: "keys to remove, at most"},
		{Name: "remove", Type: checks.BoolParam, Default: false, Doc: "remove them; without it they are only counted"},
	},
	Facts: []fact.Spec{
		{Name: "matched", Type: fact.Count, Unit: "keys", Optional: true, Doc: "keys of the pattern that were looked at"},
		{Name: "expiring", Type: fact.Count, Unit: "keys", Optional: true, Doc: "of those, keys with an expiry: they are never touched"},
		{Name: "stale", Type: fact.Count, Unit: "keys", Worse: fact.Higher, Optional: true, Doc: "of those, keys without one that were not used for long"},
		{Name: "removed", Type: fact.Count, Unit: "keys", Optional: true, Doc: "keys that were removed"},
		{Name: "whole", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "every key of the database was walked"},
		{Name: "room", Type: fact.Count, Unit: "keys", Optional: true, Doc: "stale keys that one action leaves, because there are more than it may remove"},
		checks.DoneFact,
	},
	Warn: "whole == false", Fail: "done == false", Source: "proposed",
	Timeout: 5 * time.Minute,
	Example: "use: redis.prune\nwith:\n  pattern: \"session:*\"\n  idle: 30d",
	Preview: previewPrune, Run: prune, Probe: probePrune,
})

// Bounds of a walk that removes: keys that one call looks through, calls, and
// keys that one UNLINK takes.
const (
	pruneCalls = 20_000
	pruneBatch = 100
)

func checkPattern(value any) error {
	if p, ok := value.(string); ok && strings.Trim(p, "*?") == "" {
		return fmt.Errorf("%q matches every key: name those that are meant", p)
	}
	return nil
}

func checkIdle(value any) error {
	if d, ok := value.(time.Duration); ok && d < time.Second {
		return fmt.Errorf("%s is less than a second", d)
	}
	return nil
}

func checkMost(value any) error {
	if n, ok := value.(float64); ok && (n < 1 || n > 1_000_000 || n != float64(int(n))) {
		return fmt.Errorf("%v is not between 1 and a million keys", n)
	}
	return nil
}

// walk is what a look at the keys of a pattern found.
type walk struct {
	matched, expiring, stale, removed int
	examples                          []string
	whole                             bool
}

// pruning is what preview, action and probe have in common.
type pruning struct {
	s       *Server
	db      int
	pattern string
	idle    time.Duration
	most    int
}

func openPruning(ctx context.Context, env checks.Env, args checks.Args) (pruning, error) {
	p := pruning{db: args.Int("db"), pattern: args.Text("pattern"), idle: args.Duration("idle"), most: args.Int("max")}
	var err error
	if p.s, err = server(env); err != nil {
		return p, err
	}
	values, err := p.s.info(ctx, "server", "memory", "replication")
	if err != nil {
		return p, err
	}
	switch policy := values["maxmemory_policy"]; {
	case values["redis_mode"] == "cluster":
		return p, checks.Failed(checks.Other, "redis %s is part of a cluster: its other nodes hold keys that this one does not know", p.s.name)
	case values["role"] != "master":
		return p, checks.Failed(checks.Other, "redis %s is a replica: keys are removed on its master", p.s.name)
	case strings.HasSuffix(policy, "-lfu"):
		return p, checks.Failed(checks.Other, "redis %s counts how often keys are used (%s), not when: how long one is idle cannot be told", p.s.name, policy)
	}
	return p, nil
}

func (p pruning) target() string { return fmt.Sprintf("%s/%d %s", p.s.options.Addr, p.db, p.pattern) }

func previewPrune(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := openPruning(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: p.pattern, Fingerprint: p.target(), Locks: []string{"redis:" + p.s.name}}
	w, err := p.walk(ctx, nil)
	if err != nil {
		return f, err
	}
	w.describe(&f, p)
	what := "counts them and removes nothing: remove is false"
	if args.Bool("remove") {
		what = fmt.Sprintf("removes at most %d of them by UNLINK, %d at a time, each looked at again just before", p.most, pruneBatch)
	}
	f.Detail = append(f.Detail, what, "careful: what is removed cannot be brought back, and reading a key for a test is using it")
	return f, nil
}

func prune(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := openPruning(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: p.pattern}
	var unlink func(context.Context, *redis.Client, []string) (int, error)
	if args.Bool("remove") {
		unlink = func(ctx context.Context, client *redis.Client, keys []string) (int, error) {
			n, err := p.unlink(ctx, client, keys)
			env.Printf("%d keys removed", n)
			return n, err
		}
	}
	w, err := p.walk(ctx, unlink)
	w.describe(&f, p)
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, fact.Number("removed", w.removed), fact.Flag("done", true))
	return f, nil
}

// probePrune counts again. Nothing is to be left of a whole removal; a report
// leaves everything, and is done when it was made.
func probePrune(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := openPruning(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: p.pattern}
	w, err := p.walk(ctx, nil)
	if err != nil {
		return f, err
	}
	w.describe(&f, p)
	left := 0
	if room, ok := env.BeforeFact("room", ""); ok {
		left = int(room.Num)
	}
	f.Facts = append(f.Facts, fact.Flag("done", !args.Bool("remove") || w.whole && w.stale <= left))
	return f, nil
}

// walk looks at the keys of the pattern; unlink, if given, gets the stale ones.
func (p pruning) walk(ctx context.Context, unlink func(context.Context, *redis.Client, []string) (int, error)) (walk, error) {
	var w walk
	err := p.s.database(ctx, p.db, func(ctx context.Context, client *redis.Client) error {
		cursor := uint64(0)
		for range pruneCalls {
			found, next, err := client.Scan(ctx, cursor, p.pattern, scanCount).Result()
			if err != nil {
				return fmt.Errorf("scanning for %q: %w", p.pattern, err)
			}
			for len(found) > 0 {
				n := min(len(found), pruneBatch)
				if err := p.look(ctx, client, &w, found[:n], unlink); err != nil {
					return err
				}
				found = found[n:]
			}
			if cursor = next; cursor == 0 {
				w.whole = true
				return nil
			}
		}
		return nil
	})
	return w, err
}

// look sorts some keys by expiry and idleness.
func (p pruning) look(ctx context.Context, client *redis.Client, w *walk, found []string, unlink func(context.Context, *redis.Client, []string) (int, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ttl, idle := make([]*redis.DurationCmd, len(found)), make([]*redis.DurationCmd, len(found))
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range found {
			idle[i], ttl[i] = pipe.ObjectIdleTime(ctx, key), pipe.PTTL(ctx, key)
		}
		return nil
	})
	if err != nil && err != redis.Nil { //nolint:errorlint // a key that is gone meanwhile answers nil, unwrapped
		return fmt.Errorf("asking for expiry and idle time of %d keys: %w", len(found), err)
	}
	const noExpiry, gone = -1, -2
	var stale []string
	for i, key := range found {
		switch {
		case ttl[i].Err() != nil || idle[i].Err() != nil || ttl[i].Val() == gone:
			continue
		case ttl[i].Val() != noExpiry:
			w.expiring++
		case idle[i].Val() >= p.idle:
			stale = append(stale, key)
		}
		w.matched++
	}
	w.stale += len(stale)
	w.examples = append(w.examples, stale[:min(len(stale), 5-min(5, len(w.examples)))]...)
	if stale = stale[:min(len(stale), p.most-w.removed)]; unlink == nil || len(stale) == 0 {
		return nil
	}
	n, err := unlink(ctx, client, stale)
	w.removed += n
	return err
}

// onlyStale removes a key if it still has no expiry and is still idle: a user
// who comes back between the look and the removal keeps what is theirs.
var onlyStale = redis.NewScript(`
local n = 0
for _, key in ipairs(KEYS) do
  local idle = redis.call('OBJECT', 'IDLETIME', key)
  if idle and idle >= tonumber(ARGV[1]) and redis.call('PTTL', key) == -1 then
    n = n + redis.call('UNLINK', key)
  end
end
return n`)

func (p pruning) unlink(ctx context.Context, client *redis.Client, keys []string) (int, error) {
	n, err := onlyStale.Run(ctx, client, keys, int(p.idle.Seconds())).Int()
	if err != nil {
		return 0, fmt.Errorf("removing %d keys: %w", len(keys), err)
	}
	return n, nil
}

func (w walk) describe(f *checks.Findings, p pruning) {
	f.Facts = append(f.Facts,
		fact.Number("matched", w.matched), fact.Number("expiring", w.expiring), fact.Number("stale", w.stale),
		fact.Flag("whole", w.whole), fact.Number("room", max(0, w.stale-p.most)))
	f.Note = fmt.Sprintf("%d of %d %s stale, %d expire by themselves", w.stale, w.matched, p.pattern, w.expiring)
	if !w.whole {
		f.Detail = append(f.Detail, "careful: not every key was looked at")
	}
	for _, key := range w.examples {
		f.Detail = append(f.Detail, fmt.Sprintf("for example %q", key))
	}
}
