package logs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A writer is one way in which programs write a log: one record of it.
type writer struct {
	name string
	line func(at time.Time, level string, i int) string
}

// upper, lower and short are the ways in which levels are written.
var (
	upper = strings.ToUpper
	short = func(level string) string {
		return map[string]string{"debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR", "fatal": "FTL"}[level]
	}
	local = time.FixedZone("", 3600)
)

// writers are the formats of the logs that a team of a web platform meets. The
// level stands first behind the stamp in few of them.
var writers = []writer{
	{"winston", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s [%s]: saved quiz %d", at.Format("2006-01-02T15:04:05.000Z"), level, i)
	}},
	{"level first", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %s [worker-%d] course.service - done", at.Format("2006-01-02 15:04:05.000"), upper(level), i%8)
	}},
	{"log4j", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s [main] %-5s com.example.Lesson - stored %d", at.Format("2006-01-02 15:04:05,000"), upper(level), i)
	}},
	{"logback", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %-5s 812 --- [nio-%d-exec] c.e.Lesson : stored", at.Format("2006-01-02T15:04:05.000-07:00"), upper(level), i%9)
	}},
	{"python", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s - app.course - %s - lesson %d", at.Format("2006-01-02 15:04:05,000"), upper(level), i)
	}},
	{"python root", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s:root:%s", upper(level), at.Format("2006-01-02 15:04:05,000"))
	}},
	{"uvicorn", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %s:     lesson %d", at.Format("2006-01-02 15:04:05"), upper(level), i)
	}},
	{"celery", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("[%s: %s/ForkPoolWorker-%d] task done", at.Format("2006-01-02 15:04:05,000"), upper(level), i%4)
	}},
	{"syslog", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s web app[%d]: %s: course %d", at.Format(time.Stamp), 800+i%3, upper(level), i)
	}},
	{"syslog without levels", func(at time.Time, _ string, i int) string {
		return fmt.Sprintf("%s web sshd[%d]: Accepted publickey for deploy", at.Format(time.Stamp), 800+i)
	}},
	{"rfc 5424", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("<34>1 %s web app 812 - - %s course %d", at.Format("2006-01-02T15:04:05.000Z"), upper(level), i)
	}},
	{"journald", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s web app[812]: level=%s msg=\"course %d\"", at.In(local).Format("2006-01-02T15:04:05-0700"), level, i)
	}},
	{"logfmt", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("time=%q level=%s msg=\"course %d\"", at.Format(time.RFC3339), level, i)
	}},
	{"logfmt, stamp first", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("ts=%s caller=main.go:%d level=%s msg=done", at.Format(time.RFC3339Nano), i%300, level)
	}},
	{"logfmt, level in front", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("level=%s ts=%s msg=\"course %d\"", level, at.Format("2006-01-02T15:04:05.000Z"), i)
	}},
	{"level in front", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %s course %d", upper(level), at.Format("2006-01-02 15:04:05,000"), i)
	}},
	{"laravel", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("[%s] production.%s: course %d {\"id\":1}", at.Format("2006-01-02 15:04:05"), upper(level), i)
	}},
	{"symfony", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("[%s] request.%s: course %d", at.Format("2006-01-02T15:04:05.000000+00:00"), upper(level), i)
	}},
	{"rails", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s, [%s #812] %5s -- : course %d", upper(level)[:1], at.Format("2006-01-02T15:04:05.000000"), upper(level), i)
	}},
	{"postgres", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s [812] lms@lms %s:  course %d", at.Format("2006-01-02 15:04:05.000 MST"), pgWord(level), i)
	}},
	{"postgres of rds", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s:10.0.0.1(42):lms@lms:[812]:%s:  course %d", at.Format("2006-01-02 15:04:05 MST"), pgWord(level), i)
	}},
	{"csvlog", func(at time.Time, level string, i int) string {
		stamp := at.Format("2006-01-02 15:04:05.000 MST")
		text := []string{"plain", `with ""quotes""`, "over\n" + stamp + " ERROR not a record\nlines"}[i%3]
		return fmt.Sprintf(`%s,"lms","lms",812,"[local]",6560.1,%d,"SELECT",%s,3/4,0,%s,42601,"%s",,,,,,,,,"psql"`, stamp, i, stamp, pgWord(level), text)
	}},
	{"jsonlog", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"timestamp":%q,"pid":812,"error_severity":%q,"message":"course %d"}`, at.Format("2006-01-02 15:04:05.000 MST"), pgWord(level), i)
	}},
	{"winston json", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"level":%q,"message":"course %d","timestamp":%q}`, level, i, at.Format("2006-01-02T15:04:05.000Z"))
	}},
	{"pino", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"level":%d,"time":%d,"pid":8,"msg":"a 5\" disk, course %d"}`, pinoNumber(level), at.UnixMilli(), i)
	}},
	{"pino, time first", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"time":%d,"level":%d,"msg":"a 5\" disk, course %d"}`, at.UnixMilli(), pinoNumber(level), i)
	}},
	{"zap", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"level":%q,"ts":%.3f,"caller":"x.go:%d","msg":"y"}`, level, float64(at.UnixMilli())/1000, i%40)
	}},
	{"json, stamp first", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"timestamp":%q,"level":%q,"msg":"course %d"}`, at.Format("2006-01-02T15:04:05.000Z"), level, i)
	}},
	{"json with nested levels", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"timestamp":%q,"ctx":{"level":"info"},"level":%q,"n":%d}`, at.Format("2006-01-02T15:04:05.000Z"), level, i)
	}},
	{"json of google", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"severity":%q,"time":%q,"message":"course %d"}`, upper(level), at.Format(time.RFC3339Nano), i)
	}},
	{"json with two stamps", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`{"time":%q,"severity":"info","timestamp":%q,"level":%q}`,
			at.Format(time.RFC3339), at.Add(-time.Duration(i%3)*time.Hour).Format(time.RFC3339), level)
	}},
	{"nginx error", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s [%s] 812#0: *%d upstream timed out", at.Format("2006/01/02 15:04:05"), strings.Replace(level, "fatal", "crit", 1), i)
	}},
	{"nginx access", func(at time.Time, _ string, i int) string {
		return fmt.Sprintf(`203.0.113.%d - - [%s] "GET /lessons?from=2026-11-01 HTTP/1.1" 200 5`, i%250, at.Format("02/Jan/2006:15:04:05 -0700"))
	}},
	{"redis", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("812:M %s # %s: course %d", at.Format("02 Jan 2006 15:04:05.000"), upper(level), i)
	}},
	{"epoch", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%d.%03d %s course %d", at.Unix(), at.UnixMilli()%1000, level, i)
	}},
	{"go", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %s: course %d", at.Format("2006/01/02 15:04:05"), level, i)
	}},
	{"three letters", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("[%s %s] course %d", at.Format("2006-01-02 15:04:05 -07:00"), short(level), i)
	}},
	{"script", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("=== %s: %s ===", upper(level), at.Format(time.UnixDate))
	}},
	{"level in colour", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s \x1b[3%dm%s\x1b[39m course %d", at.Format("2006-01-02T15:04:05.000Z"), i%3, upper(level), i)
	}},
	{"winston in colour", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s [\x1b[1;31m%s\x1b[0m]: course %d", at.Format("2006-01-02 15:04:05"), level, i)
	}},
	{"stamp in colour", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("\x1b[90m%s\x1b[0m \x1b[31m%s\x1b[0m course %d", at.Format("2006-01-02T15:04:05.000Z"), short(level), i)
	}},
	{"indented", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s%s %s course %d", []string{"  ", "", "\t"}[i%3], at.Format("2006-01-02 15:04:05"), upper(level), i)
	}},
	{"json, indented", func(at time.Time, level string, i int) string {
		return fmt.Sprintf(`%s{"time":%q,"level":%q,"msg":"course %d"}`, []string{" ", "", "  "}[i%3], at.Format(time.RFC3339), level, i)
	}},
	{"bare", func(at time.Time, level string, i int) string {
		return fmt.Sprintf("%s %s course %d", at.Format("2006-01-02 15:04:05"), level, i)
	}},
	{"a name where others have a level", func(at time.Time, level string, i int) string {
		name := []string{"INFO-service", "main", "debug.trace", "error-handler"}[i%4]
		return fmt.Sprintf("%s %s %s course %d", at.Format("2006-01-02 15:04:05"), name, upper(level), i)
	}},
}

func pgWord(level string) string {
	return map[string]string{"debug": "DEBUG1", "info": "LOG", "warn": "WARNING", "error": "ERROR", "fatal": "PANIC"}[level]
}

func pinoNumber(level string) int {
	return map[string]int{"debug": 20, "info": 30, "warn": 40, "error": 50, "fatal": 60}[level]
}

// between are lines that stand between the records of any log.
var between = []string{
	"", "    at run (/srv/app.js:3:5)", "TypeError: x is not a function", "\tat a.B.c(B.java:3)", "Caused by: java.io.IOException: y",
	"this line says nothing about its time", "WHERE created > '2026-11-01 00:00:00'", "  on 2026-11-01 00:00:00 ERROR", "net/http.(*conn).serve(0xc000)",
	"[2026-11-23T09:30:12.345Z]run(3)", "\x00\x00\x00", "}", "2026-13-45 99:99:99 ERROR", "error",
	"\t2026-11-23 09:30:12 as a value of a statement", "  \x1b[31mERROR\x1b[0m", `  {"level":"error"}`, "\x1b[31m",
}

// A mix is the text of a log by some writers, its records in order of time,
// with other lines between them and, if harm is set, now and then a damaged one.
func mix(r *rand.Rand, by []writer, harm bool, records int, from time.Time, step time.Duration) string {
	var text strings.Builder
	at := from
	for i := range records {
		level := []string{"debug", "info", "info", "info", "info", "info", "warn", "error", "fatal"}[r.IntN(9)]
		line := by[r.IntN(len(by))].line(at, level, i)
		if harm && r.IntN(60) == 0 {
			line = damaged(r, line)
		}
		text.WriteString(line + "\n")
		for r.IntN(12) == 0 {
			text.WriteString(between[r.IntN(len(between))] + "\n")
		}
		at = at.Add(time.Duration(r.Int64N(int64(2*step) + 1)))
	}
	return text.String()
}

// damaged changes, adds or takes one byte near the beginning of a line, where
// stamp and level are.
func damaged(r *rand.Rand, line string) string {
	at := r.IntN(min(len(line), 60))
	b := string("09:.,-+ Z[]{}\"TxE6"[r.IntN(18)])
	return line[:at] + []string{b, b + line[at:at+1], ""}[r.IntN(3)] + line[at+1:]
}
