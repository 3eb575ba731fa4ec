package markdown

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// outline is what the document's structure has for us, in its order.
type outline struct {
	parts []part
	links []link
	lines []string // the document's lines, without their ends
	taken []bool   // lines that belong to a heading, an item's title or a fence
}

// part is a heading, an item or a fence.
type part struct {
	kind  partKind
	at    place
	title string // heading, item
	level int    // heading
	done  bool   // item: its box is ticked
	fence fence
}

type partKind uint8

const (
	headingPart partKind = iota
	itemPart
	fencePart
)

// fence is a fenced block of code. body holds its text without indentation;
// columns gives for each of its lines how far it was indented.
type fence struct {
	info    string
	first   int // line of body's first line
	body    string
	columns []int
}

// link is a destination, for the check of broken links.
type link struct {
	to string
	at place
}

// scan finds the parts of a document.
func scan(source []byte) outline {
	o := outline{}
	for l := range bytes.Lines(source) {
		o.lines = append(o.lines, strings.TrimRight(string(l), "\r\n"))
	}
	o.taken = make([]bool, len(o.lines)+2)
	index := newLineIndex(source)
	doc := goldmark.New(goldmark.WithExtensions(extension.TaskList)).Parser().Parse(text.NewReader(source))
	// The walker returns no error of its own, and ours never does.
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			o.visit(n, source, index)
		}
		return ast.WalkContinue, nil
	})
	return o
}

func (o *outline) visit(n ast.Node, source []byte, index lineIndex) {
	switch n := n.(type) {
	case *ast.Heading:
		if n.Lines().Len() > 0 {
			at := index.place(n.Lines().At(0).Start)
			at.col = 1
			o.add(part{kind: headingPart, at: at, level: n.Level, title: plain(n, source)}, n.Lines().Len())
		}
	case *extast.TaskCheckBox:
		lines := n.Parent().Lines()
		if lines.Len() == 0 {
			return
		}
		at := index.place(lines.At(0).Start)
		o.add(part{kind: itemPart, at: at, title: firstLine(n.Parent(), source), done: n.IsChecked}, 1)
	case *ast.FencedCodeBlock:
		o.addFence(n, source, index)
	case *ast.Link:
		o.links = append(o.links, link{string(n.Destination), o.linkPlace(n, index)})
	}
}

func (o *outline) add(p part, lines int) {
	o.parts = append(o.parts, p)
	for i := range lines {
		o.take(p.at.line + i)
	}
}

func (o *outline) take(line int) {
	if line >= 0 && line < len(o.taken) {
		o.taken[line] = true
	}
}

func (o *outline) addFence(n *ast.FencedCodeBlock, source []byte, index lineIndex) {
	f := fence{}
	var at place
	if n.Info != nil {
		f.info = strings.TrimSpace(string(n.Info.Value(source)))
		at = index.place(n.Info.Segment.Start)
	} else if n.Lines().Len() > 0 {
		at = place{index.place(n.Lines().At(0).Start).line - 1, 1}
	} else {
		return // "```" twice: nothing to show, nothing to bind
	}
	f.first = at.line + 1
	var body strings.Builder
	for i := range n.Lines().Len() {
		segment := n.Lines().At(i)
		where := index.place(segment.Start)
		if i == 0 {
			f.first = where.line
		}
		f.columns = append(f.columns, where.col-1-segment.Padding)
		body.Write(segment.Value(source))
	}
	f.body = strings.ReplaceAll(body.String(), "\r", "")
	at.col = 1
	o.parts = append(o.parts, part{kind: fencePart, at: at, fence: f})
	for line := at.line; line <= f.first+n.Lines().Len(); line++ {
		if line <= len(o.lines) && (line < f.first+n.Lines().Len() || isFenceEnd(o.lines[line-1])) {
			o.take(line)
		}
	}
}

func isFenceEnd(line string) bool {
	line = strings.TrimLeft(line, " \t>")
	return strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~")
}

// linkPlace is the line of the block a link stands in.
func (o *outline) linkPlace(n ast.Node, index lineIndex) place {
	for ; n != nil; n = n.Parent() {
		if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
			return index.place(n.Lines().At(0).Start)
		}
	}
	return top
}

// prose is the text of the lines in [from, to) that belong to no part.
func (o *outline) prose(from, to int) string {
	var lines []string
	for line := from; line < to && line <= len(o.lines); line++ {
		if line >= 1 && !o.taken[line] {
			lines = append(lines, o.lines[line-1])
		}
	}
	return clean.Block(strings.Trim(dedent(lines), "\n"), maxSize)
}

// dedent removes the indentation that all lines share, and joins them with at
// most one empty line in a row.
func dedent(lines []string) string {
	shared := -1
	for _, l := range lines {
		if trimmed := strings.TrimLeft(l, " \t"); trimmed != "" {
			if indent := len(l) - len(trimmed); shared < 0 || indent < shared {
				shared = indent
			}
		}
	}
	var kept []string
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			if len(kept) > 0 && kept[len(kept)-1] != "" {
				kept = append(kept, "")
			}
			continue
		}
		kept = append(kept, strings.TrimRight(l[shared:], " \t"))
	}
	return strings.Join(kept, "\n")
}

// maxTitle is how many cells of a title are kept; longer ones are cut.
const maxTitle = 200

// plain is the text of a node without markup, fit to be shown.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	writePlain(&b, n, source, false)
	return clean.Line(strings.Join(strings.Fields(b.String()), " "), maxTitle)
}

// firstLine is the text of a node up to the end of its first line.
func firstLine(n ast.Node, source []byte) string {
	var b strings.Builder
	writePlain(&b, n, source, true)
	return clean.Line(strings.Join(strings.Fields(b.String()), " "), maxTitle)
}

// writePlain reports whether it stopped at the end of a line.
func writePlain(b *strings.Builder, n ast.Node, source []byte, oneLine bool) (stopped bool) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Segment.Value(source))
			if c.SoftLineBreak() || c.HardLineBreak() {
				b.WriteByte(' ')
				if oneLine {
					return true
				}
			}
		case *ast.String:
			b.Write(c.Value)
		case *ast.AutoLink:
			b.Write(c.Label(source))
		default:
			if writePlain(b, c, source, oneLine) {
				return true
			}
		}
	}
	return false
}

// lineIndex finds the line of an offset.
type lineIndex []int // offset at which each line begins

func newLineIndex(source []byte) lineIndex {
	index := lineIndex{0}
	for i, c := range source {
		if c == '\n' {
			index = append(index, i+1)
		}
	}
	return index
}

func (x lineIndex) place(offset int) place {
	i := sort.SearchInts(x, offset+1) - 1
	return place{i + 1, offset - x[i] + 1}
}

// inOrder sorts the parts by their place; the walk meets nested items and
// fences in the order of the tree, which differs where a fence is not indented.
func (o *outline) inOrder() []part {
	slices.SortStableFunc(o.parts, func(a, b part) int { return a.at.line - b.at.line })
	return o.parts
}
