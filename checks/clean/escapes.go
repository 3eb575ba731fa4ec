package clean

import (
	"html"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxEntity is how long the name of an HTML entity may be.
const maxEntity = 32

// An edge is one way to read what stands at a place of a text: as the bytes
// that an escape means.
type edge struct {
	to  int // where the text goes on
	val string
}

// A lattice is a text with every way to read its escapes: percent, backslash
// (of JSON and C, of a shell), HTML entity. Both readings of a backslash stand
// side by side, and the escape as it is written too, because a secret may
// itself hold what looks like an escape. Each layer reads each marker once.
type lattice struct {
	text  string
	heads []int32  // by place: the index of its edges, plus one
	edges [][]edge // of the places that have some
	cut   []int    // places of escapes that the text's end cuts
	ended bool     // the reader wanted more than there is
}

func newLattice(text string) *lattice { return &lattice{text: text, heads: make([]int32, len(text))} }

// escaped reports whether a text may hold an escape.
func escaped(text string) bool {
	if strings.IndexByte(text, '%') >= 0 || strings.IndexByte(text, '\\') >= 0 {
		return true
	}
	for {
		at := strings.IndexByte(text, '&')
		if at < 0 {
			return false
		}
		if text = text[at+1:]; text == "" || isAlnum(text[0]) || text[0] == '#' || text[0] == '&' {
			return true
		}
	}
}

// at are the edges of a place.
func (l *lattice) at(i int) []edge {
	if h := l.heads[i]; h > 0 {
		return l.edges[h-1]
	}
	return nil
}

// layer reads the escapes of the text as the layers before left it.
func (l *lattice) layer() {
	type place struct {
		at    int
		fresh []edge
	}
	var places []place
	for i := range len(l.text) {
		if !isMarker(l.text[i]) {
			continue
		}
		l.ended = false
		fresh := l.sequences(l.text[i], i+1)
		for _, e := range l.at(i) {
			if len(e.val) == 1 && isMarker(e.val[0]) {
				fresh = append(fresh, l.sequences(e.val[0], e.to)...)
			}
		}
		if l.ended {
			l.cut = append(l.cut, i)
		}
		if len(fresh) > 0 {
			places = append(places, place{i, fresh})
		}
	}
	for _, p := range places {
		if l.heads[p.at] == 0 {
			l.edges = append(l.edges, nil)
			l.heads[p.at] = int32(len(l.edges))
		}
		known := &l.edges[l.heads[p.at]-1]
		for _, e := range p.fresh {
			*known = appendNew(*known, e)
		}
	}
}

func appendNew(edges []edge, e edge) []edge {
	for _, known := range edges {
		if known == e {
			return edges
		}
	}
	return append(edges, e)
}

func isMarker(c byte) bool { return c == '%' || c == '\\' || c == '&' }

// sequences are the readings of an escape whose marker is read already.
func (l *lattice) sequences(marker byte, at int) []edge {
	switch marker {
	case '%':
		return l.percent(at)
	case '&':
		return l.entity(at)
	}
	return l.backslash(at)
}

// next reads one byte of a kind, by an escape of the layer before or as it is.
func (l *lattice) next(at int, kind func(byte) bool) (c byte, to int, ok bool) {
	if at >= len(l.text) {
		l.ended = true
		return 0, at, false
	}
	for _, e := range l.at(at) {
		if len(e.val) == 1 && kind(e.val[0]) {
			return e.val[0], e.to, true
		}
	}
	return l.text[at], at + 1, kind(l.text[at])
}

// number reads digits of a base.
func (l *lattice) number(at, digits int, kind func(byte) bool, base rune) (n rune, to int, ok bool) {
	for range digits {
		c, after, ok := l.next(at, kind)
		if !ok {
			return 0, at, false
		}
		n, at = n*base+rune(nibble[c]), after
	}
	return n, at, true
}

func isHex(c byte) bool   { return nibble[c] >= 0 }
func isOctal(c byte) bool { return c >= '0' && c <= '7' }
func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// percent reads %41, %u00e4 and its surrogate pairs.
func (l *lattice) percent(at int) (all []edge) {
	if n, to, ok := l.number(at, 2, isHex, 16); ok {
		all = append(all, edge{to, oneByte(byte(n))})
	}
	if _, to, ok := l.next(at, is('u')); ok {
		all = append(all, l.utf16(to, '%')...)
	}
	return all
}

// utf16 reads the four digits of a code unit, and the other half of a pair.
func (l *lattice) utf16(at int, marker byte) []edge {
	n, to, ok := l.number(at, 4, isHex, 16)
	if !ok {
		return nil
	}
	if !utf16.IsSurrogate(n) {
		return []edge{{to, string(n)}}
	}
	_, to, ok = l.next(to, is(marker))
	if !ok {
		return nil
	}
	if _, to, ok = l.next(to, is('u')); !ok {
		return nil
	}
	low, to, ok := l.number(to, 4, isHex, 16)
	if r := utf16.DecodeRune(n, low); ok && r != utf8.RuneError {
		return []edge{{to, string(r)}}
	}
	return nil
}

func is(want byte) func(byte) bool { return func(c byte) bool { return c == want } }

// entity reads &amp; and &#x41;.
func (l *lattice) entity(at int) []edge {
	name := make([]byte, 1, maxEntity)
	name[0] = '&'
	for len(name) < maxEntity {
		c, to, ok := l.next(at, func(c byte) bool { return isAlnum(c) || c == '#' || c == ';' })
		if !ok {
			return nil
		}
		name, at = append(name, c), to
		if c != ';' {
			continue
		}
		if val := html.UnescapeString(string(name)); val != string(name) {
			return []edge{{at, val}}
		}
		return nil
	}
	return nil
}

// escapeLetters are the letters behind a backslash that mean another byte, and
// those bytes.
const escapeLetters, escapeBytes = "nrtbfav0e", "\n\r\t\b\f\a\v\x00\x1b"

// backslash reads what JSON, C and a shell's $'…' mean, and what a shell means
// outside of quotes: the byte itself.
func (l *lattice) backslash(at int) []edge {
	var all []edge
	if n, to, ok := l.number(at, 3, isOctal, 8); ok && n < 256 {
		all = append(all, edge{to, oneByte(byte(n))})
	}
	if _, to, ok := l.next(at, is('0')); ok { // printf %b: \0 and three digits
		if n, to, ok := l.number(to, 3, isOctal, 8); ok && n < 256 {
			all = append(all, edge{to, oneByte(byte(n))})
		}
	}
	if at >= len(l.text) {
		l.ended = true
		return nil
	}
	for _, e := range slices.Concat(l.at(at), []edge{{at + 1, l.text[at : at+1]}}) {
		if len(e.val) != 1 {
			all = append(all, e)
			continue
		}
		switch c := e.val[0]; {
		case c == 'u':
			all = append(all, l.utf16(e.to, '\\')...)
			all = append(all, l.braced(e.to)...)
		case c == 'U':
			if n, to, ok := l.number(e.to, 8, isHex, 16); ok && n <= unicode.MaxRune {
				all = append(all, edge{to, string(n)})
			}
		case c == 'x':
			all = append(all, l.braced(e.to)...)
			if n, to, ok := l.number(e.to, 2, isHex, 16); ok {
				all = append(all, edge{to, oneByte(byte(n))})
			}
		case c == '\n': // a shell goes on in the next line
			all = append(all, edge{e.to, ""})
		case strings.IndexByte(escapeLetters, c) >= 0:
			all = append(all, edge{e.to, escapeBytes[strings.IndexByte(escapeLetters, c):][:1]})
		}
		if n, to, ok := l.number(at, 2, isHex, 16); ok { // LDAP, CSS
			all = append(all, edge{to, oneByte(byte(n))})
		}
		all = append(all, e)
	}
	return all
}

// braced reads the {22} of \u{22} and \x{22}: one to eight digits.
func (l *lattice) braced(at int) []edge {
	_, at, ok := l.next(at, is('{'))
	for n, digits := rune(0), 0; ok && digits <= 8; digits++ {
		if _, to, closed := l.next(at, is('}')); closed && digits > 0 {
			return []edge{{to, string(n)}}
		}
		var c byte
		if c, at, ok = l.next(at, isHex); ok {
			n = n<<4 | rune(nibble[c])
		}
	}
	return nil
}

// oneByte is a string of one byte that needs no memory.
func oneByte(c byte) string { return everyByte[c : int(c)+1] }

var everyByte = func() string {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	return string(all[:])
}()

// views are the text with its escapes undone, for a base64 or hex text inside
// them: one for each meaning of a backslash, and of the + of a form that has
// line breaks, if they differ here.
func (l *lattice) views() []cells {
	if len(l.edges) == 0 {
		return nil
	}
	first := func(all []edge) edge { return all[0] }
	views := []cells{l.view(first, '+')}
	if slices.ContainsFunc(l.edges, func(e []edge) bool { return len(e) > 1 }) {
		views = append(views, l.view(func(all []edge) edge { return all[len(all)-1] }, '+'))
	}
	if strings.Contains(l.text, "+") && strings.Contains(views[0].text, "\n") {
		views = append(views, l.view(first, ' '))
	}
	return views
}

// view chooses one reading of each escape, and of a + outside of them.
func (l *lattice) view(choose func([]edge) edge, plus byte) cells {
	var text strings.Builder
	c := cells{from: make([]int32, 0, len(l.text)), to: make([]int32, 0, len(l.text))}
	for i := 0; i < len(l.text) && !l.cuts(i); {
		e := edge{i + 1, l.text[i : i+1]}
		if l.heads[i] > 0 {
			e = choose(l.at(i))
		} else if l.text[i] == '+' {
			e.val = oneByte(plus)
		}
		text.WriteString(e.val)
		for range len(e.val) {
			c.from, c.to = append(c.from, int32(i)), append(c.to, int32(e.to))
		}
		i = e.to
	}
	c.text = text.String()
	return c
}

// escapes finds secrets of which a part is escaped. The source of a hit is
// what its bytes were read from.
func (s search) escapes(l *lattice, atEnd bool, f *found) {
	if len(l.edges) == 0 && len(l.cut) == 0 {
		return
	}
	for _, value := range s.all {
		m := matcher{lattice: l, more: atEnd && s.more, value: value}
		for i := range len(l.text) {
			if l.heads[i] == 0 && l.text[i] != value[0] && !l.cuts(i) {
				continue
			}
			if end, ok := m.match(i, 0); ok {
				f.hits = append(f.hits, span{i, end})
			}
			if m.open {
				f.open, m.open = min(f.open, i), false
			}
		}
	}
}

// cuts reports whether the text's end goes through the escape at a place.
func (l *lattice) cuts(i int) bool { return len(l.cut) > 0 && slices.Contains(l.cut, i) }

// A matcher compares one value with every way to read a text from a place on.
type matcher struct {
	*lattice
	value string
	more  bool
	open  bool // the text's end cuts what may be a value
	steps int
	seen  map[step]bool // from easySteps on
}

// A step of a matcher: where in the text and in the value it stands.
type step struct{ at, done int }

// easySteps is how many steps a matcher goes without remembering them. From
// then on it takes none twice, from whatever beginning: a text of backslashes
// has many ways to the same place.
const easySteps = 64

// fresh reports whether a matcher comes to a place for the first time.
func (m *matcher) fresh(at, done int) bool {
	if m.steps++; m.steps < easySteps {
		return true
	}
	if m.seen == nil {
		m.seen = map[step]bool{}
	}
	if m.seen[step{at, done}] {
		return false
	}
	m.seen[step{at, done}] = true
	return true
}

// match returns where the rest of the value ends.
func (m *matcher) match(at, done int) (end int, ok bool) {
	for {
		if done == len(m.value) {
			return at, true
		}
		if at == len(m.text) {
			m.open = m.open || m.more
			return 0, false
		}
		if m.heads[at] > 0 {
			break
		}
		m.open = m.open || m.more && m.cuts(at)
		if m.text[at] != m.value[done] {
			return 0, false
		}
		at, done = at+1, done+1
	}
	m.open = m.open || m.more && m.cuts(at)
	for _, e := range m.lattice.at(at) {
		if strings.HasPrefix(m.value[done:], e.val) && m.fresh(e.to, done+len(e.val)) {
			if end, ok := m.match(e.to, done+len(e.val)); ok {
				return end, true
			}
		}
	}
	if m.text[at] == m.value[done] && m.fresh(at+1, done+1) {
		return m.match(at+1, done+1)
	}
	return 0, false
}
