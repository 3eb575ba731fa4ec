package panes

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// A deed is something that can be proposed for the object of a row. Nothing is
// done here: the pane that keeps the record previews it, has it confirmed and
// records what came of it.
type deed struct {
	letter, name, note string
	module, param      string // the action, and its parameter that names the object
	sessions           bool   // it is about sessions, and wants a reason
}

var (
	sessionDeeds = []deed{
		{"c", "cancel", "end the statement, the session stays; nothing happens to one that idles", "pg.cancel", "sessions", true},
		{"t", "terminate", "end the session, its transaction is rolled back", "pg.terminate", "sessions", true},
	}
	tableDeeds = []deed{
		{"v", "vacuum", "VACUUM and ANALYZE", "pg.vacuum", "tables", false},
		{"a", "analyze", "ANALYZE", "pg.analyze", "tables", false},
		{"r", "reindex", "REINDEX CONCURRENTLY, all its indexes", "pg.reindex", "tables", false},
	}
	indexDeeds = []deed{{"r", "reindex", "REINDEX CONCURRENTLY", "pg.reindex", "indexes", false}}
)

// deeds are what can be proposed for an object, or why nothing can.
func (o object) deeds() ([]deed, error) {
	switch {
	case o.kind == "session" && o.began == "":
		return nil, errors.New("when it began is not known: choose it among the sessions")
	case o.kind == "session":
		return sessionDeeds, nil
	case o.kind == "prepared transaction":
		return nil, errors.New("no session holds it: COMMIT PREPARED or ROLLBACK PREPARED is for whoever prepared it")
	case o.name == "":
		return nil, fmt.Errorf("there is no %s yet: its advice is the statement", o.kind)
	case o.kind == "table":
		return tableDeeds, nil
	case o.kind == "index":
		return indexDeeds, nil
	}
	return nil, fmt.Errorf("nothing is done to a %s from here", o.kind)
}

// target is the object as a parameter of an action names it.
func (o object) target() string {
	if o.kind == "session" {
		return fmt.Sprintf("%d@%s", o.pid, o.began)
	}
	return o.name
}

// acting offers what can be proposed for the rows that are marked, else for
// the one under the cursor.
func (p *database) acting(g *grid) []pane.Action {
	act := action("act", "propose an action on the row, or on those marked", "act", func() tea.Cmd { return p.propose(g) }, "o")
	mark := action("mark", "mark the session, for an action on several", "", done(func() { g.mark(); p.refresh() }), " ")
	r, ok := g.selected()
	switch {
	case !ok:
		act.Off, mark.Off = "no row under the cursor", "no row under the cursor"
		return []pane.Action{act, mark}
	}
	if picked := g.picked(); len(picked) > 0 {
		r = picked[0]
	}
	if _, err := p.allowed(objectOf(g.at(), r.cell)); err != nil {
		act.Off = err.Error()
	}
	if len(g.picked()) > 0 {
		return []pane.Action{act, mark}
	}
	o := objectOf(g.at(), r.cell)
	if o.kind != "session" || o.began == "" {
		mark.Off = "only sessions are marked"
	}
	return []pane.Action{act, mark}
}

// mark marks the session under the cursor, or takes the mark away.
func (g *grid) mark() {
	r, ok := g.selected()
	if o := objectOf(g.at(), r.cell); !ok || o.kind != "session" || o.began == "" {
		return
	}
	if g.marked == nil {
		g.marked = map[string]bool{}
	}
	if g.marked[r.id] = !g.marked[r.id]; !g.marked[r.id] {
		delete(g.marked, r.id)
	}
	g.marks++
	g.Move(1)
}

// picked are the marked rows that are still there, whatever the filter.
func (g *grid) picked() []record {
	var list []record
	for _, r := range g.all {
		if g.marked[r.id] {
			list = append(list, r)
		}
	}
	return list
}

// allowed are the deeds of an object that the site allows, or why there are
// none.
func (p *database) allowed(o object) ([]deed, error) {
	deeds, err := o.deeds()
	if err != nil || p.forbids == nil {
		return deeds, err
	}
	var list []deed
	for _, d := range deeds {
		if why := p.forbids(d.module); why != "" {
			err = errors.New(why)
			continue
		}
		list = append(list, d)
	}
	if len(list) > 0 {
		err = nil
	}
	return list, err
}

// propose lets the person choose what is to be done to the rows.
func (p *database) propose(g *grid) tea.Cmd {
	rows := g.picked()
	if len(rows) == 0 && len(g.marked) > 0 {
		g.marked = nil
		return pane.Notice(checks.Warn, "the sessions that were marked are gone: nothing is proposed")
	}
	if len(rows) == 0 {
		r, ok := g.selected()
		if !ok {
			return nil
		}
		rows = []record{r}
	}
	objects := make([]object, len(rows))
	for i, r := range rows {
		objects[i] = objectOf(g.at(), r.cell)
	}
	deeds, err := p.allowed(objects[0])
	if err != nil {
		return pane.Notice(checks.Warn, err.Error())
	}
	menu := &pane.Menu{Head: "propose for " + several(rows, objects), Choose: func(i int) tea.Cmd { return g.chosen(deeds[i], rows, objects) }}
	for _, d := range deeds {
		menu.Items = append(menu.Items, pane.MenuItem{Key: d.letter, Name: d.name, Note: d.note})
	}
	return pane.Push(menu)
}

// several names objects in a title: one by what a person calls it, more by
// their number. A session's start is among the parameters, not in the title.
func several(rows []record, objects []object) string {
	switch {
	case len(objects) > 1:
		return fmt.Sprintf("%d sessions", len(objects))
	case objects[0].kind != "session":
		return objects[0].String()
	}
	title := "session " + strconv.Itoa(objects[0].pid)
	if whose := cmp.Or(rows[0].cell("app").Text, rows[0].cell("user").Text); whose != "" {
		title += " of " + whose
	}
	return title
}

// chosen proposes the deed; for sessions the reason is asked for first, with
// the sessions and what their end would free in sight. It is done through the
// connection by which the rows were seen: another server has other tables.
func (g *grid) chosen(d deed, rows []record, objects []object) tea.Cmd {
	targets := make([]string, len(objects))
	for i, o := range objects {
		targets[i] = o.target()
	}
	wish := pane.ProposeMsg{
		Use: d.module, Connection: g.source.Check.Connection, Title: d.name + " " + several(rows, objects), With: map[string]any{d.param: targets},
	}
	if !d.sessions {
		return pane.Propose(wish)
	}
	return pane.Push(pane.Prompt(wish.Title, append(described(rows), "", "Why? It is recorded, and nothing is done before you confirm the preview."), reasoned, func(reason string) tea.Cmd {
		g.marked = nil
		g.marks++
		wish.With["reason"] = strings.TrimSpace(reason)
		return pane.Propose(wish)
	}))
}

func reasoned(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("say why: the record is read by others")
	}
	return nil
}

// mostDescribed is how many sessions a question names.
const mostDescribed = 8

// described are the sessions of a proposal, a line each.
func described(rows []record) []string {
	var lines []string
	for i, r := range rows {
		if i == mostDescribed {
			return append(lines, fmt.Sprintf("and %d more", len(rows)-i))
		}
		age, frees := r.cell("xact"), ""
		if r.cell("age").Type.Numeric() {
			age = r.cell("age")
		}
		if n := r.cell("frees"); n.Num > 0 {
			frees = "frees " + brief(n)
		}
		lines = append(lines, join(r.cell("pid").String(), r.cell("user").Text, r.cell("app").Text, r.cell("client").Text, r.cell("state").Text, column{as: aged}.write(age), frees))
	}
	return lines
}
