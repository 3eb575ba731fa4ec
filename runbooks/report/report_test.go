package report_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/report"
)

var update = flag.Bool("update", false, "write the goldens anew; read the diff before committing")

var (
	night = time.Date(2026, 12, 6, 2, 0, 0, 0, time.UTC)
	ada   = runbooks.Actor{Name: "ada", UID: 1000, Login: "ada", Host: "ops1"}
	bob   = runbooks.Actor{Name: "root", UID: 0, Login: "bob", Host: "ops1"}
	eve   = runbooks.Actor{Name: "eve", UID: 1001, Claimed: true}
)

// tale folds events a minute apart.
type tale struct {
	t   testing.TB
	id  string
	now time.Time
	run runbooks.Run
}

func (s *tale) did(who runbooks.Actor, item string, attempt int, p runbooks.Payload) {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	e, err := runbooks.NewEvent(s.now, who, s.id, item, attempt, p)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.run, err = s.run.Apply(e); err != nil {
		s.t.Fatal(err)
	}
}

func found(level checks.Level, note string, facts ...fact.Fact) checks.Result {
	return checks.Result{ID: "x", Module: "sys.disk", Level: level, Note: note, Facts: facts, At: night, Warn: "used > 80%", Fail: "used > 90%", RuleSource: "guide"}
}

// window is a run with everything in it. evil stands in every text of it.
func window(t testing.TB, id, evil string, used float64) runbooks.Run {
	s := &tale{t: t, id: id, now: night}
	step := func(id string, kind runbooks.Kind) runbooks.Step {
		return runbooks.Step{ID: id, Title: "Title of " + id + evil, Kind: kind, Group: "Group" + evil, Use: "sys.disk", Guide: []int{233}}
	}
	s.did(ada, "", 0, runbooks.RunOpened{
		Site: "lms", Runbook: "window", Title: "Window" + evil, Section: "window", Period: "2026-12-06", Path: "library/window.md", Version: "1.0", Hash: runbooks.Hash{7},
		Steps: []runbooks.Step{
			step("disk", runbooks.Check), step("locks", runbooks.Check), step("logs", runbooks.Check), step("notice", runbooks.Confirm),
			step("compact", runbooks.Action), step("watch", runbooks.Hold), step("left-out", runbooks.Manual),
		},
	})
	s.did(ada, "disk", 1, runbooks.CheckStarted{Module: "sys.disk"})
	s.did(ada, "disk", 1, runbooks.CheckFinished{Result: found(checks.OK, "/ "+evil, fact.Pct("used", used).On("/"+evil), fact.Dur("rto", 90*time.Second))})
	s.did(ada, "locks", 1, runbooks.CheckStarted{Module: "pg.locks"})
	bad := found(checks.Crit, "blocked"+evil, fact.Number("blocked", 3))
	bad.Why = []checks.Breach{{Fact: "blocked", Value: fact.NumberValue(3), Rule: "blocked > 0", Level: checks.Crit, Source: "guide" + evil}}
	s.did(ada, "locks", 1, runbooks.CheckFinished{Result: bad})
	s.did(ada, "locks", 0, runbooks.ItemOverridden{Reason: "known" + evil, Until: night.Add(5 * time.Hour)})
	s.did(ada, "logs", 1, runbooks.CheckStarted{Module: "log.count"})
	s.did(ada, "logs", 1, runbooks.CheckFinished{Result: checks.Result{ID: "logs", Level: checks.Unknown, Err: "denied" + evil, Class: checks.Denied, At: night}})
	s.did(ada, "notice", 1, runbooks.ItemConfirmed{Level: checks.OK, Evidence: map[string]string{"link": "https://t.example/1" + evil}})
	s.did(eve, "notice", 0, runbooks.Noted{Text: "I said" + evil})
	s.did(eve, "notice", 0, runbooks.Attached{Title: "sessions" + evil, Seen: night, Text: "pid  state\n4711 idle" + evil})
	preview := checks.Result{Level: checks.OK, Target: "lms" + evil, Note: "rebuild 2 tables" + evil, Fingerprint: "7/16384@db", Detail: []string{"careful: slow" + evil}, At: night}
	preview.Tables = []checks.Table{{Name: "tables" + evil, Columns: []checks.Column{{Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes}}, Rows: [][]fact.Value{{fact.WordValue("public.t" + evil), fact.SizeValue(3 << 20)}}}}
	s.did(ada, "compact", 1, runbooks.ActionArmed{Module: "pg.vacuum_full", With: map[string]any{"tables": []any{"public.t" + evil, "public.u"}, "room": 2.0}, Danger: 3, Signers: 1, Crash: "it goes on", Preview: preview, Hash: runbooks.Hash{9}, Gates: []runbooks.Gate{{Item: "disk", State: runbooks.Passed}}})
	s.did(ada, "compact", 0, runbooks.ActionBarred{Reason: "outside the window" + evil})
	s.did(bob, "compact", 1, runbooks.Signed{Role: "dba" + evil, Preview: runbooks.Hash{9}})
	s.did(ada, "compact", 1, runbooks.ActionConfirmed{Typed: "lms" + evil, Preview: runbooks.Hash{9}})
	s.did(ada, "compact", 1, runbooks.ActionClaimed{Locks: []string{"postgres:lms"}})
	s.did(ada, "compact", 1, runbooks.ActionIntended{Token: "opsdeck/k3vq", Step: "s", Crash: "it goes on"})
	s.did(ada, "compact", 1, runbooks.ActionStarted{PID: 4711})
	s.did(ada, "", 0, runbooks.DriverLeft{Items: []string{"compact"}})
	s.did(ada, "", 0, runbooks.DriverReturned{})
	s.did(ada, "compact", 1, runbooks.ActionFinished{Result: found(checks.OK, "2 tables"+evil), Output: 42, OutputHash: runbooks.Hash{3}, Tail: "VACUUM" + evil + "\nsecond line\n", Left: []string{"99 sleep"}})
	s.did(ada, "compact", 1, runbooks.ActionVerified{Result: found(checks.OK, "the files are new"+evil)})
	s.did(ada, "watch", 1, runbooks.HoldStarted{Until: night.Add(time.Hour), Every: time.Minute, Items: []string{"disk"}})
	s.did(ada, "watch", 1, runbooks.HoldSampled{Results: []checks.Result{found(checks.Warn, "slow")}})
	s.did(ada, "watch", 1, runbooks.HoldEnded{Level: checks.Warn, Reason: "3 looks" + evil})
	s.did(ada, "left-out", 0, runbooks.ItemSkipped{Reason: "not tonight" + evil})
	s.did(bob, "", 0, runbooks.Signed{Role: "lead" + evil})
	s.did(ada, "", 0, runbooks.Noted{Text: "all well" + evil})
	s.did(ada, "", 0, runbooks.Attached{Title: "overview" + evil, Seen: night, Text: "conn 81" + evil})
	s.did(ada, "", 0, runbooks.RunClosed{State: s.run.Outcome(), Note: "done" + evil})
	return s.run
}

func options(earlier ...runbooks.Run) report.Options {
	return report.Options{
		Now: night.Add(2 * time.Hour), Version: "1.0", Head: 28, HeadHash: runbooks.Hash{1, 2, 3, 4, 5, 6, 7, 8}, Verified: "intact and witnessed",
		Earlier: earlier, Budget: 10 * time.Minute,
	}
}

func written(t testing.TB, write func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func all(t testing.TB, r report.Report) map[string]string {
	t.Helper()
	return map[string]string{
		"md":   written(t, func(b *bytes.Buffer) error { return report.Markdown(b, r) }),
		"html": written(t, func(b *bytes.Buffer) error { return report.HTML(b, r) }),
		"json": written(t, func(b *bytes.Buffer) error { return report.JSON(b, r) }),
	}
}

func TestAReportLooksAsRecorded(t *testing.T) {
	r := report.Of(window(t, "window-2", "", 84.2), options(window(t, "window-1", "", 80)))
	for format, got := range all(t, r) {
		path := filepath.Join("testdata", "window."+format)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", path, diff)
		}
	}
}

func TestAReportHasWhoWhenWhatAndTheChainsHead(t *testing.T) {
	r := report.Of(window(t, "window-2", "", 84.2), options())
	if r.RTOMs != 90_000 || r.OverMs <= 0 || r.HeadWords != "acorn actor alarm album alley amber angle ankle" {
		t.Errorf("rto %v, over %v, words %q", r.RTOMs, r.OverMs, r.HeadWords)
	}
	verified := map[string]bool{}
	for _, p := range r.People {
		verified[p.String()] = p.Verified
	}
	if diff := cmp.Diff(map[string]bool{"ada": true, "root (login bob)": true, "eve (claimed)": false}, verified); diff != "" {
		t.Error(diff)
	}
	for format, got := range all(t, r) {
		for _, want := range []string{"window-2", "intact and witnessed", "acorn actor alarm", "opsdeck/k3vq", "denied", "not tonight", "known", "99 sleep", "public.t, public.u", "3 MiB"} {
			if !strings.Contains(got, want) && !strings.Contains(got, strings.ReplaceAll(want, "/", "&#47;")) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	}
}

const evil = "\x1b]8;;https://evil.example\x07 <script>alert(1)</script> [a](javascript:x) | `b` ![i](https://evil.example/i.png) \u202e # h\n\n| x | y |\n```\n"

// TestHostileTextStaysText: no link, no markup, no table row, no control
// character of its own.
func TestHostileTextStaysText(t *testing.T) {
	run := window(t, "window-2", evil, 84.2)
	got := all(t, report.Of(run, options(window(t, "window-1", evil, 80))))
	tidy := all(t, report.Of(window(t, "window-2", "", 84.2), options(window(t, "window-1", "", 80))))
	for format, text := range got {
		for _, r := range text {
			if format != "json" && (r == 0x1b || r == 0x07 || r == 0x202e) {
				t.Errorf("%s holds %U", format, r)
			}
		}
	}
	if strings.Contains(strings.ToLower(got["html"]), "<script") || strings.Contains(got["html"], "href") || strings.Contains(got["html"], " src=") {
		t.Error("the page runs or loads something")
	}
	if n, want := strings.Count(got["md"], "\n|"), strings.Count(tidy["md"], "\n|"); n != want {
		t.Errorf("%d table rows, %d without hostile text", n, want)
	}
	for name, form := range map[string]*regexp.Regexp{
		"a link": regexp.MustCompile(`[^\\]\]\(`), "an image": regexp.MustCompile(`(^|[^\\])!\[`), "a tag": regexp.MustCompile(`<[a-zA-Z/!]`), "a fence": regexp.MustCompile("(?m)^```"),
		"an address": regexp.MustCompile(`https?://`),
	} {
		outside := regexp.MustCompile(`(?m)^    .*$`).ReplaceAllString(got["md"], "") // indented output is no markup
		if at := form.FindString(outside); at != "" {
			t.Errorf("the Markdown has %s: %q", name, at)
		}
	}
	var back report.Report
	if err := json.Unmarshal([]byte(got["json"]), &back); err != nil || back.Run != "window-2" || len(back.Items) != 7 {
		t.Errorf("%v %+v", err, back.Run)
	}
}

// TestEveryTagIsClosed: html/template escapes, and what is written beside it
// must nest.
func TestEveryTagIsClosed(t *testing.T) {
	page := all(t, report.Of(window(t, "window-2", evil, 84.2), options(window(t, "window-1", evil, 80))))["html"]
	var open []string
	for _, m := range regexp.MustCompile(`<(/?)([a-z0-9]+)[^>]*?(/?)>`).FindAllStringSubmatch(page, -1) {
		switch name := m[2]; {
		case name == "meta" || m[3] == "/":
		case m[1] == "":
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			t.Fatalf("</%s> closes %v", name, open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
}

func TestTwoRunsAreCompared(t *testing.T) {
	specs := func(module, name string) (fact.Spec, bool) {
		return fact.Spec{Name: name, Type: fact.Percent, Worse: fact.Higher}, name == "used"
	}
	d := report.Compare(window(t, "window-1", "", 80), window(t, "window-2", "", 84.2), specs)
	if !d.Worse() || len(d.Differences) != 1 || d.Differences[0] != (report.Difference{Item: "disk", What: "used", Label: "/", Old: "80 %", New: "84.2 %", Kind: report.Worse}) {
		t.Errorf("%+v", d)
	}
	text := written(t, func(b *bytes.Buffer) error { return d.Text(b) })
	if !strings.HasPrefix(text, "1 worse, 0 better") || !strings.Contains(text, "80 % -> 84.2 %") {
		t.Error(text)
	}
	if back := report.Compare(window(t, "window-2", "", 84.2), window(t, "window-1", "", 80), specs); back.Worse() || back.Differences[0].Kind != report.Better {
		t.Errorf("%+v", back)
	}
	if same := report.Compare(window(t, "a", "", 80), window(t, "b", "", 80), nil); len(same.Differences) != 0 {
		t.Errorf("%+v", same)
	}
	if d := report.Compare(runbooks.Run{ID: "empty"}, window(t, "b", "", 80), nil); d.Worse() || len(d.Differences) != 7 || d.Differences[0].Kind != report.Added {
		t.Errorf("%+v", d)
	}
}

func TestWordsAreAFormOfTheHash(t *testing.T) {
	seen := map[string]bool{}
	for i := range 256 {
		word, _, _ := strings.Cut(report.Words(runbooks.Hash{byte(i), 1}), " ")
		if seen[word] || word == "" {
			t.Errorf("byte %d is %q, as another is", i, word)
		}
		seen[word] = true
	}
	if report.Words(runbooks.Hash{}) != "" {
		t.Error("there is a name for no hash")
	}
}

// records is a journal in memory.
type records struct{ events []runbooks.Event }

func (r *records) Append(e runbooks.Event) (runbooks.Event, error) {
	e.Seq = uint64(len(r.events) + 1)
	r.events = append(r.events, e)
	return e, nil
}

func (r *records) After(seq uint64) iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		for _, e := range r.events {
			if e.Seq > seq && !yield(e, nil) {
				return
			}
		}
	}
}

// TestAPlantedSecretIsInNoForm: it stands in all that a person types and all
// that a module finds, and in none of what is told of it.
func TestAPlantedSecretIsInNoForm(t *testing.T) {
	const secret = `hunter2-s3cret/val'ue+"x~~?`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	forms := []string{
		secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), strings.Trim(string(quoted), `"`), strings.ReplaceAll(secret, "'", `'\''`),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("x" + secret)), base64.StdEncoding.EncodeToString([]byte("xy" + secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)),
	}
	everywhere := strings.Join(forms, " ")
	leaky := &checks.Module{
		Name: "sys.leak", Doc: "leaks", Facts: []fact.Spec{{Name: "word", Type: fact.Text, Label: "at"}},
		Run: func(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
			return checks.Findings{
				Note: everywhere, Target: everywhere, Detail: []string{everywhere}, Facts: []fact.Fact{fact.Word("word", everywhere).On(everywhere)},
				Tables: []checks.Table{{Name: "t", Columns: []checks.Column{{Name: "c", Type: fact.Text}}, Rows: [][]fact.Value{{fact.WordValue(everywhere)}}}},
			}, nil
		},
	}
	broken := &checks.Module{Name: "sys.broken", Doc: "fails", Run: func(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
		return checks.Findings{}, checks.Failed(checks.Auth, "connecting as %s", everywhere)
	}}
	redactor := clean.NewRedactor(secret)
	j := &records{}
	l, err := runbooks.Drive(t.Context(), runbooks.Options{
		Journal: j, Runner: checks.NewRunner(checks.Env{}, redactor), Scrub: redactor, Name: "lms", Section: "s", Actor: ada, NewID: func() string { return "r" },
		Runbook: runbooks.Runbook{ID: "b", Sections: []runbooks.Section{{ID: "s", Items: []runbooks.Item{
			{ID: "leak", Kind: runbooks.Check, Module: leaky, Use: "sys.leak"}, {ID: "broken", Kind: runbooks.Check, Module: broken, Use: "sys.broken"},
			{ID: "asked", Kind: runbooks.Confirm, Evidence: []runbooks.Field{{Name: "what", Type: runbooks.TextField}}}, {ID: "out", Kind: runbooks.Manual},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		l.StartAll(), l.Confirm("asked", map[string]string{"what": everywhere}), l.Skip("out", everywhere, time.Time{}), l.Note("", everywhere), l.Note("leak", everywhere), l.Sign("", everywhere, runbooks.Hash{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for l.Busy() {
		time.Sleep(time.Millisecond)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	told := all(t, report.Of(l.Run(), options()))
	raw, err := json.Marshal(j.events)
	if err != nil {
		t.Fatal(err)
	}
	told["journal"] = string(raw)
	for name, text := range told {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s holds the secret as %s", name, form)
			}
		}
		if !strings.Contains(text, "redacted") {
			t.Errorf("%s shows no mark: the secret may not have come this far", name)
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add(evil)
	f.Add("a|b\nc")
	f.Fuzz(func(t *testing.T, text string) {
		r := report.Of(window(t, "w", text, 1), options())
		md := written(t, func(b *bytes.Buffer) error { return report.Markdown(b, r) })
		for _, line := range strings.Split(md, "\n") {
			if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
				t.Errorf("a row breaks: %q", line)
			}
			for _, c := range line {
				if c < 0x20 || c == 0x7f || c >= 0x80 && c < 0xa0 {
					t.Errorf("a control character %U in %q", c, line)
				}
			}
		}
		if regexp.MustCompile(`(?m)^[^ \n].*<[a-zA-Z/!]`).MatchString(md) {
			t.Error("a tag")
		}
	})
}

// TestAReportSaysWhatTwoPeopleWereToldApartBy where no login is set behind
// them, and names a login that could not be read.
func TestAReportSaysWhatTwoPeopleWereToldApartBy(t *testing.T) {
	apart := func(state runbooks.LoginState) string {
		s := &tale{t: t, id: "apart", now: night}
		one, two := runbooks.Actor{Name: "ada", UID: 1000, LoginState: state}, runbooks.Actor{Name: "bob", UID: 1001, LoginState: state}
		s.did(one, "", 0, runbooks.RunOpened{Site: "lms", Runbook: "w", Title: "W", Section: "w", Steps: []runbooks.Step{{ID: "compact", Title: "Compact", Kind: runbooks.Action}}})
		s.did(one, "compact", 1, runbooks.ActionArmed{Danger: 3, Signers: 1, Preview: checks.Result{Level: checks.OK, Target: "lms", At: night}, Hash: runbooks.Hash{9}})
		s.did(two, "compact", 1, runbooks.Signed{Role: "dba", Preview: runbooks.Hash{9}})
		s.did(one, "compact", 1, runbooks.ActionConfirmed{Typed: "lms", Preview: runbooks.Hash{9}})
		unread := runbooks.Actor{Name: "eve", UID: 1002, LoginState: runbooks.LoginUnreadable, LoginWhy: "it has ended"}
		s.did(unread, "", 0, runbooks.Noted{Text: "I said"})
		return written(t, func(b *bytes.Buffer) error { return report.Markdown(b, report.Of(s.run, options())) })
	}
	const says = "no login is set behind ada and bob: they count as different people by their user ids alone"
	unset := apart(runbooks.LoginUnset)
	for _, want := range []string{says, `eve \(login unreadable\)`} {
		if !strings.Contains(unset, want) {
			t.Errorf("it does not say %q: %s", want, unset)
		}
	}
	if before := apart(""); strings.Contains(before, "user ids alone") {
		t.Errorf("a record of before does not say it, and the report does: %s", before)
	}
}
