package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Difference is one thing that two runs do not have in common.
type Difference struct {
	Item  string `json:"item"`
	What  string `json:"what"` // "state", "rule", or a fact's name
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
		case was.Value != f.Value:
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
	if spec == nil || was.Type != is.Type || !is.Type.Numeric() && is.Type != fact.Bool {
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

// Text writes the differences for a person, what got worse first.
func (d Diff) Text(w io.Writer) error {
	if len(d.Differences) == 0 {
		_, err := fmt.Fprintf(w, "%s and %s found the same\n", d.Old, d.New)
		return err
	}
	counts := map[Change]int{}
	for _, x := range d.Differences {
		counts[x.Kind]++
	}
	if _, err := fmt.Fprintf(w, "%d worse, %d better, %d changed, %d new, %d gone from %s to %s\n", counts[Worse], counts[Better], counts[Changed], counts[Added], counts[Gone], d.Old, d.New); err != nil {
		return err
	}
	for _, kind := range []Change{Worse, Better, Changed, Added, Gone} {
		for _, x := range d.Differences {
			if x.Kind != kind {
				continue
			}
			what := strings.TrimSpace(x.What + " " + x.Label)
			if _, err := fmt.Fprintf(w, "%-8s %-20s %-24s %s -> %s\n", kind, x.Item, what, or(x.Old, "none"), or(x.New, "none")); err != nil {
				return err
			}
		}
	}
	return nil
}

func or(text, none string) string {
	if text == "" {
		return none
	}
	return text
}
