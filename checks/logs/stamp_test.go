package logs

import (
	"testing"
	"time"
)

var paris = mustZone("Europe/Paris")

func mustZone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

func TestStampsOfEveryKindAreRead(t *testing.T) {
	t.Parallel()
	const utc, local = "2026-11-23T03:07:12Z", "2026-11-23T02:07:12Z"
	tests := []struct{ line, want string }{
		{`{"time":"2026-11-23T03:07:12.345Z","level":"info"}`, utc},
		{`{"level":30,"time":1795403232345,"msg":"pino"}`, utc},
		{`{"ts":1795403232.345,"msg":"zap"}`, utc},
		{`{"@timestamp":"2026-11-23T04:07:12.345+01:00","message":"ecs"}`, utc},
		{`{"msg":"\"time\":\"2001-01-01T00:00:00Z\"","date":"2026-11-23 03:07:12.345 UTC"}`, utc},
		{`{"req":{"time":"2001-01-01T00:00:00Z"},"timestamp":"2026-11-23T03:07:12Z"}`, utc},
		{`{"time_local":"23/Nov/2026:03:07:12 +0000","status":200}`, utc},
		{`2026-11-23T03:07:12.345Z [error]: winston`, utc},
		{`2026-11-23T03:07:12+0000 host prog: journald`, utc},
		{`2026-11-23 04:07:12,345 +01:00 - app - ERROR - python`, utc},
		{`2026-11-23 03:07:12,345 - app - ERROR - python without a zone`, local},
		{`[2026-11-23T03:07:12.345Z] bracketed`, utc},
		{`[2026-11-23 03:07:12.345 +0000] INFO (812): pino-pretty`, utc},
		{`2026-11-23 03:07:12.345 UTC [812] lms@lms LOG:  postgres`, utc},
		{`2026-11-23 04:07:12.345 CET [812] LOG:  postgres`, utc},
		{`2026-11-23 03:07:12.345 UTC,"lms","lms",812,,6560.1,1,"SELECT",2026-11-23 03:00:00 UTC,3/4,0,LOG,00000,"csvlog",,,,,,,,,""`, utc},
		{`2026/11/23 03:07:12 [error] 812#0: *1 nginx`, local},
		{`2026/11/23 03:07:12 go's log`, local},
		{`203.0.113.7 - jane [23/Nov/2026:03:07:12 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"`, utc},
		{`2001:db8::7 - - [23/Nov/2026:04:07:12 +0100] "GET / HTTP/1.1" 200 5`, utc},
		{`Nov 23 03:07:12 web sshd[812]: syslog`, local},
		{`<34>Nov 23 03:07:12 web su: 3164`, local},
		{`<34>1 2026-11-23T03:07:12.345Z web app 812 - - 5424`, utc},
		{`812:M 23 Nov 2026 03:07:12.345 # redis`, local},
		{`1795403232.345 squid`, utc},
		{`INFO 2026-11-23 03:07:12,345 level first`, local},
		{`time="2026-11-23T03:07:12Z" level=error msg=logfmt`, utc},
		{`2026-11-23T03:07:12-05 offset of hours`, "2026-11-23T08:07:12Z"},
		{`=== Database Maintenance Completed: Mon Nov 23 03:07:12 UTC 2026 ===`, utc},
		{`=== Completed: Mon Nov 23 04:07:12 CET 2026`, utc},
		{`Started: Mon Nov 23 03:07:12 AM UTC 2026`, utc},
		{`Started: Mon Nov 23 03:07:12 PM UTC 2026`, "2026-11-23T15:07:12Z"},
		{`Started: Sun Nov  1 03:07:12 +01 2026`, "2026-11-01T02:07:12Z"},
		{`2026-06-30 23:59:60 UTC leap second`, "2026-07-01T00:00:00Z"},
	}
	for _, tt := range tests {
		s := newStamper("", zones{paris, benchNow}, window{0, 1 << 62})
		m, ok := s.look([]byte(tt.line))
		got := time.Unix(0, m.at).UTC().Truncate(time.Second).Format(time.RFC3339)
		if !ok || got != tt.want {
			t.Errorf("%q is of %s, %v; want %s", tt.line, got, ok, tt.want)
		}
		if m.end > len(tt.line) || m.zone > m.end || m.minute > m.end {
			t.Errorf("%q: mark %+v", tt.line, m)
		}
	}
}

func TestWhatIsNoStampIsNotRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{", "hello", "2026-11-23", "2026-11-23 report", "2026-13-23 03:07:12 x", "2026-02-30 03:07:12 x", "2026-11-23 25:07:12 x",
		"0000-01-01 00:00:00 x", "9999-12-31 23:59:59 x", "123 456", "17954 x", `{"time":true}`, `{"time":"soon"}`, `{"message":"none"}`,
		`2026-11-23 03:07:12.345 XYZ [812] LOG:  a zone that nobody knows`, "Nov 31 03:07:12 x", "    at fn (/app/x.js:2026-11-23)",
	} {
		s := newStamper("", zones{time.UTC, benchNow}, window{0, 1 << 62})
		if m, ok := s.look([]byte(text)); ok {
			t.Errorf("%q is of %v", text, time.Unix(0, m.at).UTC())
		}
	}
}

func TestSyslogLinesOfDecemberAreOfLastYearInJanuary(t *testing.T) {
	t.Parallel()
	s := newStamper("", zones{time.UTC, time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}, window{})
	m, ok := s.look([]byte("Dec 31 23:59:58 web x: y"))
	if want := time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC); !ok || m.at != want.UnixNano() {
		t.Errorf("is of %v", time.Unix(0, m.at).UTC())
	}
}

// The memo must never answer other than parsing would.
func TestTheMemoAgreesWithParsing(t *testing.T) {
	t.Parallel()
	lines := []string{
		"2026-11-23 03:07:12 INFO a", "2026-11-23 03:07:13 +01:00 b", "2026-11-23 03:07:14 CET c", "2026-11-23 03:07:15.5 d", "2026-11-23 03:07:16 e",
		"2026-11-23T03:07:12Z a", "2026-11-23T03:07:12+01:00 a", "2026-11-23T03:07:12+0130 a", "2026-11-23T03:07:12 a",
		`{"time":"2026-11-23T03:07:12Z","a":1}`, `{"time":"2026-11-23T03:07:12+01:00"}`, `{"time":1795403232345}`, `{"time":1795403232}`,
		"1.2.3.4 - - [23/Nov/2026:03:07:12 +0000] x", "1.2.3.4 - bob [23/Nov/2026:03:07:12 +0200] x",
	}
	win := window{time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC).UnixNano(), time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC).UnixNano()}
	for _, first := range lines {
		for _, second := range lines {
			s := newStamper("", zones{time.UTC, benchNow}, win)
			s.place([]byte(first))
			p, end := s.place([]byte(second))
			fresh := newStamper("", zones{time.UTC, benchNow}, win)
			m, ok := fresh.look([]byte(second))
			if !ok || p != win.place(m.at) || end != m.end {
				t.Errorf("%q after %q: place %d end %d, parsed %d %d", second, first, p, end, win.place(m.at), m.end)
			}
		}
	}
}

func TestLevelsAreReadWhereTheyStand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]severity{
		"2026-11-23 03:07:12 ERROR x":                                              errorLevel,
		"2026-11-23 03:07:12 [main] ERROR c.e.App - x":                             errorLevel,
		"2026-11-23T03:07:12Z [error]: x":                                          errorLevel,
		"2026-11-23T03:07:12Z error: x":                                            errorLevel,
		"2026-11-23 03:07:12,345 - app - ERROR - x":                                errorLevel,
		"[2026-11-23 03:07:12] production.ERROR: x":                                errorLevel,
		`time="2026-11-23T03:07:12Z" level=error msg="x"`:                          errorLevel,
		"2026-11-23 03:07:12 INFO NO_ERROR":                                        infoLevel,
		"2026-11-23 03:07:12 finished with NO_ERROR":                               noLevel,
		"2026-11-23 03:07:12 0 errors":                                             noLevel,
		"2026-11-23 03:07:12 saw an error in passing":                              noLevel,
		"2026-11-23 03:07:12 INFO ERROR is a word here":                            infoLevel,
		`{"time":"2026-11-23T03:07:12Z","level":"error"}`:                          errorLevel,
		`{"time":"2026-11-23T03:07:12Z","level":"ERROR"}`:                          errorLevel,
		`{"time":1795403232345,"level":50}`:                                        errorLevel,
		`{"time":1795403232345,"level":30,"msg":"\"level\":50"}`:                   infoLevel,
		`{"timestamp":"2026-11-23 03:07:12.345 UTC","error_severity":"FATAL"}`:     fatalLevel,
		"2026-11-23 03:07:12.345 UTC [812] lms@lms FATAL:  x":                      fatalLevel,
		"2026-11-23 03:07:12.345 UTC [812] LOG:  statement: select 'ERROR: x'":     infoLevel,
		`2026-11-23 03:07:12.345 UTC,"l","l",8,,6.1,1,"S",,3/4,0,ERROR,42P01,"x",`: errorLevel,
		`2026-11-23 03:07:12.345 UTC,"l","l",8,,6.1,1,"S",,3/4,0,LOG,0,"ERROR, x"`: infoLevel,
		"2026/11/23 03:07:12 [crit] 812#0: *1 x":                                   fatalLevel,
	} {
		l := lineOf(text)
		if got := l.level(); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func TestSignaturesFoldWhatDiffers(t *testing.T) {
	t.Parallel()
	for a, b := range map[string]string{
		"user 12 not found in /srv/lms/a.js":             "user 7 not found in /var/b.js",
		"id 550e8400-e29b-41d4-a716-446655440000 gone":   "id 123e4567-e89b-12d3-a456-426614174000 gone",
		`relation "quiz" does not exist at character 15`: `relation "users" does not exist at character 9`,
		"connect ECONNREFUSED 10.0.0.5:5432":             "connect ECONNREFUSED 10.0.0.16:5432",
		"pointer 0xc000123abc is bad":                    "pointer 0xc000999fff is bad",
	} {
		x, y := string(signature(nil, []byte(a))), string(signature(nil, []byte(b)))
		if x != y {
			t.Errorf("%q and %q differ", x, y)
		}
	}
	if x, y := string(signature(nil, []byte("cannot read"))), string(signature(nil, []byte("cannot write"))); x == y {
		t.Error("different messages have one signature")
	}
}

func TestPersonalDataAreMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`login failed for jane.doe@example.com from 203.0.113.7`:           `login failed for j***@example.com from 203.0.113.x`,
		`Failed password for invalid user admin from 2001:db8:1:2:3:4:5:6`: `Failed password for invalid user a*** from 2001:db8:x`,
		`FATAL: password authentication failed for user "lms"`:             `FATAL: password authentication failed for user "l***"`,
		`{"username":"jane","ip":"10.1.2.3"}`:                              `{"username":"j***","ip":"10.1.2.x"}`,
		`Failed password for root from 203.0.113.7`:                        `Failed password for r*** from 203.0.113.x`,
	} {
		if got := mask(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
