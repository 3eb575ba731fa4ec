package logs

import "encoding/binary"

// A clockShape is how the seconds of a stamp and their fraction are written:
// which bytes are digits, of whatever value, and what the others are. It
// compares eight bytes at a time, because every line of a log goes through it.
type clockShape struct {
	n       int
	words   [2]shapeWord
	seconds bool // the second byte is the first digit of the seconds
}

// A shapeWord is eight bytes of a shape; a byte that is in neither mask may be
// anything.
type shapeWord struct{ want, exact, digits uint64 }

// clockLimit is the longest clock that has a shape.
const clockLimit = 16

// shapeOf is the shape of a clock of at most clockLimit bytes. seconds says
// that it begins as ":12" does.
func shapeOf(clock []byte, seconds bool) clockShape {
	c := clockShape{n: len(clock), seconds: seconds}
	for i, b := range clock {
		w, at := &c.words[i/8], 8*(i%8)
		if b >= '0' && b <= '9' {
			w.digits |= 0xff << at
			continue
		}
		w.exact |= 0xff << at
		w.want |= uint64(b) << at
	}
	return c
}

// fits reports whether the text begins with a clock of that shape. Seconds
// from 60 on, and a clock at the very end of a text, are left to parsing.
func (c *clockShape) fits(text []byte) bool {
	if len(text) < 8 || c.n > 8 && len(text) < 16 || c.seconds && text[1] >= '6' {
		return false
	}
	return c.words[0].fits(binary.LittleEndian.Uint64(text)) &&
		(c.n <= 8 || c.words[1].fits(binary.LittleEndian.Uint64(text[8:])))
}

// fits: a byte is a digit if its upper half is 3, and still is with 6 added. A
// carry out of the byte before makes the addition larger, so it can only refuse.
func (w shapeWord) fits(x uint64) bool {
	const upper, threes, sixes = 0xf0f0f0f0f0f0f0f0, 0x3030303030303030, 0x0606060606060606
	return (x^w.want)&w.exact|((x&upper^threes)|((x+sixes)&upper^threes))&w.digits == 0
}
