package checklist

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// A page is everything about one item. It stays alive, offers what can be done
// with the item, and enter goes on to the debug view of its check.
type page struct {
	*pane.Reader
	c  *checklist
	id string
}

// page opens the page of an item.
func (c *checklist) page(id string) tea.Cmd {
	it, _ := c.run.news.run.Item(id)
	p := &page{c: c, id: id}
	p.Reader = &pane.Reader{Head: it.Title, Text: p.text, Extra: p.actions()}
	return pane.Push(p)
}

// item is the item as it is now.
func (p *page) item() (runbooks.ItemRun, bool) { return p.c.run.news.run.Item(p.id) }

// actions are those of the item, without the one that opened the page.
func (p *page) actions() []pane.Action {
	return slices.DeleteFunc(p.c.itemActions(p.item()), func(a pane.Action) bool { return a.ID == "page" })
}

// Handle takes a key.
func (p *page) Handle(msg tea.KeyMsg) (pane.Outcome, tea.Cmd) {
	p.Extra = p.actions()
	if it, ok := p.item(); ok && msg.String() == "enter" && !msg.Paste {
		if check := p.c.watched(it); check != "" {
			return pane.Close, pane.Inspect(check)
		}
	}
	for _, a := range p.Extra {
		if a.Off != "" && slices.Contains(a.Key.Keys(), msg.String()) {
			return pane.Stay, pane.Notice(checks.OK, a.Key.Help().Key+": "+a.Off)
		}
	}
	return p.Reader.Handle(msg)
}

// text is the page.
func (p *page) text(f pane.Frame) []string {
	n := p.c.run.news
	it, ok := p.item()
	if !ok {
		return []string{"the run has no such item"}
	}
	item, _ := n.section.Item(p.id)
	var lines []string
	section := func(title string, body []string) {
		if len(body) == 0 {
			return
		}
		if title != "" {
			lines = append(lines, "", f.Theme.Title.Render(title))
		}
		lines = append(lines, body...)
	}
	section("", p.head(f, it, n))
	section("what to do", pane.Wrap(strings.TrimSpace(item.Note), f.W)[:noteLines(item.Note, f.W)])
	section("what it checks", p.binding(f, it, item))
	if r := it.Result(); r != nil {
		section("result", result(f, *r))
		for _, t := range r.Tables {
			section(pane.Plain(t.Name), rowsOf(f, t))
		}
	}
	if a, ok := it.Latest(); ok {
		section("what was done", story(f, a))
		section("output", p.c.output(f, it))
		if v := a.Verified; v != nil {
			section("seen from outside", facts(f, *v))
		}
	}
	section("attempts, newest first", attempts(f, it))
	section("said about it", remarks(f, it))
	section("frames, as attached", exhibits(f, it.Exhibits))
	for _, ref := range item.References {
		section("reference "+ref.Lang+", never executed", pane.Wrap(strings.TrimRight(ref.Text, "\n"), f.W))
	}
	return lines
}

// noteLines is 0 for no prose at all, so that no heading stands over nothing.
func noteLines(note string, w int) int {
	if strings.TrimSpace(note) == "" {
		return 0
	}
	return len(pane.Wrap(strings.TrimSpace(note), w))
}

func (p *page) head(f pane.Frame, it runbooks.ItemRun, n news) []string {
	level := it.State.Level()
	if it.State == runbooks.Pending || it.State.Busy() {
		level = checks.OK
	}
	first := f.Theme.Mark(level) + " " + f.Theme.Level(level).Render(f.Cut(pane.Plain(word(it.State)+"  "+remark(it, n, f.Now)), max(0, f.W-4)))
	pairs := [][2]string{{"item", it.ID + ", " + string(it.Kind)}}
	if it.Group != "" {
		pairs = append(pairs, [2]string{"under", it.Group})
	}
	for _, need := range it.Needs {
		text := need.Item
		if need.MaxAge > 0 {
			text += " from the last " + ago(need.MaxAge)
		}
		if state, ok := n.run.Item(need.Item); ok {
			text += ", which is " + word(state.State)
		}
		pairs = append(pairs, [2]string{"needs", text})
	}
	if len(it.Guide) > 0 {
		rows := make([]string, len(it.Guide))
		for i, row := range it.Guide {
			rows[i] = strconv.Itoa(row)
		}
		pairs = append(pairs, [2]string{"guide", "row " + strings.Join(rows, ", ")})
	}
	if it.Danger > 0 {
		pairs = append(pairs, [2]string{"danger", strconv.Itoa(it.Danger)})
	}
	if it.Signers > 0 {
		pairs = append(pairs, [2]string{"signatures", fmt.Sprintf("%d of %d", len(it.Signatures), it.Signers)})
	}
	pairs = append(pairs, [2]string{"from", n.run.Opened.Path + ":" + strconv.Itoa(it.Line)})
	if !n.run.Opened.Hash.IsZero() {
		pairs = append(pairs, [2]string{"document", "sha256 " + n.run.Opened.Hash.String()})
	}
	if n.run.Seq > 0 {
		pairs = append(pairs, [2]string{"recorded", "up to event " + strconv.FormatUint(n.run.Seq, 10) + " of the journal, " + stamp(n.run.Last)})
	}
	return append([]string{first}, pane.KeyValues(f, pairs)...)
}

// binding is the module, its parameters and the rules with their source.
func (p *page) binding(f pane.Frame, it runbooks.ItemRun, item runbooks.Item) []string {
	var pairs [][2]string
	add := func(name, text string) {
		if text != "" {
			pairs = append(pairs, [2]string{name, text})
		}
	}
	if m := item.Module; m != nil {
		add("module", m.Name+": "+m.Doc)
	} else {
		add("module", it.Use)
	}
	add("service", it.Service)
	add("connection", item.Connection)
	for _, name := range slices.Sorted(maps.Keys(item.With)) {
		add("  "+name, fmt.Sprint(item.With[name]))
	}
	warn, fail, source := item.Rules.Warn.Text, item.Rules.Fail.Text, item.Rules.Warn.Source
	if source == "" {
		source = item.Rules.Fail.Source
	}
	if a, ok := it.Latest(); ok && a.Check.Module != "" {
		warn, fail = a.Check.Warn, a.Check.Fail
		if r := a.Result; r != nil && r.RuleSource != "" {
			source = r.RuleSource
		}
	} else if m := item.Module; m != nil && warn == "" && fail == "" {
		warn, fail, source = m.Warn, m.Fail, m.Source
	}
	add("warn", warn)
	add("fail", fail)
	if warn != "" || fail != "" {
		add("rules from", source)
	}
	if len(pairs) == 0 {
		return nil
	}
	return pane.KeyValues(f, pairs)
}

// result is what the newest check found out.
func result(f pane.Frame, r checks.Result) []string {
	pairs := [][2]string{{"level", r.Level.String()}}
	for _, text := range []struct{ name, value string }{{"note", r.Note}, {"error", strings.TrimPrefix(string(r.Class)+": ", ": ") + r.Err}, {"target", r.Target}} {
		if text.value != "" {
			pairs = append(pairs, [2]string{text.name, text.value})
		}
	}
	for _, b := range r.Why {
		pairs = append(pairs, [2]string{"because", breach(b) + sourced(b.Source)})
	}
	if len(r.Undecided) > 0 {
		pairs = append(pairs, [2]string{"not found out", strings.Join(r.Undecided, ", ")})
	}
	for _, fa := range r.Facts {
		pairs = append(pairs, [2]string{strings.TrimSpace("  " + fa.Name + " " + fa.Label), fa.Value.String()})
	}
	lines := pane.KeyValues(f, pairs)
	for _, d := range r.Detail {
		lines = append(lines, pane.Wrap(d, f.W)...)
	}
	return lines
}

// mostRows is how many rows of a table the page of an item shows; the debug
// view of its check has all of them.
const mostRows = 12

// rowsOf draws a table of a result: months and days as bars.
func rowsOf(f pane.Frame, t checks.Table) []string {
	if len(t.Rows) == 0 {
		return nil
	}
	if lines, ok := pane.Series(f, t); ok {
		return lines
	}
	all := len(t.Rows)
	t.Rows = t.Rows[:min(mostRows, all)]
	lines := table(f, t)
	if all > mostRows {
		lines = append(lines, f.Theme.Faint.Render(f.Cut(fmt.Sprintf("%d more rows", all-mostRows), f.W)))
	}
	return lines
}

func sourced(source string) string {
	if source == "" {
		return ""
	}
	return ", " + source
}

// attempts lists every try, and results that came too late.
func attempts(f pane.Frame, it runbooks.ItemRun) []string {
	var pairs [][2]string
	for a := range it.Attempts.Backward() {
		text := word(a.State) + " by " + a.Actor.String()
		if !a.Ended.IsZero() {
			text += ", took " + ago(a.Ended.Sub(a.Started))
		}
		if note := outcome(runbooks.ItemRun{State: a.State}, a); note != "" && note != word(a.State) {
			text += ": " + note
		}
		pairs = append(pairs, [2]string{strconv.Itoa(a.N) + "  " + stamp(a.Started), text})
	}
	for a := range it.Late.All() {
		pairs = append(pairs, [2]string{strconv.Itoa(a.N) + "  " + stamp(a.Ended), "too late to count: " + outcome(runbooks.ItemRun{State: a.State}, a)})
	}
	if len(pairs) == 0 {
		return nil
	}
	return pane.KeyValues(f, pairs)
}

// exhibits are the frames that were attached, word for word.
func exhibits(f pane.Frame, list []runbooks.Exhibit) []string {
	var lines []string
	for _, e := range list {
		lines = append(lines, f.Theme.Strong.Render(f.Cut(pane.Plain(e.Title+", as of "+stamp(e.Seen)+", by "+e.Actor.String()), f.W)))
		for l := range strings.Lines(e.Text) {
			lines = append(lines, f.Cut(pane.Plain(strings.TrimRight(l, "\n")), f.W))
		}
	}
	return lines
}

// remarks is what people said about the item.
func remarks(f pane.Frame, it runbooks.ItemRun) []string {
	var pairs [][2]string
	add := func(what string, r *runbooks.Remark) {
		if r == nil {
			return
		}
		text := r.Actor.String() + " " + what
		if r.Text != "" {
			text += ": " + r.Text
		}
		if !r.Until.IsZero() {
			text += ", until " + stamp(r.Until)
		}
		pairs = append(pairs, [2]string{stamp(r.At), text})
	}
	add("has seen it", it.Ack)
	add("overrode it", it.Override)
	add("skipped it", it.Skip)
	for n := range it.Notes.All() {
		add("noted", &n)
	}
	for i := range it.Signatures {
		add("signed", &it.Signatures[i])
	}
	if len(pairs) == 0 {
		return nil
	}
	return pane.KeyValues(f, pairs)
}

// stamp is an instant in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
