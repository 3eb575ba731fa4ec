package postgres

import (
	"cmp"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// waitersOfNodes puts each prepared transaction's own node where the server
// says 0 for all of them.
func (v lockView) waitersOfNodes() []waiter {
	all := slices.Clone(v.waiters)
	for i, w := range all {
		if !slices.Contains(w.By, 0) {
			continue
		}
		by := slices.DeleteFunc(slices.Clone(w.By), func(pid int32) bool { return pid == 0 })
		for k, h := range v.holders {
			if h.PID == 0 && slices.Contains(h.Blocks, int32(w.PID)) {
				by = append(by, int32(preparedNode(k)))
			}
		}
		if len(by) < len(w.By) && !slices.ContainsFunc(by, func(pid int32) bool { return pid < 0 }) {
			by = append(by, 0) // it went meanwhile, or waits for it behind others
		}
		all[i].By = by
	}
	return all
}

// A branch is a member of the tree in the order in which it is shown.
type branch struct{ node, depth int }

// preorder lists each root and below it those that wait for it, the longest
// wait first. Who waits for several stands where its way to a root is
// shortest; nobody is listed twice.
func (t lockTree) preorder(roots []int, wait map[int]float64) []branch {
	parent := map[int]int{}
	seen := map[int]bool{}
	for _, root := range roots {
		seen[root] = true
	}
	for level := roots; len(level) > 0; {
		var next []int
		for _, node := range level {
			for _, w := range t.waiters[node] {
				if !seen[w] {
					seen[w] = true
					parent[w] = node
					next = append(next, w)
				}
			}
		}
		level = next
	}
	below := map[int][]int{}
	for node, of := range parent {
		below[of] = append(below[of], node)
	}
	var all []branch
	var list func(node, depth int)
	list = func(node, depth int) {
		all = append(all, branch{node, depth})
		slices.SortFunc(below[node], func(a, b int) int { return cmp.Or(cmp.Compare(wait[b], wait[a]), a-b) })
		for _, child := range below[node] {
			list(child, depth+1)
		}
	}
	for _, root := range roots {
		list(root, 0)
	}
	return all
}

// treeTable is who waits for whom. A root that is gone by now has a row too:
// its victims were seen.
func (v lockView) treeTable(tree lockTree) checks.Table {
	t := checks.Table{Name: "tree", Columns: []checks.Column{
		{Name: "depth", Type: fact.Count}, {Name: "pid", Type: fact.Count}, {Name: "frees", Type: fact.Count}, {Name: "wait", Type: fact.Duration},
		{Name: "mode", Type: fact.Text}, {Name: "relation", Type: fact.Text}, {Name: "state", Type: fact.Text}, {Name: "age", Type: fact.Duration},
		{Name: "user", Type: fact.Text}, {Name: "app", Type: fact.Text}, {Name: "client", Type: fact.Text}, {Name: "database", Type: fact.Text},
		{Name: "began", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	holders, wait, waiting := map[int]holder{}, map[int]float64{}, map[int]waiter{}
	var roots []int
	for _, i := range tree.byFrees(v.holders) {
		node := v.holders[i].node(i)
		holders[node] = v.holders[i]
		if len(tree.waiters[node]) > 0 {
			roots = append(roots, node)
		}
	}
	for _, node := range append(tree.rootPIDs(), tree.prepared()...) {
		if !slices.Contains(roots, node) {
			roots = append(roots, node)
		}
	}
	for _, w := range v.waiters {
		wait[w.PID], waiting[w.PID] = w.Wait, w
	}
	for _, b := range tree.preorder(roots, wait) {
		head := []fact.Value{fact.NumberValue(b.depth), fact.NumberValue(max(b.node, 0)), fact.NumberValue(tree.frees(b.node))}
		t.Rows = append(t.Rows, append(head, nodeCells(b, holders, waiting)...))
	}
	return t
}

func nodeCells(b branch, holders map[int]holder, waiting map[int]waiter) []fact.Value {
	if w, ok := waiting[b.node]; ok {
		return []fact.Value{
			fact.DurValue(seconds(w.Wait)), word(w.Mode), word(w.Relation), word(w.State), fact.DurValue(seconds(w.Age)),
			word(w.User), word(w.App), word(w.Client), word(w.Database), word(w.Began), fact.WordValue(shown(w.Query)),
		}
	}
	h, ok := holders[b.node]
	if !ok {
		gone := "gone meanwhile"
		if b.node <= 0 {
			gone = "prepared"
		}
		lost := fact.WordValue("?")
		return []fact.Value{none, lost, lost, word(gone), unknown(fact.Duration), lost, lost, lost, lost, none, lost}
	}
	state := h.State
	if state == "idle" {
		state = "idle, holds a session lock"
	}
	return []fact.Value{
		none, word("holds " + orUnknown(h.Holds)), none, word(state), fact.DurValue(seconds(h.Age)),
		word(h.User), word(h.App), word(h.Client), word(h.Database), word(h.Began), fact.WordValue(shown(h.Query)),
	}
}

func orUnknown(text string) string {
	if text == "" {
		return "?"
	}
	return text
}
