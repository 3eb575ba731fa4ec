package postgres

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// lockTree is the graph of who waits for whom. It is made of one look at a
// moving server, so it may have gaps, and circles until the server's own
// deadlock detector has run.
type lockTree struct {
	blockers map[int][]int // waiting pid -> the pids it waits for, without doubles
	waiters  map[int][]int // blocking pid -> the pids that wait for it
}

func newLockTree(waiters []waiter) lockTree {
	t := lockTree{map[int][]int{}, map[int][]int{}}
	for _, w := range waiters {
		for _, by := range w.By { // a parallel group shows up several times
			if !slices.Contains(t.blockers[w.PID], int(by)) && int(by) != w.PID {
				t.blockers[w.PID] = append(t.blockers[w.PID], int(by))
				t.waiters[int(by)] = append(t.waiters[int(by)], w.PID)
			}
		}
	}
	return t
}

// preparedNode stands for the i-th holder, a prepared transaction: it has no
// pid, and there can be several. 0 is one of which nothing is known.
func preparedNode(i int) int { return -1 - i }

// rootPIDs block somebody and wait for nobody. Of a circle, which has no such
// member, the lowest pid stands for it. Prepared transactions are not pids.
func (t lockTree) rootPIDs() []int {
	var roots []int
	for pid := range t.waiters {
		if pid > 0 && len(t.blockers[pid]) == 0 {
			roots = append(roots, pid)
		}
	}
	held := map[int]bool{}
	for _, root := range append(slices.Clone(roots), t.prepared()...) {
		for pid := range t.behind(root) {
			held[pid] = true
		}
	}
	var circled []int
	for pid := range t.waiters {
		if pid > 0 && len(t.blockers[pid]) > 0 && !held[pid] {
			circled = append(circled, pid)
		}
	}
	slices.Sort(circled)
	for _, pid := range circled {
		if held[pid] {
			continue
		}
		roots = append(roots, pid)
		held[pid] = true
		for behind := range t.behind(pid) {
			held[behind] = true
		}
	}
	slices.Sort(roots)
	return roots
}

// prepared are the nodes of prepared transactions that block somebody.
func (t lockTree) prepared() []int {
	var nodes []int
	for pid := range t.waiters {
		if pid <= 0 {
			nodes = append(nodes, pid)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// behind are all that wait for pid, directly or not, without pid itself.
func (t lockTree) behind(pid int) map[int]bool {
	seen := map[int]bool{}
	todo := slices.Clone(t.waiters[pid])
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if seen[next] || next == pid {
			continue
		}
		seen[next] = true
		todo = append(todo, t.waiters[next]...)
	}
	return seen
}

// frees is how many sessions go on, sooner or later, once pid is gone.
func (t lockTree) frees(pid int) int { return len(t.behind(pid)) }

// depth is the number of waits between a root and the session farthest from
// it: 1 when everybody waits for a root directly. Sessions that queue for one
// lock wait for the root and for those before them in the queue; each counts
// by its nearest way to a root, or a queue would look like a chain.
func (t lockTree) depth() int {
	level := append(t.rootPIDs(), t.prepared()...)
	seen := map[int]bool{}
	for _, root := range level {
		seen[root] = true
	}
	for depth := 0; ; depth++ {
		var next []int
		for _, pid := range level {
			for _, w := range t.waiters[pid] {
				if !seen[w] {
					seen[w] = true
					next = append(next, w)
				}
			}
		}
		if len(next) == 0 {
			return depth
		}
		level = next
	}
}

// byFrees orders roots, as indices: those that hold up most first, then the oldest.
func (t lockTree) byFrees(holders []holder) []int {
	order := make([]int, len(holders))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := holders[i], holders[j]
		return cmp.Or(t.frees(b.node(j))-t.frees(a.node(i)), cmp.Compare(b.Age, a.Age), a.PID-b.PID)
	})
	return order
}

func (t lockTree) worst(holders []holder) (holder, bool) {
	if len(holders) == 0 {
		return holder{}, false
	}
	return holders[t.byFrees(holders)[0]], true
}

// byWait orders waiters: longest first.
func byWait(waiters []waiter) []waiter {
	return slices.SortedStableFunc(slices.Values(waiters), func(a, b waiter) int {
		return cmp.Or(cmp.Compare(b.Wait, a.Wait), a.PID-b.PID)
	})
}

// pids lists the blockers of a waiter: "4242, prepared".
func pids(by []int32) string {
	var names []string
	for _, pid := range by {
		name := strconv.Itoa(int(pid))
		if pid == 0 {
			name = "prepared"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
