package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Keys counts keys in every database. With a pattern it also looks at a sample
// of the keys that match, because a session without an expiry stays for ever.
var Keys = module(checks.Module{
	Name: "redis.keys",
	Doc:  "Counts the keys of every database and, of a pattern, those in a sample that never expire",
	Params: []checks.Param{
		{Name: "pattern", Type: checks.TextParam, Default: "", Doc: "keys that should expire, as SCAN matches them; without it none are looked at", Example: "session:*"},
		{Name: "db", Type: checks.NumberParam, Default: 0, Check: checkDB, Doc: "database in which the pattern is looked for"},
		{Name: "sample", Type: checks.NumberParam, Default: 1000, Check: checkSample, Doc: "matching keys to look at, at most"},
	},
	Facts: []fact.Spec{
		{Name: "keys", Type: fact.Count, Unit: "keys", Doc: "keys in all databases", Usual: true, Growth: true},
		{Name: "expiring", Type: fact.Count, Unit: "keys", Doc: "keys in all databases that have an expiry"},
		{Name: "database_keys", Type: fact.Count, Unit: "keys", Label: "database", Doc: "keys in each database that has any", Optional: true},
		{Name: "sampled", Type: fact.Count, Unit: "keys", Doc: "keys of the pattern that were looked at", Optional: true},
		{Name: "without_ttl", Type: fact.Count, Unit: "keys", Doc: "of those, keys that never expire", Worse: fact.Higher, Optional: true},
	},
	Warn: "keys_ratio > 200% or without_ttl > 0", Source: "proposed",
	Timeout: 8 * time.Second,
	Every:   30 * time.Second,
	Example: "use: redis.keys\nwith: {pattern: \"session:*\"}\nwarn: without_ttl > 0",
	Run:     keys,
})

// Bounds on a scan: how many keys one call may look through, and how many
// calls are made. A pattern that matches nothing must not walk a server of a
// hundred million keys.
const (
	scanCount = 500
	scanCalls = 200
)

func checkDB(value any) error {
	if n, ok := value.(float64); ok && (n < 0 || n > 1<<20 || n != float64(int(n))) {
		return checks.Failed(checks.Limit, "a database is a whole number from 0")
	}
	return nil
}

func checkSample(value any) error {
	if n, ok := value.(float64); ok && (n < 1 || n > 10_000) {
		return checks.Failed(checks.Limit, "a sample has 1 to 10000 keys")
	}
	return nil
}

func keys(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	values, err := s.info(ctx, "keyspace")
	if err != nil {
		return checks.Findings{Target: s.options.Addr}, err
	}
	databases, err := s.databases(values)
	if err != nil {
		return checks.Findings{Target: s.options.Addr}, err
	}
	f := describeKeys(databases)
	f.Target = s.options.Addr
	if pattern := args.Text("pattern"); pattern != "" {
		seen, err := s.sample(ctx, args.Int("db"), pattern, args.Int("sample"))
		if err != nil {
			return f, err
		}
		seen.add(&f, pattern)
	}
	return f, nil
}

func (s *Server) databases(values map[string]string) ([]database, error) {
	var all []database
	for name, value := range values {
		db, isDatabase, ok := parseDatabase(name, value)
		if !ok {
			return nil, s.missing(name)
		}
		if isDatabase {
			all = append(all, db)
		}
	}
	slices.SortFunc(all, func(a, b database) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

func describeKeys(databases []database) checks.Findings {
	var f checks.Findings
	var total, expiring uint64
	table := checks.Table{Name: "databases", Columns: []checks.Column{
		{Name: "database", Type: fact.Text}, {Name: "keys", Type: fact.Count}, {Name: "expiring", Type: fact.Count},
	}}
	for _, db := range databases {
		name := fmt.Sprintf("db%d", db.number)
		total, expiring = total+db.keys, expiring+db.expiring
		f.Facts = append(f.Facts, fact.Number("database_keys", db.keys).On(name))
		table.Rows = append(table.Rows, []fact.Value{fact.WordValue(name), fact.NumberValue(db.keys), fact.NumberValue(db.expiring)})
	}
	f.Facts = append(f.Facts, fact.Number("keys", total), fact.Number("expiring", expiring))
	f.Tables = []checks.Table{table}
	f.Note = fmt.Sprintf("%d keys, %d of them expire", total, expiring)
	return f
}

// sampled is what a bounded scan saw.
type sampled struct {
	keys, eternal int
	examples      []string // of keys without expiry
	whole         bool     // every key of the database was walked
}

// sample walks keys of a pattern until it has seen enough of them, or until
// its bound on calls. A key that is gone meanwhile counts as one that expires.
func (s *Server) sample(ctx context.Context, db int, pattern string, most int) (sampled, error) {
	var seen sampled
	err := s.database(ctx, db, func(ctx context.Context, client *redis.Client) error {
		cursor := uint64(0)
		for range scanCalls {
			found, next, err := client.Scan(ctx, cursor, pattern, scanCount).Result()
			if err != nil {
				return fmt.Errorf("scanning for %q: %w", pattern, err)
			}
			room := most - seen.keys
			if err := seen.look(ctx, client, found[:min(len(found), room)]); err != nil {
				return err
			}
			cursor = next
			seen.whole = cursor == 0 && len(found) <= room
			if cursor == 0 || seen.keys >= most {
				return nil
			}
		}
		return nil
	})
	return seen, err
}

func (s *sampled) look(ctx context.Context, client *redis.Client, found []string) error {
	if len(found) == 0 {
		return nil
	}
	answers := make([]*redis.DurationCmd, len(found))
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range found {
			answers[i] = p.PTTL(ctx, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("asking for the expiry of %d keys: %w", len(found), err)
	}
	const noExpiry = -1
	for i, a := range answers {
		s.keys++
		if a.Val() != noExpiry {
			continue
		}
		s.eternal++
		if len(s.examples) < 5 {
			s.examples = append(s.examples, found[i])
		}
	}
	return nil
}

// add reports the sample. A walk that was cut short before it met a single key
// of the pattern knows nothing of their expiry.
func (s *sampled) add(f *checks.Findings, pattern string) {
	f.Facts = append(f.Facts, fact.Number("sampled", s.keys))
	if s.keys > 0 || s.whole {
		f.Facts = append(f.Facts, fact.Number("without_ttl", s.eternal))
	}
	f.Note += fmt.Sprintf("; %d of %d %s never expire", s.eternal, s.keys, pattern)
	if !s.whole {
		f.Detail = append(f.Detail, fmt.Sprintf("a sample: not every key was looked at for %q", pattern))
	}
	if len(s.examples) > 0 {
		f.Detail = append(f.Detail, "never expire, for example: "+strings.Join(s.examples, ", "))
	}
}
