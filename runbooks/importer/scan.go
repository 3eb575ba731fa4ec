package importer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// decode splits the source into clean lines. Bytes that are no UTF-8, and text
// that was UTF-8 read as something else, are named and do no harm.
func decode(source []byte) ([]string, []Finding) {
	var findings []Finding
	raw := strings.Split(strings.ReplaceAll(string(source), "\r\n", "\n"), "\n")
	lines := make([]string, len(raw))
	for i, l := range raw {
		if !utf8.ValidString(l) {
			findings = append(findings, Finding{i + 1, Misdecoded, "the line has bytes that are not UTF-8"})
		} else if broken := mojibake.FindString(l); broken != "" {
			findings = append(findings, Finding{i + 1, Misdecoded, fmt.Sprintf("%q looks like UTF-8 that was read as another encoding", broken)})
		}
		lines[i] = clean.Block(l, 8<<10)
	}
	return lines, findings
}

// mojibake is what UTF-8 looks like after it was read as Windows-1252.
var mojibake = regexp.MustCompile(`ðŸ[^\s]{1,3}|â€[^\s]?|Ã[\x{80}-\x{BF}©¨¼¶¤]`)

// document is a guide cut into its parts.
type document struct {
	title    string
	contents map[string]bool // anchors of the contents list; nil if there is none
	sections []part
	lines    []string
}

// part is a heading with what stands under it.
type part struct {
	title  string
	line   int
	blocks []block
}

// block is a heading below the section, a label, a list item, a fence or prose.
type block struct {
	kind   blockKind
	text   string
	lang   string
	indent int
	line   int
	end    int
}

type blockKind int

const (
	heading blockKind = iota
	label
	bullet
	fence
	prose
)

var (
	headingForm = regexp.MustCompile(`^(#{1,6})\s+(.+?)\s*#*$`)
	fenceForm   = regexp.MustCompile("^(\\s*)(```+|~~~+)\\s*([A-Za-z0-9_+-]*)")
	bulletForm  = regexp.MustCompile(`^(\s*)(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(.+)$`)
	labelForm   = regexp.MustCompile(`^\*\*(.+?):?\*\*:?\s*$`)
	linkForm    = regexp.MustCompile(`\[([^\]]+)\]\(#([^)]+)\)`)
)

// scan cuts the lines into sections of the second level.
func scan(lines []string) document {
	doc := document{lines: lines}
	inContents := false
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := fenceForm.FindStringSubmatch(line); m != nil {
			b, next := fenced(lines, i, m)
			doc.add(b)
			i = next
			continue
		}
		if m := headingForm.FindStringSubmatch(line); m != nil {
			title := plain(m[2])
			switch level := len(m[1]); {
			case level == 1 && doc.title == "":
				doc.title = title
			case level <= 2:
				if inContents = strings.Contains(strings.ToLower(title), "contents"); inContents {
					doc.contents = map[string]bool{}
					continue
				}
				doc.sections = append(doc.sections, part{title: title, line: i + 1})
			default:
				doc.add(block{kind: heading, text: title, line: i + 1, end: i + 1})
			}
			continue
		}
		if inContents {
			for _, m := range linkForm.FindAllStringSubmatch(line, -1) {
				doc.contents[anchor(m[2])] = true
			}
			continue
		}
		doc.text(line, i+1)
	}
	return doc
}

// fenced is the fence that begins at a line, and its last line. One that is
// never closed ends with the document.
func fenced(lines []string, at int, m []string) (block, int) {
	end := at + 1
	for end < len(lines) && strings.TrimSpace(lines[end]) != m[2] {
		end++
	}
	body := strings.Join(lines[at+1:min(end, len(lines))], "\n")
	return block{kind: fence, text: body, lang: m[3], indent: len(m[1]), line: at + 1, end: min(end+1, len(lines))}, end
}

func (d *document) text(line string, at int) {
	switch m := bulletForm.FindStringSubmatch(line); {
	case strings.TrimSpace(line) == "":
	case m != nil:
		d.add(block{kind: bullet, text: m[2], indent: len(m[1]), line: at, end: at})
	case labelForm.MatchString(line):
		d.add(block{kind: label, text: plain(labelForm.FindStringSubmatch(line)[1]), line: at, end: at})
	default:
		d.add(block{kind: prose, text: plain(line), line: at, end: at})
	}
}

func (d *document) add(b block) {
	if n := len(d.sections); n > 0 {
		d.sections[n-1].blocks = append(d.sections[n-1].blocks, b)
	}
}

// fences reports fences whose language is not said, or plainly another one.
func (d document) fences() []Finding {
	var found []Finding
	for _, s := range d.sections {
		for _, b := range s.blocks {
			if b.kind != fence {
				continue
			}
			switch spoken := spoken(b.text); {
			case b.lang == "":
				found = append(found, Finding{b.line, NoLanguage, "the block does not say its language"})
			case spoken != "" && spoken != b.lang:
				found = append(found, Finding{b.line, NoLanguage, fmt.Sprintf("the block says it is %s and holds %s as well", b.lang, spoken)})
			}
		}
	}
	return found
}

var (
	sqlLine   = regexp.MustCompile(`(?m)^(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|VACUUM|REINDEX|ANALYZE)\b`)
	shellLine = regexp.MustCompile(`(?m)^(sudo|docker(-compose)?|psql|npm|curl|git|cd|openssl) `)
	yamlLine  = regexp.MustCompile(`(?m)^(services|version|updates):\s*$`)
)

// spoken is a second language that a block of a shell or of SQL holds.
func spoken(body string) string {
	sql, shell, yaml := sqlLine.MatchString(body), shellLine.MatchString(body), yamlLine.MatchString(body)
	switch {
	case sql && shell:
		return "sql and bash"
	case yaml && strings.Contains(body, "\n#") && !strings.HasPrefix(body, "#"):
		return ""
	case yaml && regexp.MustCompile(`(?m)^# (AWS|Update)`).MatchString(body):
		return "yaml"
	}
	return ""
}

var markup = strings.NewReplacer("**", "", "__", "", "`", "")

// plain is text without emphasis and code marks.
func plain(text string) string { return strings.TrimSpace(markup.Replace(text)) }

// anchor is a heading as a link names it.
func anchor(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == ' ' || r == '-':
			b.WriteByte('-')
		}
	}
	return b.String()
}
