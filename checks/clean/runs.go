package clean

import "strings"

// minRun is the shortest base64 or hex text that is decoded. Any shorter word
// is one, and holds no secret.
const minRun = 8

// Values of the digits, -1 of what is none. The two alphabets of base64 differ
// in two digits, and are read as one.
var sextet, nibble = func() (six, four [256]int8) {
	for c := range six {
		six[c], four[c] = -1, -1
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		six[c] = int8(i)
	}
	six['-'], six['_'] = six['+'], six['/']
	for i, c := range []byte("0123456789abcdef") {
		four[c] = int8(i)
	}
	for i, c := range []byte("ABCDEF") {
		four[c] = int8(10 + i)
	}
	return six, four
}()

// cells is a text of which each byte was read from a part of another one;
// without from and to it is that text.
type cells struct {
	text     string
	from, to []int32
}

func (c cells) source(i int) span {
	if c.from == nil {
		return span{i, i + 1}
	}
	return span{int(c.from[i]), int(c.to[i])}
}

// A run is a base64 or hex text without the line breaks in it.
type run struct {
	cells
	digits string
	at     []int32 // of the digits in the text; nil: one behind the other, from first on
	first  int
	last   bool // the text ends with it
}

func (r run) place(digit int) int {
	if r.at == nil {
		return r.first + digit
	}
	return int(r.at[digit])
}

// source is what the digits of [from, to) were read from, and those that touch
// them: all of the run, or the lines that hold the hit. Padding belongs to it.
func (r run) source(from, to int) span {
	for from > 0 && r.place(from-1) == r.place(from)-1 {
		from--
	}
	for to < len(r.digits) && r.place(to) == r.place(to-1)+1 {
		to++
	}
	end := r.place(to-1) + 1
	for to == len(r.digits) && end < len(r.text) && r.text[end] == '=' {
		end++
	}
	return span{r.cells.source(r.place(from)).from, r.cells.source(end - 1).to}
}

// escaped reports whether an escape was read for a part of the run.
func (r run) escaped() bool {
	for i := range len(r.digits) {
		if part := r.cells.source(r.place(i)); part.to-part.from > 1 {
			return true
		}
	}
	return r.at != nil // a line break may have been one
}

// runs finds secrets in the base64 and hex of a text.
func (s search) runs(c cells, depth int, atEnd bool, f *found) {
	least := max(minRun, (s.shortest*8+5)/6)
	for at := 0; ; {
		first, ok := nextRun(c.text, at, least, atEnd && s.more)
		if !ok {
			return
		}
		var r run
		r, at = runAt(c, first)
		r.last = at == len(c.text) && atEnd && s.more
		if len(r.digits) < least && !r.last {
			continue
		}
		if c.from != nil && !r.escaped() && !r.last {
			continue // it stands like this in the text itself, and what follows is not escaped either
		}
		for offset := range min(4, len(r.digits)) {
			s.within(r, offset, len(r.digits), fromBase64, depth-1, f)
		}
		s.hex(r, depth-1, f)
	}
}

// nextRun is where the next run begins that may have so many digits: they stand
// one behind the other, or a line break stands among them, or the text's end
// behind them. It looks at every least-th byte only, and at those around line
// breaks.
func nextRun(text string, at, least int, atEnd bool) (first int, ok bool) {
	for at < len(text) {
		line := len(text)
		if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
			line = at + n
		}
		for i := at + least - 1; i < line; i += least {
			if sextet[text[i]] < 0 {
				continue
			}
			if first = firstDigit(text, at, i); i-first == least-1 || isRun(text, first, least) {
				return first, true
			}
		}
		last := line
		for last > at && (text[last-1] == ' ' || text[last-1] == '\t' || text[last-1] == '\r') {
			last--
		}
		if last > at && sextet[text[last-1]] >= 0 && (line < len(text) || atEnd) {
			if first = firstDigit(text, at, last-1); enough(text, first, least) {
				return first, true
			}
		}
		at = line + 1
	}
	return 0, false
}

// firstDigit is where the digits begin that reach to a place.
func firstDigit(text string, from, at int) int {
	for at > from && sextet[text[at-1]] >= 0 {
		at--
	}
	return at
}

// isRun reports whether so many digits stand at a place.
func isRun(text string, at, least int) bool {
	if len(text)-at < least {
		return false
	}
	for i := at; i < at+least; i++ {
		if sextet[text[i]] < 0 {
			return false
		}
	}
	return true
}

// runAt is the run that begins at a place, and where the text goes on behind
// it. Its lines may be indented.
func runAt(c cells, first int) (r run, next int) {
	end := endOfDigits(c.text, first)
	r = run{cells: c, digits: c.text[first:end], first: first}
	if next = overBreak(c.text, end); next == len(c.text) || endOfDigits(c.text, next) == next {
		return r, next
	}
	digits, at := []byte(r.digits), make([]int32, 0, 4*len(r.digits))
	for i := first; i < end; i++ {
		at = append(at, int32(i))
	}
	for next > end && endOfDigits(c.text, next) > next {
		for end = next; end < len(c.text) && sextet[c.text[end]] >= 0; end++ {
			digits, at = append(digits, c.text[end]), append(at, int32(end))
		}
		next = overBreak(c.text, end)
	}
	r.digits, r.at = string(digits), at
	return r, next
}

func endOfDigits(text string, at int) int {
	for at < len(text) && sextet[text[at]] >= 0 {
		at++
	}
	return at
}

// enough reports whether the run at a place has so many digits, or is the last.
func enough(text string, at, least int) bool {
	for n := 0; ; {
		end := endOfDigits(text, at)
		if n += end - at; n >= least {
			return true
		}
		if at = overBreak(text, end); at == len(text) {
			return true
		}
		if at == end || endOfDigits(text, at) == at {
			return false
		}
	}
}

// overBreak is where a text goes on behind a line break and the blanks around
// it; at itself if none stands there.
func overBreak(text string, at int) int {
	broken, next := false, at
	for ; next < len(text); next++ {
		switch text[next] {
		case '\n', '\r':
			broken = true
		case ' ', '\t':
		default:
			if broken {
				return next
			}
			return at
		}
	}
	if broken {
		return next
	}
	return at
}

// hex finds secrets in the hex digits of a run, beginning with either of the
// first two.
func (s search) hex(r run, depth int, f *found) {
	for from := 0; from < len(r.digits); from++ {
		if nibble[r.digits[from]] < 0 {
			continue
		}
		to := from
		for to < len(r.digits) && nibble[r.digits[to]] >= 0 {
			to++
		}
		if to-from >= max(minRun, 2*s.shortest) || r.last && to == len(r.digits) {
			s.within(r, from, to, fromHex, depth, f)
			s.within(r, from+1, to, fromHex, depth, f)
		}
		from = to
	}
}

// A coding is a way to write bytes with digits of so many bits.
type coding struct {
	bits int
	of   *[256]int8
}

var fromBase64, fromHex = coding{6, &sextet}, coding{4, &nibble}

// decode reads whole bytes.
func (c coding) decode(digits string) string {
	all := make([]byte, 0, len(digits)*c.bits/8)
	bits, n := 0, uint(0)
	for i := range len(digits) {
		n, bits = n<<c.bits|uint(c.of[digits[i]]), bits+c.bits
		if bits >= 8 {
			bits -= 8
			all = append(all, byte(n>>bits))
		}
	}
	return string(all)
}

// within finds secrets in what the digits of [from, to) mean.
func (s search) within(r run, from, to int, c coding, depth int, f *found) {
	if from >= to {
		return
	}
	text := c.decode(r.digits[from:to])
	inner := s.scan(text, depth, r.last && to == len(r.digits))
	for _, hit := range inner.hits {
		f.hits = append(f.hits, r.source(from+hit.from*8/c.bits, from+(hit.to*8+c.bits-1)/c.bits))
	}
	if inner.open < len(text) {
		f.open = min(f.open, r.cells.source(r.place(from+inner.open*8/c.bits)).from)
	}
}
