package logs

import "bytes"

// unindented is a line without the blanks before it if what stands behind them
// is a record of its own: it begins with a stamp, or is a dated JSON text, and
// names a level. Any other indented line is left as it is, part of the record
// before it.
func (s *stamper) unindented(line []byte) []byte {
	if len(line) == 0 || line[0] != ' ' && line[0] != '\t' {
		return line
	}
	rest := bytes.TrimLeft(line, " \t")
	if isJSON(rest) {
		if _, _, dated := s.lookJSON(rest); dated {
			if level, _ := jsonLevel(rest); level != noLevel {
				return rest
			}
		}
		return line
	}
	for _, f := range textFormats[:2] { // iso and syslog; an indented number is rarely a time
		from := f.start(rest)
		if from < 0 {
			continue
		}
		if m, ok := f.parse(rest, from, s.zones); ok {
			if level, _ := textLevel(rest[m.end:]); level != noLevel {
				return rest
			}
		}
	}
	return line
}

// colourLimit is the most bytes of one change of colour.
const colourLimit = 24

// colourAt is where a text goes on behind the changes of a terminal's colour
// that stand at a place: ESC [ 3 1 m.
func colourAt(text []byte, at int) int {
	for at+2 < len(text) && text[at] == 0x1b && text[at+1] == '[' {
		end := at + 2
		for end < len(text) && end < at+colourLimit && (text[end] >= '0' && text[end] <= '9' || text[end] == ';') {
			end++
		}
		if end == len(text) || text[end] != 'm' {
			break
		}
		at = end + 1
	}
	return at
}
