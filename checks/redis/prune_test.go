package redis

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// pruned is a server with live sessions, some that never expire but are in
// use, and some that were forgotten: with names that xargs would split.
func pruned(t *testing.T) started {
	t.Helper()
	s := start(t, "--enable-debug-command", "yes")
	for i := range 30 {
		s.do(t, "SET", fmt.Sprintf("session:live%d", i), "x", "EX", "3600")
		s.do(t, "SET", fmt.Sprintf("session:forgotten %d's", i), "x")
	}
	s.do(t, "SET", "cart:1", "x")
	time.Sleep(2100 * time.Millisecond) // the server's own clock of idleness has whole seconds
	s.do(t, "SET", "session:used", "x")
	return s
}

type pruneScene struct {
	env checks.Env
	c   checks.Check
}

func prunes(t *testing.T, c checks.Connection, with map[string]any) pruneScene {
	t.Helper()
	raw := map[string]any{"pattern": "session:*", "idle": "2s"}
	for k, v := range with {
		raw[k] = v
	}
	check, problems := checks.NewCheck(Prune, "prune", raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return pruneScene{env(t, c), check}
}

func (p pruneScene) preview(t *testing.T) checks.Result {
	t.Helper()
	return checks.NewRunner(p.env, nil).Preview(t.Context(), p.c, checks.Own{})
}

func (p pruneScene) act(ctx context.Context, seen checks.Result) checks.Result {
	return checks.NewRunner(p.env, nil).Act(ctx, p.c, checks.Own{Before: seen.Facts})
}

func (p pruneScene) probe(t *testing.T, seen checks.Result) checks.Result {
	t.Helper()
	return checks.NewRunner(p.env, nil).Probe(t.Context(), p.c, checks.Own{Before: seen.Facts}, checks.Rule{})
}

func keysOf(t *testing.T, s started) int {
	t.Helper()
	n, err := s.admin.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func TestPruneOnlyReportsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	s := pruned(t)
	p := prunes(t, s.connection(), nil)
	seen := p.preview(t)
	judged(t, seen, checks.OK, "")
	if value(t, seen, "stale", "").Num != 30 || value(t, seen, "expiring", "").Num != 30 || value(t, seen, "matched", "").Num != 61 {
		t.Errorf("preview: %s", seen.Note)
	}
	res := p.act(t.Context(), seen)
	judged(t, res, checks.OK, "")
	judged(t, p.probe(t, seen), checks.OK, "")
	if value(t, res, "removed", "").Num != 0 || keysOf(t, s) != 62 {
		t.Errorf("%s, %d keys left", res.Note, keysOf(t, s))
	}
}

func TestPruneTakesForgottenKeysOnlyAndAtMostSoMany(t *testing.T) {
	t.Parallel()
	s := pruned(t)
	few := prunes(t, s.connection(), map[string]any{"remove": true, "max": 10})
	seen := few.preview(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := few.act(ctx, seen); res.Level == checks.OK || keysOf(t, s) != 62 {
		t.Errorf("cancelled: %v, %d keys left", res.Level, keysOf(t, s))
	}
	judged(t, few.act(t.Context(), seen), checks.OK, "")
	judged(t, few.probe(t, seen), checks.OK, "")
	if keysOf(t, s) != 52 {
		t.Errorf("%d keys left of 62, 10 were to go", keysOf(t, s))
	}
	all := prunes(t, s.connection(), map[string]any{"remove": true})
	seen = all.preview(t)
	judged(t, all.probe(t, seen), checks.Crit, "")
	judged(t, all.act(t.Context(), seen), checks.OK, "")
	judged(t, all.probe(t, seen), checks.OK, "")
	if keysOf(t, s) != 32 {
		t.Errorf("%d keys left, want the 30 live, the used one and the cart", keysOf(t, s))
	}
}

// TestTheGuidesPruningLogsEverybodyOut runs the guide's own pipeline, with
// names that xargs does not split: it takes every live session.
func TestTheGuidesPruningLogsEverybodyOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	fill := func() {
		for i := range 20 {
			s.do(t, "SET", fmt.Sprintf("session:%d", i), "x", "EX", "3600")
		}
	}
	fill()
	line := fmt.Sprintf(`%s -s %s --raw KEYS 'session:*' | xargs %s -s %s DEL`, cli, s.socket, cli, s.socket)
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil || keysOf(t, s) != 0 {
		t.Fatalf("the guide's pipeline leaves %d sessions: %s %v", keysOf(t, s), out, err)
	}
	fill()
	p := prunes(t, s.connection(), map[string]any{"remove": true, "idle": "1s"})
	time.Sleep(1100 * time.Millisecond) // idle by the server's clock, and still somebody's session
	seen := p.preview(t)
	judged(t, p.act(t.Context(), seen), checks.OK, "")
	if keysOf(t, s) != 20 {
		t.Errorf("%d of 20 live sessions are left", keysOf(t, s))
	}
}

func TestPruneRefusesWhatItCannotTell(t *testing.T) {
	t.Parallel()
	if _, problems := checks.NewCheck(Prune, "all", map[string]any{"pattern": "**"}, checks.Rules{}); len(problems) == 0 {
		t.Error("a pattern of everything is taken")
	}
	lfu := start(t, "--maxmemory-policy", "allkeys-lfu")
	if res := prunes(t, lfu.connection(), nil).preview(t); res.Level != checks.Unknown || !strings.Contains(res.Err, "cannot be told") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	replica := start(t, "--replicaof", "127.0.0.1 1")
	if res := prunes(t, replica.connection(), nil).preview(t); res.Level != checks.Unknown || !strings.Contains(res.Err, "is a replica") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	denied := start(t)
	denied.do(t, "SET", "session:1", "x")
	denied.do(t, "ACL", "SETUSER", "default", "-object|idletime")
	unknown(t, prunes(t, denied.connection(), nil).preview(t), checks.Denied)
	denied.stop()
	unknown(t, prunes(t, denied.connection(), nil).preview(t), checks.Refused)
}
