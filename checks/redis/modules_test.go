package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestPing(t *testing.T) {
	s := start(t)
	res := run(t, s.connection(), Ping, nil)
	judged(t, res, checks.OK, "")
	if value(t, res, "role", "").Text != "master" || value(t, res, "version", "").Text == "" || value(t, res, "latency", "").Num <= 0 {
		t.Errorf("facts: %v", res.Facts)
	}
	if _, ok := res.Fact("up", ""); !ok || len(res.Phases) != 2 {
		t.Errorf("no age, or phases %v", res.Phases)
	}
}

func TestASlowAnswerWarns(t *testing.T) {
	res := run(t, start(t).connection(), Ping, nil)
	slow, _ := checks.NewCheck(Ping, "slow", nil, checks.Rules{})
	for i := range res.Facts {
		if res.Facts[i].Name == "latency" {
			res.Facts[i].Num = 101
		}
	}
	if v := checks.Judge(Ping, slow.Rules, res.Facts); v.Level != checks.Warn {
		t.Errorf("101 ms are %v", v.Level)
	}
}

// fake is a server for answers that the real one does not give on demand.
func fake(t *testing.T) (*miniredis.Miniredis, checks.Connection) {
	t.Helper()
	m := miniredis.RunT(t)
	return m, checks.Connection{Address: m.Addr()}
}

func TestAServerThatIsLoadingIsNotJudged(t *testing.T) {
	m, c := fake(t)
	m.SetError("LOADING Redis is loading the dataset in memory")
	for _, module := range modules {
		unknown(t, run(t, c, module, nil), checks.NoData)
	}
}

func TestAServerWithoutRoomForUsIsDown(t *testing.T) {
	m, c := fake(t)
	m.SetError("ERR max number of clients reached")
	judged(t, run(t, c, Ping, nil), checks.Crit, "ok")
	unknown(t, run(t, c, Memory, nil), checks.Refused)
}

func TestAnInfoWithoutItsFieldsIsUnknown(t *testing.T) {
	_, c := fake(t) // answers INFO without a memory section
	res := run(t, c, Memory, nil)
	if res.Level != checks.Unknown {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}

func TestMemory(t *testing.T) {
	// fill stores 20 MiB and sets the limit so that they are this share of it. The
	// server makes them: it keeps what it was sent a while longer.
	fill := func(percent uint64) func(*testing.T, started) {
		return func(t *testing.T, s started) {
			s.do(t, "SETRANGE", "ballast", 20<<20, "x")
			values := map[string]string{}
			parseInfo(s.admin.Info(t.Context(), "memory").Val(), values)
			used, ok := count(values, "used_memory")
			if !ok {
				t.Fatalf("INFO memory: %v", values)
			}
			s.do(t, "CONFIG", "SET", "maxmemory", used*100/percent)
		}
	}
	asStarted := func(*testing.T, started) {}
	tests := []struct {
		name    string
		options []string
		prepare func(*testing.T, started)
		level   checks.Level
		because string
	}{
		{"fine", []string{"--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl"}, asStarted, checks.OK, ""},
		{"no limit", nil, asStarted, checks.Warn, "limited"},
		{"logins would fail", []string{"--maxmemory", "64mb", "--maxmemory-policy", "noeviction"}, asStarted, checks.Warn, "policy"},
		{"sessions would go at random", []string{"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-random"}, asStarted, checks.Warn, "policy"},
		{"filling", []string{"--maxmemory-policy", "volatile-ttl"}, fill(82), checks.Warn, "used_share"},
		{"full", []string{"--maxmemory-policy", "volatile-ttl"}, fill(95), checks.Crit, "used_share"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.options...)
			tt.prepare(t, s)
			judged(t, run(t, s.connection(), Memory, map[string]any{"sample": "100ms"}), tt.level, tt.because)
		})
	}
}

func TestEvictionsAndRefusalsAreCountedPerSecond(t *testing.T) {
	s := start(t, "--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru")
	now := time.Now()
	e := env(t, s.connection())
	e.Now = func() time.Time { return now }
	check, _ := checks.NewCheck(Memory, "cache", map[string]any{"sample": "100ms"}, checks.Rules{})
	runner := checks.NewRunner(e, nil)
	first := runner.Run(t.Context(), check)
	if _, known := first.Fact("evicted", ""); known {
		t.Errorf("no time passed, and a rate is known: %v", first.Facts)
	}
	for i := range 40 {
		s.do(t, "SET", fmt.Sprintf("k%d", i), strings.Repeat("x", 1<<20))
	}
	now = now.Add(10 * time.Second)
	res := runner.Run(t.Context(), check)
	judged(t, res, checks.Crit, "used_share") // a server that evicts is at its limit
	if got := value(t, res, "evicted", "").Num; got <= 0 || got > 4 {
		t.Errorf("%v evicted a second, of 40 in 10 s", got)
	}
	if value(t, res, "rejected", "").Num != 0 {
		t.Error("nobody was refused")
	}
}

func TestARestartOfTheServerIsNotARate(t *testing.T) {
	now := time.Now()
	before := counters{at: now.Add(-time.Second), evicted: 5, run: "a"}
	if facts := rates(before, counters{at: now, evicted: 9, run: "b"}); facts != nil {
		t.Errorf("rates over a restart: %v", facts)
	}
}

func TestKeys(t *testing.T) {
	s := start(t)
	empty := run(t, s.connection(), Keys, map[string]any{"pattern": "session:*"})
	judged(t, empty, checks.OK, "")
	if value(t, empty, "keys", "").Num != 0 || value(t, empty, "without_ttl", "").Num != 0 {
		t.Errorf("an empty server has %v", empty.Facts)
	}
	for i := range 50 {
		s.do(t, "SET", fmt.Sprintf("session:%d", i), "x", "EX", 1000)
		s.do(t, "SET", fmt.Sprintf("cache:%d", i), "x")
	}
	judged(t, run(t, s.connection(), Keys, nil), checks.OK, "")
	judged(t, run(t, s.connection(), Keys, map[string]any{"pattern": "session:*"}), checks.OK, "")
	s.do(t, "SET", "session:stale", "x")
	res := run(t, s.connection(), Keys, map[string]any{"pattern": "session:*"})
	judged(t, res, checks.Warn, "without_ttl")
	got := map[string]float64{}
	for _, f := range res.Facts {
		got[f.Name+f.Label] = f.Num
	}
	want := map[string]float64{"keys": 101, "expiring": 50, "database_keysdb0": 101, "sampled": 51, "without_ttl": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(strings.Join(res.Detail, "\n"), "session:stale") {
		t.Errorf("the key is not named: %q", res.Detail)
	}
}

func TestEveryDatabaseCountsAndTheSampleIsOfTheOneAskedFor(t *testing.T) {
	s := start(t)
	s.do(t, "SET", "a", "x")
	s.do(t, "SELECT", 3)
	c := s.connection()
	pipe := s.admin.Pipeline()
	pipe.Do(t.Context(), "SELECT", 3)
	pipe.Do(t.Context(), "SET", "session:1", "x")
	pipe.Do(t.Context(), "SELECT", 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := env(t, c)
	res := checktest.Run(t, e, Keys, map[string]any{"pattern": "session:*", "db": 3})
	judged(t, res, checks.Warn, "without_ttl")
	if value(t, res, "database_keys", "db3").Num < 1 {
		t.Errorf("db3 is not counted: %v", res.Facts)
	}
	judged(t, checktest.Run(t, e, Keys, map[string]any{"pattern": "session:*"}), checks.OK, "") // still database 0
}

func TestTheSampleIsBounded(t *testing.T) {
	s := start(t)
	s.do(t, "EVAL", "for i=1,3000 do redis.call('SET', 'session:'..i, 'x') end", 0)
	res := run(t, s.connection(), Keys, map[string]any{"pattern": "session:*", "sample": 100})
	if got := value(t, res, "sampled", "").Num; got != 100 {
		t.Errorf("%v keys were looked at, 100 were asked for", got)
	}
	if !strings.Contains(strings.Join(res.Detail, "\n"), "a sample") {
		t.Errorf("it is not said that this is a sample: %q", res.Detail)
	}
	s.do(t, "EVAL", "for i=1,200000 do redis.call('SET', 'other:'..i, 'x') end", 0)
	s.do(t, "DEL", "session:1")
	res = run(t, s.connection(), Keys, map[string]any{"pattern": "nothing:*"})
	if _, known := res.Fact("without_ttl", ""); known {
		t.Error("a walk that was cut short claims to know")
	}
	judged(t, res, checks.OK, "")
}

func FuzzInfo(f *testing.F) {
	f.Add("# Keyspace\r\ndb0:keys=5,expires=1,avg_ttl=0\r\ndb15:keys=1,expires=0\r\n")
	f.Add("# Memory\r\nused_memory:1048576\r\nmem_fragmentation_ratio:nan\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		values := map[string]string{}
		parseInfo(text, values)
		for name, value := range values {
			if db, is, ok := parseDatabase(name, value); is && ok && db.number < 0 {
				t.Errorf("%q is %+v", name, db)
			}
		}
		s := &Server{}
		if found, err := s.describeMemory(values); err == nil {
			for _, fact := range found.Facts {
				if fact.Type.Numeric() && !(fact.Num >= 0) {
					t.Errorf("%s is %v", fact.Name, fact.Num)
				}
			}
		}
	})
}

func TestAServerThatAnswersSlowlyIsAmber(t *testing.T) {
	s := start(t, "--enable-debug-command", "yes")
	e := env(t, s.connection())
	check, _ := checks.NewCheck(Ping, "cache", nil, checks.Rules{})
	runner := checks.NewRunner(e, nil)
	judged(t, runner.Run(t.Context(), check), checks.OK, "")
	busy := make(chan struct{})
	go func() { defer close(busy); s.do(t, "DEBUG", "SLEEP", "1.5") }()
	time.Sleep(200 * time.Millisecond) // the server sleeps and says so to nobody
	judged(t, runner.Run(t.Context(), check), checks.Warn, "connect")
	<-busy
}
