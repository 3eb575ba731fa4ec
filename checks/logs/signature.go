package logs

import "bytes"

// signatureLimit is how long a signature can get.
const signatureLimit = 160

// signature appends to dst what a message has in common with its like:
// numbers, hexadecimal ids and UUIDs become #, quoted texts and paths an
// ellipsis, runs of blanks one blank.
func signature(dst, text []byte) []byte {
	text = bytes.TrimLeft(text, " \t-:|,.]")
	for i := 0; i < len(text) && len(dst) < signatureLimit; {
		switch b := text[i]; {
		case b == ' ' || b == '\t':
			for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
				i++
			}
			dst = append(dst, ' ')
		case (b == '"' || b == '\'' || b == '`') && atBoundary(text, i) && closing(text, i) > 0:
			dst = append(dst, b)
			dst = append(append(dst, "…"...), b)
			i = closing(text, i) + 1
		case b == '/' && atBoundary(text, i) && i+1 < len(text) && isWord(text[i+1]):
			dst = append(dst, "/…"...)
			i = pathEnd(text, i)
		case isWord(b):
			end := wordEnd(text, i)
			dst = foldWord(dst, text[i:end])
			i = end
		default:
			dst = append(dst, b)
			i++
		}
	}
	return bytes.TrimRight(dst, " ")
}

func atBoundary(text []byte, i int) bool { return i == 0 || !isWord(text[i-1]) && text[i-1] != '/' }

// closing is the offset of the quote that closes the one at i; 0 without one
// near by.
func closing(text []byte, i int) int {
	reach := text[i+1 : min(len(text), i+400)]
	if j := bytes.IndexByte(reach, text[i]); j >= 0 {
		return i + 1 + j
	}
	return 0
}

func pathEnd(text []byte, i int) int {
	for i < len(text) && bytes.IndexByte([]byte(" \t\"'`),;"), text[i]) < 0 {
		i++
	}
	return i
}

// wordEnd is behind the word at i; dashes belong to it while hexadecimal
// groups are joined by them, as in a UUID.
func wordEnd(text []byte, i int) int {
	start := i
	for i < len(text) && isWord(text[i]) {
		i++
	}
	if i-start == 8 && len(text) >= start+36 && isUUID(text[start:start+36]) {
		return start + 36
	}
	return i
}

func isUUID(text []byte) bool {
	for i, b := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (b == '-') || !dash && !isHex(b) {
			return false
		}
	}
	return true
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// foldWord folds the digits of a word; an id, hexadecimal or long, is one
// number.
func foldWord(dst, word []byte) []byte {
	id, numbers := len(word) >= 6, 0
	for i, b := range word {
		if b >= '0' && b <= '9' {
			numbers++
		}
		id = id && (isHex(b) || b == '-' || i == 1 && b == 'x')
	}
	switch {
	case numbers == 0:
		return append(dst, word...)
	case id || len(word) >= 8 && numbers >= 2:
		return append(dst, '#')
	}
	for i := 0; i < len(word); i++ {
		if word[i] < '0' || word[i] > '9' {
			dst = append(dst, word[i])
		} else if i == 0 || word[i-1] < '0' || word[i-1] > '9' {
			dst = append(dst, '#')
		}
	}
	return dst
}

// message is the part of a line that its writer composed: behind the stamp,
// or the message of a JSON line or a csvlog record.
func (l *line) message() []byte {
	switch {
	case isJSON(l.text):
		if m := jsonMessage(l.text); len(m) > 0 {
			return m
		}
	case l.csv:
		if m := csvField(l.text, csvMessage); len(m) > 0 {
			return bytes.Trim(m, `"`)
		}
	}
	return l.text[l.end:]
}
