package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Difference is one thing that two runs do not have in common.
type Difference struct {
	Item  string `json:"item"`
	What  string `json:"what"` // "item", "state", "rule", "took", or a fact's name
	Label string `json:"label,omitempty"`
	Old   string `json:"old"` // "" if it was not there
	New   string `json:"new"` // "" if it is gone
	Kind  Change `json:"kind"`
}

// A Change says which way something went.
type Change string

// The changes.
const (
	Worse   Change = "worse"
	Better  Change = "better"
	Changed Change = "changed" // neither way is worse
	Added   Change = "new"
	Gone    Change = "gone"
)

// A Diff is what is different in the second run.
type Diff struct {
	Old         string       `json:"old"`
	New         string       `json:"new"`
	Differences []Difference `json:"differences"`
}

// Compare compares two runs item by item and fact by fact. spec says which way
// a module's fact gets worse; it may be nil.
func Compare(old, new runbooks.Run, spec func(module, factName string) (fact.Spec, bool)) Diff {
	d := Diff{Old: old.ID, New: new.ID, Differences: []Difference{}}
	for _, it := range new.Items {
		before, known := old.Item(it.ID)
		if !known {
			d.add(it.ID, "item", "", "", it.Title, Added)
			continue
		}
		d.states(before, it)
		d.times(before, it)
		d.rules(before.Result(), it)
		d.facts(before.Result(), it, spec)
	}
	for _, it := range old.Items {
		if _, still := new.Item(it.ID); !still {
			d.add(it.ID, "item", "", it.Title, "", Gone)
		}
	}
	return d
}

// Worse reports whether anything got worse.
func (d Diff) Worse() bool {
	for _, x := range d.Differences {
		if x.Kind == Worse {
			return true
		}
	}
	return false
}

func (d *Diff) add(item, what, label, old, new string, kind Change) {
	d.Differences = append(d.Differences, Difference{item, what, label, old, new, kind})
}

func (d *Diff) states(old, now runbooks.ItemRun) {
	if old.State == now.State {
		return
	}
	kind := Changed
	a, b := old.State.Level(), now.State.Level()
	switch {
	case b.Worse(a) && b != checks.Skipped:
		kind = Worse
	case a.Worse(b):
		kind = Better
	}
	d.add(now.ID, "state", "", words(string(old.State)), words(string(now.State)), kind)
}

// What a duration must have changed by to be told: everything takes a little
// longer or shorter every time.
const (
	notableTime  = time.Second
	notableRatio = 1.5
)

// times are told and never counted as worse: how long is too long is for the
// rules to say.
func (d *Diff) times(old, now runbooks.ItemRun) {
	a, was := old.Latest()
	b, is := now.Latest()
	if !was || !is || a.Ended.IsZero() || b.Ended.IsZero() {
		return
	}
	short, long := min(a.Took(), b.Took()), max(a.Took(), b.Took())
	if long-short < notableTime || float64(long) < notableRatio*float64(short) {
		return
	}
	d.add(now.ID, "took", "", span(ms(a.Took())), span(ms(b.Took())), Changed)
}

func (d *Diff) rules(old *checks.Result, now runbooks.ItemRun) {
	r := now.Result()
	if old == nil || r == nil {
		return
	}
	if was, is := rules(*old), rules(*r); was != is {
		d.add(now.ID, "rule", "", was, is, Changed)
	}
}

// facts compares what both found; texts and times are told when they differ.
func (d *Diff) facts(old *checks.Result, now runbooks.ItemRun, spec func(string, string) (fact.Spec, bool)) {
	r := now.Result()
	if old == nil || r == nil || old.Err != "" || r.Err != "" {
		return
	}
	for _, f := range r.Facts {
		was, known := old.Fact(f.Name, f.Label)
		switch {
		case !known:
			d.add(now.ID, f.Name, f.Label, "", f.Value.String(), Added)
		case was.Value != f.Value && (finite(was.Num) || finite(f.Num)):
			d.add(now.ID, f.Name, f.Label, was.Value.String(), f.Value.String(), direction(was, f, r.Module, spec))
		}
	}
	for _, f := range old.Facts {
		if _, still := r.Fact(f.Name, f.Label); !still {
			d.add(now.ID, f.Name, f.Label, f.Value.String(), "", Gone)
		}
	}
}

func direction(was, is fact.Fact, module string, spec func(string, string) (fact.Spec, bool)) Change {
	if spec == nil || was.Type != is.Type || !is.Type.Numeric() && is.Type != fact.Bool || !finite(was.Num) || !finite(is.Num) {
		return Changed
	}
	s, ok := spec(module, is.Name)
	if !ok || s.Worse == fact.Neither {
		return Changed
	}
	if (is.Num > was.Num) == (s.Worse == fact.Higher) {
		return Worse
	}
	return Better
}

// Text writes the differences for a person, what got worse first, in 80 columns.
func (d Diff) Text(w io.Writer) error {
	if len(d.Differences) == 0 {
		_, err := fmt.Fprintf(w, "%s and %s found the same\n", clean.Line(d.Old, 0), clean.Line(d.New, 0))
		return err
	}
	counts := map[Change]int{}
	for _, x := range d.Differences {
		counts[x.Kind]++
	}
	head := fmt.Sprintf("%d worse, %d better, %d changed, %d new, %d gone", counts[Worse], counts[Better], counts[Changed], counts[Added], counts[Gone])
	if _, err := fmt.Fprintf(w, "%s\nfrom %s\nto   %s\n", head, clean.Line(d.Old, columns-5), clean.Line(d.New, columns-5)); err != nil {
		return err
	}
	for _, kind := range []Change{Worse, Better, Changed, Added, Gone} {
		for _, x := range d.Differences {
			if x.Kind != kind {
				continue
			}
			if _, err := io.WriteString(w, x.line()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Columns of Text: the kind, the item, and what it is about, of columns in all.
const (
	columns     = 80
	kindColumn  = 8
	itemColumn  = 20
	aboutColumn = 24
)

// line is the difference in one line, or in two if the values are long.
func (x Difference) line() string {
	about := pad(string(x.Kind), kindColumn) + " " + pad(x.Item, itemColumn) + " " + pad(strings.TrimSpace(x.What+" "+x.Label), aboutColumn) + " "
	values := clean.Line(or(x.Old, "none")+" -> "+or(x.New, "none"), 0)
	if room := columns - clean.Cells(about); clean.Cells(values) <= room {
		return about + values + "\n"
	}
	const indent = kindColumn + 1
	return strings.TrimRight(about, " ") + "\n" + strings.Repeat(" ", indent) + clean.Line(values, columns-indent) + "\n"
}

func pad(text string, cells int) string {
	text = clean.Line(text, cells)
	return text + strings.Repeat(" ", cells-clean.Cells(text))
}

func or(text, none string) string {
	if text == "" {
		return none
	}
	return text
}
