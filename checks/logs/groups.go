package logs

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// maxGroups bounds what a flood of ever new lines can make us keep.
const maxGroups = 1024

// A group is the lines of one signature, address or user.
type group struct {
	key         string
	count       int64
	first, last time.Time
	sample      string
}

// groups counts lines by key. When full, the rarest group makes room and is
// counted among the rest, so that what is frequent stays exact enough.
type groups struct {
	byKey map[string]*group
	rest  int64 // lines of groups that made room
}

func newGroups() *groups { return &groups{byKey: map[string]*group{}} }

// add counts one line; sample is called for the first of a group.
func (g *groups) add(key []byte, at time.Time, sample func() string) {
	found := g.byKey[string(key)]
	if found == nil {
		if len(g.byKey) >= maxGroups {
			g.makeRoom()
		}
		found = &group{key: string(key), first: at, last: at, sample: sample()}
		g.byKey[found.key] = found
	}
	found.count++
	if at.Before(found.first) {
		found.first = at
	}
	if at.After(found.last) {
		found.last = at
	}
}

// makeRoom drops the quarter of the groups that are rarest.
func (g *groups) makeRoom() {
	ordered := g.ordered()
	for _, rare := range ordered[len(ordered)*3/4:] {
		g.rest += rare.count
		delete(g.byKey, rare.key)
	}
}

// ordered lists the groups, most frequent first.
func (g *groups) ordered() []*group {
	return slices.SortedFunc(maps.Values(g.byKey), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.count, a.count), b.last.Compare(a.last), cmp.Compare(a.key, b.key))
	})
}

// tableRows is how many groups a table shows.
const tableRows = 20

// table is the most frequent groups as evidence.
func (g *groups) table(name string, known map[string]bool) checks.Table {
	t := checks.Table{Name: name, Columns: []checks.Column{
		{Name: "count", Type: fact.Count}, {Name: "first", Type: fact.Time}, {Name: "last", Type: fact.Time},
		{Name: "sample", Type: fact.Text}, {Name: "signature", Type: fact.Text}, {Name: "new", Type: fact.Bool},
	}}
	for i, group := range g.ordered() {
		if i == tableRows {
			break
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(group.count), fact.TimeValue(group.first), fact.TimeValue(group.last),
			fact.WordValue(group.sample), fact.WordValue(group.key), fact.FlagValue(known != nil && !known[group.key]),
		})
	}
	return t
}

// maxCopies is how many lines are remembered to recognise their copies.
const maxCopies = 1 << 16

// copies recognises lines that a program writes into two files of the same
// source, as Winston does with error.log and combined.log: a line counts as
// often as it stands in the file that has it most.
type copies struct {
	seed maphash.Seed
	seen map[uint64]copied
	full bool
}

type copied struct {
	stream int
	most   uint32 // in any one stream
	here   uint32 // in this stream
}

func newCopies() *copies { return &copies{seed: maphash.MakeSeed(), seen: map[uint64]copied{}} }

// isCopy reports whether the line was counted already from another stream.
func (c *copies) isCopy(l *line) bool {
	if !l.scan.many {
		return false
	}
	key := maphash.Bytes(c.seed, l.text)
	seen, known := c.seen[key]
	if !known && len(c.seen) >= maxCopies {
		c.full = true
		return false
	}
	if seen.stream != l.stream {
		seen.stream, seen.here = l.stream, 0
	}
	seen.here++
	copy := seen.here <= seen.most
	seen.most = max(seen.most, seen.here)
	c.seen[key] = seen
	return copy
}
