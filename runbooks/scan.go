package runbooks

import "bytes"

// A scan walks JSON that this program wrote: compact, names in lower case. It
// looks for what it expects and at nothing else; what it does not expect makes
// it fail, and the caller reads the same bytes with encoding/json.
type scan struct {
	rest   []byte
	failed bool
}

// optional takes the word if it comes next.
func (s *scan) optional(word string) bool {
	if s.failed || len(s.rest) < len(word) || string(s.rest[:len(word)]) != word {
		return false
	}
	s.rest = s.rest[len(word):]
	return true
}

// expect takes the word, which must come next.
func (s *scan) expect(word string) {
	if !s.optional(word) {
		s.failed = true
	}
}

// take takes that many bytes; less than 0 fails.
func (s *scan) take(n int) []byte {
	if s.failed || n < 0 || n > len(s.rest) {
		s.failed = true
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

// digits is a number without sign, fraction and exponent.
func (s *scan) digits() (n uint64) {
	size := 0
	for size < len(s.rest) && s.rest[size] >= '0' && s.rest[size] <= '9' {
		n = 10*n + uint64(s.rest[size]-'0')
		size++
	}
	if size == 0 || size > 18 || size > 1 && s.rest[0] == '0' {
		s.failed = true
	}
	s.take(size)
	return n
}

// plain is what stands between the quotes of a string of printable ASCII
// without escapes.
func (s *scan) plain() []byte {
	raw := s.take(stringSize(s.rest))
	if s.failed {
		return nil
	}
	raw = raw[1 : len(raw)-1]
	if !isPlain(raw) {
		s.failed = true
	}
	return raw
}

// isPlain reports whether a JSON string stands for its own bytes.
func isPlain(raw []byte) bool {
	for _, c := range raw {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// value is the next value as it is written: a string, an object, a list, a
// number or a word.
func (s *scan) value() []byte {
	if len(s.rest) == 0 {
		return s.take(-1)
	}
	switch s.rest[0] {
	case '"':
		return s.take(stringSize(s.rest))
	case '{', '[':
		return s.take(nestSize(s.rest))
	}
	return s.take(bytes.IndexAny(s.rest, ",]}"))
}

// members walks the object that comes next, until visit wants no more of it.
func (s *scan) members(visit func(name string, value []byte) bool) {
	for before := "{"; !s.failed; before = "," {
		s.expect(before)
		name := s.plain()
		s.expect(":")
		value := s.value()
		if s.failed || bytes.ContainsAny(name, upper) || !visit(string(name), value) {
			s.failed = true
			return
		}
		if s.optional("}") {
			return
		}
	}
}

// upper are the letters by which encoding/json takes one name for another.
const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// stringSize is how long the string is that raw begins with; -1 if none ends.
func stringSize(raw []byte) int {
	if len(raw) == 0 || raw[0] != '"' {
		return -1
	}
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// nestSize is how long the object or list is that raw begins with; -1 if it
// does not end.
func nestSize(raw []byte) int {
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return -1
	}
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			size := stringSize(raw[i:])
			if size < 0 {
				return -1
			}
			i += size - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
