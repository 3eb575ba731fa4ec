package logs

import (
	"bytes"
	"strings"
)

// timeKeys in the order of preference, where a line has several.
var timeKeys = []string{"timestamp", "time", "@timestamp", "ts", "date", "datetime", "asctime", "t", "time_local", "time_iso8601"}

// quotedTimeKeys are timeKeys as they stand in a line.
var quotedTimeKeys = quoted(timeKeys)

func quoted(keys []string) [][]byte {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		all[i] = []byte(`"` + key + `"`)
	}
	return all
}

var levelKeys = []string{"level", "severity", "error_severity", "levelname", "log.level", "lvl", "@level", "priority"}

var messageKeys = []string{"msg", "message", "error", "err", "event"}

// A field is one top-level value of a JSON line as written, with its quotes.
type field struct {
	key      []byte
	at       int // of the key's quote
	from, to int // of the value
}

// eachField walks the top-level fields of one JSON object until visit returns
// false. It allocates nothing, forgives what follows a cut, and is not fooled
// by keys inside texts or nested objects.
func eachField(line []byte, visit func(f field) bool) {
	i := 1
	for {
		i = skipTo(line, i, '"', " \t,")
		if i < 0 {
			return
		}
		f := field{at: i}
		end := stringEnd(line, i)
		if end < 0 {
			return
		}
		f.key = line[i+1 : end-1]
		if i = skipTo(line, end, ':', " \t"); i < 0 {
			return
		}
		for i++; i < len(line) && (line[i] == ' ' || line[i] == '\t'); i++ {
		}
		f.from = i
		if f.to = valueEnd(line, i); f.to <= f.from || !visit(f) {
			return
		}
		i = f.to
	}
}

// skipTo is the offset of want at or behind i with only the given bytes
// between; -1 if something else comes first.
func skipTo(line []byte, i int, want byte, over string) int {
	for ; i < len(line); i++ {
		if line[i] == want {
			return i
		}
		if strings.IndexByte(over, line[i]) < 0 {
			return -1
		}
	}
	return -1
}

// stringEnd is behind the closing quote of the string at i; -1 without one.
func stringEnd(line []byte, i int) int {
	for i++; i < len(line); {
		j := bytes.IndexByte(line[i:], '"')
		if j < 0 {
			return -1
		}
		i += j + 1
		back := i - 2
		for back >= 0 && line[back] == '\\' {
			back--
		}
		if (i-2-back)%2 == 0 {
			return i
		}
	}
	return -1
}

// valueEnd is behind the value at i; the end of the line if it was cut.
func valueEnd(line []byte, i int) int {
	depth := 0
	for i < len(line) {
		switch b := line[i]; {
		case b == '"':
			end := stringEnd(line, i)
			if end < 0 {
				return len(line)
			}
			i = end - 1
		case b == '{' || b == '[':
			depth++
		case depth > 0 && (b == '}' || b == ']'):
			depth--
		case depth == 0 && (b == ',' || b == '}' || b == ']'):
			return i
		}
		i++
	}
	return i
}

// rankOf is the place of a key in a list, -1 if it is not in it.
func rankOf(key []byte, keys []string) int {
	for i, k := range keys {
		if string(key) == k {
			return i
		}
	}
	return -1
}

// best finds the field whose key comes first in keys, and its place there.
func best(line []byte, keys []string) (found field, rank int, ok bool) {
	rank = len(keys)
	eachField(line, func(f field) bool {
		if r := rankOf(f.key, keys); r >= 0 && r < rank {
			found, rank, ok = f, r, true
		}
		return rank > 0
	})
	return found, rank, ok
}

// lookJSON reads the time of a JSON line: a text with a date in it or a
// number. rank is the place of its key among the timeKeys.
func (s *stamper) lookJSON(line []byte) (m mark, rank int, ok bool) {
	f, rank, ok := best(line, timeKeys)
	if !ok {
		return mark{}, rank, false
	}
	from, to := f.from, f.to
	if line[from] != '"' {
		m, ok = number(line[:to], from)
		return m, rank, ok
	}
	if to-1 > from && line[to-1] == '"' { // it has none where the line was cut
		to--
	}
	if m, ok = parseISO(line[:to], from+1, s.zones); !ok {
		m, ok = number(line[:to], from+1)
	}
	if !ok {
		m, ok = parseCombined(line[:to], from, s.zones)
	}
	return m, rank, ok
}

// jsonLevel reads the level of a JSON line. end is where its word ends if the
// line up to there settles the level: no key further on is preferred.
func jsonLevel(line []byte) (found severity, end int) {
	f, rank, ok := best(line, levelKeys)
	if !ok {
		return noLevel, 0
	}
	end = f.from + 1
	for end < len(line) && isWord(line[end]) {
		end++
	}
	if line[f.from] == '"' {
		found = levelWord(line[f.from+1 : end])
	} else {
		found = numberLevel(f.key, line[f.from:end])
	}
	if rank > 0 {
		end = 0
	}
	return found, end
}

// jsonMessage is the message of a JSON line as written, without its quotes.
func jsonMessage(line []byte) []byte {
	f, _, ok := best(line, messageKeys)
	if !ok {
		return nil
	}
	return bytes.Trim(line[f.from:f.to], `"`)
}
