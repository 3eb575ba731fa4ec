package logs

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Match looks for the lines of one shipped pattern set.
var Match = module(checks.Module{
	Name: "log.match",
	Doc:  "Finds the lines of a shipped pattern set in a log's last day, grouped by signature, address or user",
	Params: []checks.Param{
		sourceParam(),
		{Name: "set", Type: checks.TextParam, Required: true, OneOf: SetNames(), Doc: "shipped pattern set"},
		windowParam("24h"),
		{Name: "group", Type: checks.TextParam, OneOf: []string{"signature", "ip", "user"}, Doc: "what counts as one; without it the set's own way"},
		{Name: "min", Type: checks.DurationParam, Default: "1s", Doc: "least duration that counts, for sets whose lines say how long"},
		{Name: "success", Type: checks.TextParam, OneOf: SetNames(), Doc: "set that marks success: reports its newest line and what came after", Example: "backup_ok"},
	},
	Facts: []fact.Spec{
		{Name: "matches", Type: fact.Count, Unit: "records", Worse: fact.Higher, Doc: "records that match; one with its stack trace is one"},
		{Name: "per_hour", Type: fact.Count, Unit: "/h", Worse: fact.Higher, Doc: "the same an hour"},
		{Name: "urgent", Type: fact.Count, Unit: "records", Worse: fact.Higher, Doc: "records that match a pattern of which one is too many"},
		{Name: "signatures", Type: fact.Count, Worse: fact.Higher, Doc: "different records, numbers and texts folded"},
		{Name: "new_signatures", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "signatures that the last run in this process did not see; absent on the first"},
		{Name: "repeats", Type: fact.Count, Worse: fact.Higher, Doc: "records of the most frequent signature"},
		{Name: "sources", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "addresses or users, where records are grouped by them"},
		{Name: "top_source", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "records of the most frequent address or user"},
		{Name: "longest", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "longest duration a record names"},
		{Name: "success_found", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "whether the window holds a mark of success; only with success"},
		{Name: "success_age", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "age of the newest mark of success"},
		{Name: "errors_after", Type: fact.Count, Unit: "records", Worse: fact.Higher, Optional: true, Doc: "records after the newest mark of success; only with success"},
		linesFact, parsedFact, unparsedFact, gapsFact, futureFact,
	},
	Warn:    "matches >= 1 or unparsed > 1% or gaps > 0",
	Fail:    "matches >= 10 or urgent > 0 or success_found == false or errors_after > 0",
	Source:  "proposed",
	Timeout: time.Minute,
	Every:   5 * time.Minute,
	Example: "use: log.match\nwith: {source: app, set: db_conn, window: 24h}",
	Run:     runMatch,
})

// A search is one run of log.match.
type search struct {
	set     *patternSet
	matcher *matcher
	by      string
	min     time.Duration

	matches, urgent int64
	longest         time.Duration
	record          int64 // the last one that counted
	signatures      *groups
	sources         *groups // nil when grouped by signature alone
	copies          *copies
	buf             []byte

	lastSuccess time.Time
	after       int64 // matches since
}

func runMatch(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	src, err := sourceNamed(env, args.Text("source"))
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := newSearch(args)
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Internal, "log.match: %w", err)
	}
	now, window := clock(env), args.Duration("window")
	t, err := newScan(src, now.Add(-window), now, now, s.visit).run(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := t.understood(src); err != nil {
		return checks.Findings{}, err
	}
	if err := s.wouldHaveSpoken(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	f := s.findings(env.Memory, t, window, now, args.Text("success") != "")
	f.Target, f.NotUnderstood = src.Name, t.notUnderstood()
	f.Detail = append(f.Detail, t.detail(now.Add(-window), now)...)
	return f, nil
}

func newSearch(args checks.Args) (*search, error) {
	sets, err := patternSets()
	if err != nil {
		return nil, err
	}
	wanted := []*patternSet{sets[args.Text("set")]}
	if name := args.Text("success"); name != "" {
		wanted = append(wanted, sets[name])
	}
	m, err := newMatcher(wanted...)
	if err != nil {
		return nil, err
	}
	s := &search{set: wanted[0], matcher: m, by: args.Text("group"), min: args.Duration("min"),
		signatures: newGroups(), copies: newCopies()}
	if s.by == "" {
		s.by = s.set.Group
	}
	if s.by == "ip" || s.by == "user" {
		s.sources = newGroups()
	}
	return s, nil
}

func (s *search) visit(l *line) {
	found := s.matcher.match(l)
	if len(s.matcher.byLevel) > 0 {
		l.scan.tally.noteLevel(l)
	}
	if found == 0 {
		return
	}
	hit, urgent, success := false, false, false
	for at, p := range s.matcher.patterns {
		switch {
		case found&(1<<at) == 0:
		case s.matcher.sets[at] > 0:
			success = true
		case s.longEnough(p, l.text):
			hit, urgent = true, urgent || p.Urgent
		}
	}
	if success && !hit {
		s.succeeded(l.at())
	}
	if hit && (l.record != s.record || s.matches == 0) && !s.copies.isCopy(l) {
		s.count(l, urgent)
	}
}

// succeeded notes a mark of success. Files of several streams come one after
// the other, so an older mark says nothing of what was counted since.
func (s *search) succeeded(at time.Time) {
	if at.After(s.lastSuccess) {
		s.lastSuccess, s.after = at, 0
	}
}

// longEnough reports whether a record that names a duration reaches min.
func (s *search) longEnough(p *pattern, text []byte) bool {
	took, named := duration(p, text)
	if !named {
		return true
	}
	if took < s.min {
		return false
	}
	s.longest = max(s.longest, took)
	return true
}

// duration is what the pattern's groups "ms", "ms2", … hold.
func duration(p *pattern, text []byte) (took time.Duration, named bool) {
	if p.expr == nil || p.expr.NumSubexp() == 0 {
		return 0, false
	}
	groups := p.expr.FindSubmatch(text)
	for i, name := range p.expr.SubexpNames() {
		if i >= len(groups) || !strings.HasPrefix(name, "ms") || groups[i] == nil {
			continue
		}
		if ms, err := strconv.ParseFloat(string(groups[i]), 64); err == nil {
			return time.Duration(ms * float64(time.Millisecond)), true
		}
	}
	return 0, false
}

func (s *search) count(l *line, urgent bool) {
	s.record = l.record
	s.matches++
	if urgent {
		s.urgent++
	}
	at := l.at()
	if at.After(s.lastSuccess) {
		s.after++
	}
	s.buf = signature(s.buf[:0], l.message())
	s.signatures.add(s.buf, at, func() string { return s.shown(sampleOf(l.text)) })
	if s.sources != nil {
		key := sourceOf(s.by, l.named())
		s.sources.add([]byte(key), at, func() string { return s.shown(sampleOf(l.text)) })
	}
}

// named is the part of a line in which an address or a user may stand: the
// whole of a JSON line, whose stamp may be its last field, and else what is
// behind the stamp.
func (l *line) named() []byte {
	if l.end >= len(l.text) || bytes.HasPrefix(l.text, []byte("{")) {
		return l.text
	}
	return bytes.TrimSpace(l.text[l.end:])
}

// shown masks what is personal in the sets that name people.
func (s *search) shown(text string) string {
	if s.set.Group == "ip" || s.sources != nil {
		return mask(text)
	}
	return text
}

// rememberedSignatures bounds what one run leaves for the next.
const rememberedSignatures = 4096

func (s *search) findings(memory *checks.Memory, t *tally, window time.Duration, now time.Time, success bool) checks.Findings {
	known, again := checks.Remembered[map[string]bool](memory, "signatures")
	f := checks.Findings{
		Note: fmt.Sprintf("%d %s in %s", s.matches, s.set.ID, fact.FormatDuration(window)),
		Facts: append([]fact.Fact{
			fact.Number("matches", s.matches), fact.Number("per_hour", perHour(s.matches, window)),
			fact.Number("urgent", s.urgent), fact.Number("signatures", len(s.signatures.byKey)),
			fact.Number("repeats", s.signatures.most()),
		}, t.facts()...),
	}
	if again {
		f.Facts = append(f.Facts, fact.Number("new_signatures", s.signatures.unknownTo(known)))
	}
	checks.Remember(memory, "signatures", s.signatures.learn(known))
	if s.longest > 0 {
		f.Facts = append(f.Facts, fact.Dur("longest", s.longest))
	}
	if success {
		f.Facts = append(f.Facts, s.successFacts(now)...)
	}
	table := s.signatures.table("signatures", known)
	if s.sources != nil {
		named := len(s.sources.byKey)
		if _, some := s.sources.byKey[noSource]; some {
			named--
		}
		f.Facts = append(f.Facts, fact.Number("sources", named), fact.Number("top_source", s.sources.most(noSource)))
		f.Tables = append(f.Tables, masked(s.sources.table("sources", nil)))
		table = masked(table)
	}
	f.Tables = append(f.Tables, table)
	f.Detail = append(f.Detail, fmt.Sprintf("pattern set %s, version %d: %s", s.set.ID, s.set.Version, s.set.Doc))
	return f
}

func (s *search) successFacts(now time.Time) []fact.Fact {
	facts := []fact.Fact{fact.Flag("success_found", !s.lastSuccess.IsZero()), fact.Number("errors_after", s.after)}
	if !s.lastSuccess.IsZero() {
		facts = append(facts, fact.Dur("success_age", now.Sub(s.lastSuccess)))
	}
	return facts
}

// masked hides what is personal in a table's texts.
func masked(t checks.Table) checks.Table {
	for _, row := range t.Rows {
		for i, v := range row {
			if v.Type == fact.Text {
				row[i] = fact.WordValue(maskKey(v.Text))
			}
		}
	}
	return t
}

// maskKey masks a text, or a bare user name.
func maskKey(text string) string {
	hidden := mask(text)
	if hidden == text && text != noSource && !strings.ContainsAny(text, " ") {
		return maskName(text)
	}
	return hidden
}

// most is the count of the most frequent group, but for those left out.
func (g *groups) most(without ...string) int64 {
	for _, group := range g.ordered() {
		if !slices.Contains(without, group.key) {
			return group.count
		}
	}
	return 0
}

func (g *groups) unknownTo(known map[string]bool) int {
	n := 0
	for key := range g.byKey {
		if !known[key] {
			n++
		}
	}
	return n
}

// learn is what is known after this run.
func (g *groups) learn(known map[string]bool) map[string]bool {
	all := map[string]bool{}
	for key := range g.byKey {
		all[key] = true
	}
	for key := range known {
		if len(all) < rememberedSignatures {
			all[key] = true
		}
	}
	return all
}
