package screen

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// The geometry of a picture, in SVG units.
const (
	cellWidth  = 8.4
	cellHeight = 17.0
	margin     = 12.0
	baseline   = 13.0
)

// The picture's terminal: sixteen colours that read well on its background.
const (
	background = "#16191d"
	foreground = "#d5d9de"
)

var palette = [16]string{
	"#1f2329", "#f2686d", "#7fc77a", "#e0b252", "#6ea8e8", "#c98be0", "#5cc3c9", "#d5d9de",
	"#6b737d", "#ff8a8e", "#9be095", "#f5cf7a", "#93c3fa", "#e0aef2", "#84dfe4", "#ffffff",
}

// SVG draws a view as a terminal of w columns and h rows would show it.
func SVG(view string, w, h int) []byte {
	e := emulate(view, w, h)
	var b bytes.Buffer
	width, height := 2*margin+float64(w)*cellWidth, 2*margin+float64(h)*cellHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.1f %.1f" font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="14">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", background)
	for y := range h {
		for _, r := range runs(e, y) {
			r.draw(&b, y)
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// A run is a stretch of cells of one line in one style.
type run struct {
	x, w  int
	text  string
	style uv.Style
}

func runs(e *vt.Emulator, y int) []run {
	var list []run
	for x := 0; x < e.Width(); {
		c := e.CellAt(x, y)
		content, w := cell(c)
		var style uv.Style
		if c != nil {
			style = c.Style
		}
		if last := len(list) - 1; last >= 0 && list[last].style.Equal(&style) {
			list[last].text += content
			list[last].w += w
		} else {
			list = append(list, run{x, w, content, style})
		}
		x += w
	}
	return list
}

// draw writes the run: its background if it has one, and its text stretched to
// exactly its cells, whatever font the viewer has.
func (r run) draw(b *bytes.Buffer, y int) {
	fg, bg := hex(r.style.Fg, foreground), hex(r.style.Bg, "")
	if r.style.Attrs&uv.AttrReverse != 0 {
		fg, bg = pick(bg, background), fg
	}
	left, top := margin+float64(r.x)*cellWidth, margin+float64(y)*cellHeight
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", left, top, float64(r.w)*cellWidth, cellHeight, bg)
	}
	text := strings.TrimRight(r.text, " ")
	lead := len(text) - len(strings.TrimLeft(text, " "))
	if text = text[lead:]; text == "" {
		return
	}
	cells := ansi.StringWidth(text)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s xml:space="preserve">%s</text>`+"\n",
		left+float64(lead)*cellWidth, top+baseline, float64(cells)*cellWidth, fg, attributes(r.style.Attrs), html.EscapeString(text))
}

func attributes(a uv.StyleAttr) string {
	var s string
	if a&uv.AttrBold != 0 {
		s += ` font-weight="bold"`
	}
	if a&uv.AttrFaint != 0 {
		s += ` opacity="0.6"`
	}
	return s
}

// hex is a colour of the picture's palette, or the given one for none.
func hex(c color.Color, none string) string {
	switch c := c.(type) {
	case nil:
		return none
	case ansi.BasicColor:
		return palette[c&15]
	case ansi.IndexedColor:
		if c < 16 {
			return palette[c]
		}
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

func pick(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
