package nginx

import (
	"path"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// A directive is one of nginx.conf, with its block if it has one.
type directive struct {
	name  string
	args  []string
	block []directive
}

// all are the directives of that name directly in a block.
func all(block []directive, name string) []directive {
	return slices.DeleteFunc(slices.Clone(block), func(d directive) bool { return d.name != name })
}

// last is the first argument of the directive of that name that counts.
func last(block []directive, name, otherwise string) string {
	for _, d := range slices.Backward(block) {
		if d.name == name && len(d.args) > 0 {
			return d.args[0]
		}
	}
	return otherwise
}

// deepest bounds blocks in blocks and includes in includes.
const deepest = 20

// A parser reads the files that nginx -T has printed, the first one first.
type parser struct {
	files map[string]string
	base  string // directory that includes are relative to
	text  string
	at    int
}

// parse reads a dump of nginx -T into the directives of the main file, those
// it includes in their places.
func parse(dump string) ([]directive, error) {
	const mark = "# configuration file "
	files, main, name := map[string]string{}, "", ""
	for line := range strings.Lines(dump) {
		if rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), mark); ok && strings.HasSuffix(rest, ":") {
			name = strings.TrimSuffix(rest, ":")
			if main == "" {
				main = name
			}
			files[name] = ""
			continue
		}
		if name != "" {
			files[name] += line
		}
	}
	if main == "" {
		return nil, checks.Failed(checks.Parse, "nginx -T printed no configuration")
	}
	p := &parser{files: files, base: path.Dir(main), text: files[main]}
	return p.blockOf(0)
}

// blockOf reads directives up to the end of the block or of the file.
func (p *parser) blockOf(depth int) ([]directive, error) {
	if depth > deepest {
		return nil, checks.Failed(checks.Limit, "nginx.conf has more than %d blocks in each other", deepest)
	}
	var found []directive
	var words []string
	for {
		word, quoted, ok := p.word()
		switch {
		case !ok || !quoted && word == "}":
			if len(words) > 0 {
				return nil, checks.Failed(checks.Parse, "nginx.conf: %q has no end", words[0])
			}
			return found, nil
		case !quoted && word == "{":
			block, err := p.blockOf(depth + 1)
			if err != nil {
				return nil, err
			}
			if len(words) > 0 {
				found = append(found, directive{words[0], words[1:], block})
			}
			words = nil
		case !quoted && word == ";":
			more, err := p.take(words, depth)
			if err != nil {
				return nil, err
			}
			found, words = append(found, more...), nil
		default:
			words = append(words, word)
		}
	}
}

// take is a simple directive, or what the files hold that it includes.
func (p *parser) take(words []string, depth int) ([]directive, error) {
	if len(words) == 0 {
		return nil, nil
	}
	if words[0] != "include" || len(words) != 2 {
		return []directive{{name: words[0], args: words[1:]}}, nil
	}
	pattern := words[1]
	if !path.IsAbs(pattern) {
		pattern = path.Join(p.base, pattern)
	}
	var names []string
	for name := range p.files {
		if ok, err := path.Match(pattern, name); name == pattern || err == nil && ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var found []directive
	for _, name := range names {
		inner := &parser{files: p.files, base: p.base, text: p.files[name]}
		more, err := inner.blockOf(depth + 1)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// word is the next word, or one of { } ;
func (p *parser) word() (word string, quoted, ok bool) {
	p.blank()
	if p.at >= len(p.text) {
		return "", false, false
	}
	switch c := p.text[p.at]; c {
	case '{', '}', ';':
		p.at++
		return string(c), false, true
	case '"', '\'':
		return p.quotedWord(c), true, true
	}
	begin := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n;", rune(p.text[p.at])) {
		switch {
		case strings.HasPrefix(p.text[p.at:], "${"):
			if end := strings.IndexByte(p.text[p.at:], '}'); end > 0 {
				p.at += end
			}
		case p.text[p.at] == '\\':
			p.at++
		case p.text[p.at] == '{':
			return p.text[begin:p.at], false, true
		}
		p.at = min(p.at+1, len(p.text))
	}
	return p.text[begin:p.at], false, true
}

func (p *parser) quotedWord(quote byte) string {
	var b strings.Builder
	for p.at++; p.at < len(p.text) && p.text[p.at] != quote; p.at++ {
		if p.text[p.at] == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == quote || p.text[p.at+1] == '\\') {
			p.at++
		}
		b.WriteByte(p.text[p.at])
	}
	p.at++
	return b.String()
}

func (p *parser) blank() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		case '#':
			end := strings.IndexByte(p.text[p.at:], '\n')
			if end < 0 {
				end = len(p.text) - p.at
			}
			p.at += end
		default:
			return
		}
	}
}
