package logs

import "strings"

// A prefilter finds, in one pass over a line and whatever its case, whether
// any of many literals occurs in it. It is the multi-string search of Wu and
// Manber: a table over pairs of bytes says how far the end of the shortest
// literal is away at least, so most bytes are never looked at.
type prefilter struct {
	shortest int
	shift    [1 << 16]uint8          // by pair of bytes
	bucket   [1 << 10][]announcement // by the last pair of the window, folded
}

// An announcement is a literal, in lower case, with the patterns it announces.
// The search looks for a window of it, the rarest piece of the shortest
// literal's length, which ends end bytes into it.
type announcement struct {
	text string
	end  int
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
		end := rarest(l, p.shortest)
		piece := l[end-p.shortest : end]
		for at := 1; at < len(piece); at++ {
			p.lower(piece[at-1], piece[at], uint8(len(piece)-1-at))
		}
		slot := slot(l[end-2], l[end-1])
		p.bucket[slot] = append(p.bucket[slot], announcement{l, end, bits[i]})
	}
	return p
}

// common are the letters of English and of logs, the most frequent first.
const common = "etaoinsr 0123456789ldcumh:p-.gfby/vwk_"

// rarest is where the piece of n bytes ends whose bytes are rarest: the pairs
// of common letters would stop the search everywhere.
func rarest(literal string, n int) (end int) {
	best := 1 << 30
	for at := n; at <= len(literal); at++ {
		weight := 0
		for _, b := range []byte(literal[at-n : at]) {
			if i := strings.IndexByte(common, b); i >= 0 {
				weight += len(common) - i
			}
		}
		if weight < best {
			best, end = weight, at
		}
	}
	return end
}

func slot(a, b byte) uint16 { return (uint16(a)*37 + uint16(b)) & (1<<10 - 1) }

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
		for _, a := range p.bucket[slot(folded(text[i-1]), folded(text[i]))] {
			if start := i + 1 - a.end; a.bits&^found != 0 && start >= 0 && foldedPrefix(text[start:], a.text) {
				found |= a.bits
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
