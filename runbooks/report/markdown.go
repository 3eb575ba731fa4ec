package report

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Markdown writes the report for a ticket.
func Markdown(w io.Writer, r Report) error {
	m := &page{}
	m.line("# %s: %s", esc(r.Title), words(string(r.State)))
	m.line("")
	m.table([]string{"", ""}, summary(r))
	m.line("## Items")
	m.line("")
	rows := [][]string{}
	for _, it := range r.Items {
		rows = append(rows, []string{words(string(it.State)), it.Title, it.Note, when(it)})
	}
	m.table([]string{"State", "Item", "What was found", "When"}, rows)
	for _, it := range r.Items {
		m.item(it)
	}
	m.remarks("Notes on the run", r.Notes)
	m.exhibits(r.Exhibits)
	m.remarks("Signatures", r.Signatures)
	if len(r.Trends) > 0 {
		m.line("## Against earlier runs")
		m.line("")
		rows = rows[:0]
		for _, t := range r.Trends {
			rows = append(rows, []string{t.Item, strings.TrimSpace(t.Fact + " " + t.Label), t.said(0), t.said(len(t.Points) - 1), fmt.Sprint(len(t.Points))})
		}
		m.table([]string{"Item", "Fact", "Oldest", "This run", "Runs"}, rows)
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

// said is a point in a person's form.
func (t Trend) said(i int) string {
	v := t.latest.Value
	v.Num = t.Points[i].Value
	return v.String()
}

// summary is who, when, where, what.
func summary(r Report) [][]string {
	rows := [][]string{
		{"Run", r.Run}, {"Of", r.Runbook + ", section " + r.Section}, {"Site", r.Site}, {"Worst", r.Level.String()}, {"Opened", stamp(r.Opened) + " by " + r.OpenedBy.String()},
	}
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	add("Host", r.Host)
	add("Period", r.Period)
	if r.InWindow && r.Due != nil && r.Overdue != nil {
		add("Window", stamp(*r.Due)+" to "+stamp(*r.Overdue))
	} else if r.Due != nil {
		add("Due", stamp(*r.Due))
	}
	if r.Rehearsal {
		add("Rehearsal", "yes: it does not count as done")
	}
	if r.Closed != nil {
		add("Ended", stamp(*r.Closed)+", after "+span(r.TookMs))
	}
	if r.BudgetMs > 0 {
		text := span(r.BudgetMs)
		if r.OverMs > 0 {
			text += ", exceeded by " + span(r.OverMs)
		}
		add("Budget", text)
	}
	if r.RTOMs > 0 {
		add("Recovery time", span(r.RTOMs))
	}
	add("Reason", r.Reason)
	add("Driven by", r.Driver.String())
	var names []string
	for _, p := range r.People {
		names = append(names, p.String())
	}
	add("People", strings.Join(names, ", "))
	if r.Window != nil {
		add("Window overridden", said(*r.Window))
	}
	for _, a := range r.Absences {
		add("Driver away", a.String())
	}
	if r.Aborting != nil {
		add("Left", said(*r.Aborting))
	}
	add("Document", r.Document+", sha256 "+r.DocumentSHA)
	add("Opened with", joined("opsdeck", r.Version))
	add("Record", r.Verified)
	if r.Head > 0 {
		add("Head", fmt.Sprintf("event %d, %s", r.Head, r.HeadHash))
		add("In words", r.HeadWords)
	}
	add("Made", stamp(r.MadeAt)+" by opsdeck "+r.MadeBy)
	return rows
}

// page collects lines of Markdown.
type page struct{ b strings.Builder }

func (m *page) line(format string, a ...any) { fmt.Fprintf(&m.b, format+"\n", a...) }

func (m *page) table(head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	m.row(head)
	m.line("|%s", strings.Repeat("---|", len(head)))
	for _, r := range rows {
		m.row(r)
	}
	m.line("")
}

func (m *page) row(cells []string) {
	escaped := make([]string, len(cells))
	for i, c := range cells {
		escaped[i] = esc(c)
	}
	m.line("| %s |", strings.Join(escaped, " | "))
}

func (m *page) item(it Item) {
	m.line("### %s", esc(it.Title))
	m.line("")
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	add("Item", it.ID+", "+string(it.Kind)+", "+words(string(it.State)))
	add("Module", it.Module)
	if it.EstimateMs > 0 {
		add("Usually takes", span(it.EstimateMs))
	}
	if it.Late > 0 {
		add("Late results", fmt.Sprintf("%d came after it was decided, and counted for nothing", it.Late))
	}
	add("Guide", strings.Trim(fmt.Sprint(it.Guide), "[]"))
	add("Chosen", it.Choice)
	for _, r := range []struct {
		name string
		said *Remark
	}{{"Skipped", it.Skipped}, {"Overridden", it.Override}, {"Seen", it.Seen}} {
		if r.said != nil {
			add(r.name, said(*r.said))
		}
	}
	for _, b := range it.Barred {
		add("Refused", said(b))
	}
	for _, n := range it.Notes {
		add("Note", said(n))
	}
	for _, s := range it.Signatures {
		add("Signed", said(s))
	}
	m.table([]string{"", ""}, rows)
	for _, a := range it.Attempts {
		m.attempt(a)
	}
	m.exhibits(it.Exhibits)
}

func (m *page) attempt(a Attempt) {
	m.line("Attempt %d, %s by %s: %s", a.N, stamp(a.Started), esc(a.By.String()), words(string(a.State)))
	m.line("")
	var rows [][]string
	rows = append(rows, attemptRows(a)...)
	m.table([]string{"", ""}, rows)
	if a.Result != nil {
		m.table([]string{"Fact", "Value"}, factRows(a.Result.Facts))
	}
	if a.Action != nil {
		m.shown(a.Action.Shown)
	}
	if a.Action != nil && a.Action.Tail != "" {
		m.line("Output, its end:")
		m.line("")
		m.verbatim(a.Action.Tail)
	}
}

// attemptRows are what is to be said of an attempt beside its facts.
func attemptRows(a Attempt) [][]string {
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	if a.Ended != nil {
		add("Took", span(a.TookMs))
	}
	add("Reason", a.Reason)
	for _, k := range sorted(a.Evidence) {
		add("Evidence: "+k, a.Evidence[k])
	}
	if r := a.Result; r != nil {
		add("Verdict", joined(r.Level.String(), r.Note))
		add("Error", r.Err)
		for _, b := range r.Why {
			add("Because", strings.TrimSpace(b.Fact+" "+b.Label)+" "+b.Value.String()+" ("+b.Rule+", "+b.Source+")")
		}
		add("Rules", rules(*r))
		add("Result", "sha256 "+a.SHA)
	}
	if a.Hold != nil {
		add("Watched", fmt.Sprintf("until %s, %s, looks: %d, worst %s", stamp(a.Hold.Until), joined(a.Hold.Items...), a.Hold.Samples, a.Hold.Worst))
		for _, l := range a.Hold.Latest {
			add("Newest look", joined(stamp(l.At), l.Item, l.Level.String(), l.Note))
		}
	}
	if act := a.Action; act != nil {
		rows = append(rows, actionRows(act)...)
	}
	return rows
}

func actionRows(a *Action) [][]string {
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	add("Target", joined(a.Target, a.Fingerprint))
	for _, g := range a.With {
		add("With "+g.Name, g.Value)
	}
	add("Danger", fmt.Sprint(a.Danger))
	add("Preview", joined(a.Preview, "sha256 "+a.PreviewSHA))
	for _, c := range a.Careful {
		add("Careful", c)
	}
	for _, g := range a.Gates {
		add("Gate", g)
	}
	for _, s := range a.Signatures {
		add("Preview signed", said(s))
	}
	if a.Confirmed != nil {
		add("Confirmed", said(*a.Confirmed))
	}
	add("Told apart", a.ToldApart)
	add("If it dies", a.Crash)
	add("Token", a.Token)
	if a.PID > 0 {
		add("Process", fmt.Sprint(a.PID))
	}
	if a.Cancelled {
		add("Cancelled", "yes")
	}
	if a.OutputSHA != "" {
		text := fmt.Sprintf("%d bytes, sha256 %s", a.OutputBytes, a.OutputSHA)
		if a.Truncated {
			text += " of the part that was kept"
		}
		add("Output", text)
	}
	for _, l := range a.LeftBehind {
		add("Left behind", l)
	}
	add("Must hold", a.Verify)
	if a.Seen != nil {
		add("From outside", joined(a.Seen.Level.String(), a.Seen.Note, a.Seen.Err, "sha256 "+a.SeenSHA))
	}
	if a.Resolved != nil {
		add("Resolved", said(*a.Resolved))
	}
	return rows
}

func rules(r checks.Result) string {
	var parts []string
	if r.Warn != "" {
		parts = append(parts, "warn: "+r.Warn)
	}
	if r.Fail != "" {
		parts = append(parts, "fail: "+r.Fail)
	}
	if len(parts) > 0 && r.RuleSource != "" {
		parts = append(parts, "from "+r.RuleSource)
	}
	return strings.Join(parts, "; ")
}

func factRows(facts []fact.Fact) [][]string {
	var rows [][]string
	for _, f := range facts {
		rows = append(rows, []string{strings.TrimSpace(f.Name + " " + f.Label), f.Value.String()})
	}
	return rows
}

func (m *page) remarks(title string, list []Remark) {
	if len(list) == 0 {
		return
	}
	m.line("## %s", title)
	m.line("")
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{stamp(r.At), r.By.String(), r.Text})
	}
	m.table([]string{"When", "Who", ""}, rows)
}

// said is a remark in one line.
func said(r Remark) string {
	text := stamp(r.At) + " by " + r.By.String()
	if r.Text != "" {
		text += ": " + r.Text
	}
	if r.Until != nil {
		text += ", until " + stamp(*r.Until)
	}
	return text
}

func when(it Item) string {
	if n := len(it.Attempts); n > 0 {
		return it.Attempts[n-1].Started.Format("15:04:05")
	}
	return ""
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// span is a duration for a person: to the second, or to the millisecond where
// seconds would say too little.
func span(ms float64) string {
	d, to := time.Duration(ms*float64(time.Millisecond)), time.Second
	if d < 10*time.Second {
		to = time.Millisecond
	}
	return fact.FormatDuration(d.Round(to))
}

// joined are the texts that are there, with commas.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), ", ")
}

func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// autolinks are what becomes a link, or calls somebody, without any mark around
// it. A forge looks for these in what it has rendered, where no escape helps:
// only code is left alone.
var autolinks = regexp.MustCompile(`(?i)(?:@|://|www\.)+`)

// esc makes text that is nothing but text in Markdown: every mark that could
// begin something is escaped, lines do not break out of their cell, and what
// would become a link by itself stands as code.
func esc(text string) string {
	text = strings.Join(strings.Fields(clean.Block(text, 16<<10)), " ")
	var b strings.Builder
	for text != "" {
		at := autolinks.FindStringIndex(text)
		if at == nil {
			at = []int{len(text), len(text)}
		}
		b.WriteString(marks.Replace(text[:at[0]]))
		if code := text[at[0]:at[1]]; code != "" {
			b.WriteString("`" + code + "`")
		}
		text = text[at[1]:]
	}
	return b.String()
}

// marks are those that could begin something. A backtick is no escaped one, so
// that the code that esc makes never stands beside another.
var marks = strings.NewReplacer(
	`\`, `\\`, "`", "&#96;", "*", `\*`, "_", `\_`, "{", `\{`, "}", `\}`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, "#", `\#`, "!", `\!`,
	"|", `\|`, "~", `\~`, "$", `\$`, "^", `\^`, "=", `\=`, "+", `\+`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
)
