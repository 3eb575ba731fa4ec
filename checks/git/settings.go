package git

import "strings"

// A setting is one line of git's configuration: section and key in lower case,
// the value as git takes it.
type setting struct {
	section, key, value string
}

// settings are those of a configuration's text. What git would refuse to read
// may come out in any form: git stops at it.
func settings(text string) []setting {
	var list []setting
	section := ""
	for text != "" {
		text = strings.TrimLeft(text, " \t\r\n")
		switch {
		case text == "":
		case text[0] == '#' || text[0] == ';':
			_, text, _ = strings.Cut(text, "\n")
		case text[0] == '[':
			section, text = header(text[1:])
		default:
			key := text[:keyLength(text)]
			value, rest := "", strings.TrimLeft(text[len(key):], " \t")
			if strings.HasPrefix(rest, "=") {
				value, rest = valueOf(rest[1:])
			} else {
				_, rest, _ = strings.Cut(rest, "\n")
			}
			list = append(list, setting{section, strings.ToLower(key), value})
			text = rest
		}
	}
	return list
}

// header takes the name of a section, without the part in quotes, off a text.
func header(text string) (section, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			section, _, _ = strings.Cut(text[:i], `"`)
			return strings.ToLower(strings.TrimSpace(section)), text[i+1:]
		}
	}
	return "", ""
}

func keyLength(text string) int {
	for i := range len(text) {
		c := text[i] | 0x20
		if (c < 'a' || c > 'z') && (text[i] < '0' || text[i] > '9') && text[i] != '-' {
			return i
		}
	}
	return len(text)
}

// escapes are those that git knows in a value.
var escapes = map[byte]string{'\n': "", 'n': "\n", 't': "\t", 'b': "\b"}

// valueOf takes a value off a text: quotes and escapes resolved, comment and
// blanks at its ends left out.
func valueOf(text string) (value, rest string) {
	var b strings.Builder
	quoted, end := false, 0 // end is how much of the value ends in no blank
	i := 0
scan:
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			break scan
		case c == '"':
			quoted = !quoted
			end = b.Len()
		case c == '\\' && i+1 < len(text):
			i++
			if plain, ok := escapes[text[i]]; ok {
				b.WriteString(plain)
			} else {
				b.WriteByte(text[i])
			}
			end = b.Len()
		case !quoted && (c == '#' || c == ';'):
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				n = len(text) - i
			}
			i += n
			break scan
		case !quoted && (c == ' ' || c == '\t' || c == '\r'):
			if b.Len() > 0 {
				b.WriteByte(c)
			}
		default:
			b.WriteByte(c)
			end = b.Len()
		}
	}
	return b.String()[:min(end, b.Len())], text[i:]
}
