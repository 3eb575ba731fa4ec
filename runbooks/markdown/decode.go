package markdown

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// fields reads the keys of one block. A key that was never asked for is
// unknown; reading a value of the wrong kind reports it and gives the zero.
type fields struct {
	block node
	r     *report
	known map[string]bool
}

func read(block node, r *report) *fields {
	return &fields{block: block, r: r, known: map[string]bool{}}
}

func (f *fields) get(key string, want nodeKind) (node, bool) {
	f.known[key] = true
	n, ok := f.block.get(key)
	switch {
	case !ok:
		return node{}, false
	case n.kind == nothing:
		f.r.err(f.at(key), "wrong-type", "", "%s has no value", key)
		return node{}, false
	case n.kind != want:
		f.r.err(n.at, "wrong-type", "", "%s is %s, expected %s", key, nodeKindNames[n.kind], nodeKindNames[want])
		return node{}, false
	}
	return n, true
}

// at is the place of the key, or of the block if it lacks the key.
func (f *fields) at(key string) place {
	for _, field := range f.block.fields {
		if field.key == key {
			return field.at
		}
	}
	return f.block.at
}

func (f *fields) has(key string) bool { _, ok := f.block.get(key); return ok }

func (f *fields) text(key string) string {
	n, _ := f.get(key, scalar)
	return n.text
}

// texts is a list, or one text alone.
func (f *fields) texts(key string) []string {
	if n, ok := f.block.get(key); ok && n.kind == scalar {
		f.known[key] = true
		return []string{n.text}
	}
	list, _ := f.get(key, sequence)
	var texts []string
	for _, n := range list.list {
		if n.kind != scalar {
			f.r.err(n.at, "wrong-type", "", "%s holds %s, expected texts", key, nodeKindNames[n.kind])
			continue
		}
		texts = append(texts, n.text)
	}
	return texts
}

func (f *fields) duration(key string) time.Duration {
	n, ok := f.get(key, scalar)
	if !ok {
		return 0
	}
	d, err := checks.ParseDuration(n.text)
	if err != nil {
		f.r.err(n.at, "wrong-type", "", "%s: %v", key, err)
	}
	return d
}

func (f *fields) number(key string, least, most int) int {
	n, ok := f.get(key, scalar)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(n.text)
	if err != nil || i < least || i > most {
		f.r.err(n.at, "wrong-type", "", "%s: %q is not a whole number from %d to %d", key, n.text, least, most)
		return 0
	}
	return i
}

func (f *fields) oneOf(key string, words ...string) string {
	n, ok := f.get(key, scalar)
	if ok && !slices.Contains(words, n.text) {
		f.r.err(n.at, "wrong-type", checks.Nearest(n.text, words), "%s: %q is not one of %s", key, n.text, strings.Join(words, ", "))
		return ""
	}
	return n.text
}

// rows are the guide's rows: "x-guide: [28, 220]".
func (f *fields) rows() []int {
	var rows []int
	for _, text := range f.texts("x-guide") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			f.r.err(f.at("x-guide"), "wrong-type", "", "x-guide: %q is not the number of a row", text)
			continue
		}
		rows = append(rows, n)
	}
	return rows
}

// rest reports the keys that nobody asked for; those beginning with "x-" are
// kept.
func (f *fields) rest(kind string) map[string]any {
	names := slices.Sorted(maps.Keys(f.known))
	var extra map[string]any
	for _, field := range f.block.fields {
		switch {
		case strings.HasPrefix(field.key, "x-"):
			if extra == nil {
				extra = map[string]any{}
			}
			extra[field.key] = field.value.raw(true)
		case !f.known[field.key]:
			f.r.err(field.at, "unknown-key", checks.Nearest(field.key, names), "%s has no key %q", kind, field.key)
		}
	}
	return extra
}

var idForm = regexp.MustCompile(`^[a-z0-9]+([-_][a-z0-9]+)*$`)

// id is the block's own id, required.
func (f *fields) id() string {
	n, ok := f.get("id", scalar)
	if !ok {
		if !f.has("id") {
			f.r.err(f.block.at, "no-id", "a title may change, history hangs on the id", "the block has no id")
		}
		return ""
	}
	if !idForm.MatchString(n.text) {
		f.r.err(n.at, "bad-id", "write disk-root", "%q is not an id: lower-case words joined by - or _", n.text)
	}
	return n.text
}

// needs reads "[a, {b: {max_age: 2h}}, {c: {min_age: 24h}}]".
func (f *fields) needs() []needAt {
	list, _ := f.get("needs", sequence)
	var needs []needAt
	for _, n := range list.list {
		if n.kind == scalar {
			needs = append(needs, needAt{runbooks.Need{Item: n.text}, n.at})
			continue
		}
		if n.kind != mapping || len(n.fields) != 1 {
			f.r.err(n.at, "wrong-type", "write other-item or {other-item: {max_age: 2h}}", "needs holds %s", nodeKindNames[n.kind])
			continue
		}
		inner := n.fields[0]
		options := read(inner.value, f.r)
		if inner.value.kind != mapping {
			f.r.err(inner.value.at, "wrong-type", "write {max_age: 2h}", "the need of %s is %s", inner.key, nodeKindNames[inner.value.kind])
			continue
		}
		need := runbooks.Need{Item: inner.key, MaxAge: options.duration("max_age"), MinAge: options.duration("min_age")}
		if need.MaxAge > 0 && need.MinAge >= need.MaxAge {
			f.r.err(options.valueAt("min_age"), "wrong-type", "", "a min_age of %s and a max_age of %s leave no time", fact.FormatDuration(need.MinAge), fact.FormatDuration(need.MaxAge))
		}
		needs = append(needs, needAt{need, inner.at})
		options.rest("a need")
	}
	return needs
}

type needAt struct {
	runbooks.Need
	at place
}
