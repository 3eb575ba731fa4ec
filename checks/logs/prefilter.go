package logs

// A prefilter finds, in one pass over a line and whatever its case, whether
// any of many literals occurs in it. It is the multi-string search of Wu and
// Manber: a table over pairs of bytes says how far the end of the shortest
// literal is away at least, so most bytes are never looked at.
type prefilter struct {
	shortest int
	shift    [1 << 16]uint8       // by pair of bytes
	bucket   [1 << 8][]prefixWord // by the folded last byte of the first shortest bytes
}

// A prefixWord is a literal, in lower case, and the patterns it announces.
type prefixWord struct {
	text string
	bits uint64
}

// newPrefilter is built from lower-case literals of at least 3 bytes; bits[i]
// are the patterns that literals[i] announces.
func newPrefilter(literals []string, bits []uint64) *prefilter {
	p := &prefilter{shortest: 255}
	for _, l := range literals {
		p.shortest = min(p.shortest, len(l))
	}
	for i := range p.shift {
		p.shift[i] = uint8(p.shortest - 1)
	}
	for i, l := range literals {
		for at := 1; at < p.shortest; at++ {
			p.lower(l[at-1], l[at], uint8(p.shortest-1-at))
		}
		last := l[p.shortest-1]
		p.bucket[last] = append(p.bucket[last], prefixWord{l, bits[i]})
	}
	return p
}

// lower sets the shift of a pair in every case it can be written.
func (p *prefilter) lower(a, b, shift uint8) {
	for _, x := range cases(a) {
		for _, y := range cases(b) {
			at := int(x)<<8 | int(y)
			p.shift[at] = min(p.shift[at], shift)
		}
	}
}

func cases(b byte) []byte {
	if b >= 'a' && b <= 'z' {
		return []byte{b, b - 'a' + 'A'}
	}
	return []byte{b}
}

func folded(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// find returns the patterns that some literal in the text announces.
func (p *prefilter) find(text []byte) (found uint64) {
	m := p.shortest
	for i := m - 1; i < len(text); {
		shift := p.shift[uint16(text[i-1])<<8|uint16(text[i])]
		if shift > 0 {
			i += int(shift)
			continue
		}
		for _, w := range p.bucket[folded(text[i])] {
			if w.bits&^found != 0 && foldedPrefix(text[i-m+1:], w.text) {
				found |= w.bits
			}
		}
		i++
	}
	return found
}

// foldedPrefix reports whether the text begins with a lower-case literal.
func foldedPrefix(text []byte, literal string) bool {
	if len(text) < len(literal) {
		return false
	}
	for i := range len(literal) {
		if folded(text[i]) != literal[i] {
			return false
		}
	}
	return true
}
