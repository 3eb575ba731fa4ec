package clean

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

const (
	// maxHeld is how long a line may become before it is written without its end.
	maxHeld = 64 << 10

	// overlap is what is held back of such a line, so that a secret that is
	// known by its shape is found with what comes next. One that is known by its
	// value is held back from its beginning on, however long its form is.
	overlap = 4 << 10

	// maxBehind is how much of what was written is looked at again together with
	// what follows: a base64 digit of it may hold the first bits of a secret.
	maxBehind = 64

	// maxKey is the most that is left out for a private key without an end.
	maxKey = 64 << 10
)

// NewWriter redacts and cleans what is written to it, by whole lines, so that a
// secret is found wherever the writes divide it. A line at whose end a secret
// may begin that goes on in the next one waits for that. Close writes the rest.
func NewWriter(to io.Writer, r *Redactor) io.WriteCloser { return &writer{to: to, redactor: r} }

type writer struct {
	to       io.Writer
	redactor *Redactor
	held     []byte // the beginning of a line, or lines that wait
	behind   string // the end of what was written, as it came
	key      int    // how much may still be left out: the middle of a private key
}

// Write takes everything; what is not yet certain to be free of secrets waits.
func (w *writer) Write(p []byte) (int, error) {
	fresh := len(w.held)
	w.held = append(w.held, p...)
	if bytes.IndexByte(p, '\n') < 0 && (len(w.held) <= maxHeld || fresh/overlap == len(w.held)/overlap) {
		return len(p), nil
	}
	return len(p), w.flush(true)
}

// Close writes what has no end of line.
func (w *writer) Close() error {
	if len(w.held) == 0 {
		return nil
	}
	return w.flush(false)
}

// flush writes what is certain; everything if no more will come.
func (w *writer) flush(more bool) error {
	end := len(w.held)
	if more {
		end = bytes.LastIndexByte(w.held, '\n') + 1
	}
	long := more && len(w.held)-end > maxHeld // a line without an end
	if long {
		end = len(w.held)
	}
	text := string(w.held[:end])
	hits, cut := w.search(text, more)
	if long {
		hits, cut = within(hits, min(cut, end-overlap), cut)
	} else {
		hits, cut = wholeLines(text, hits, cut)
	}
	if cut == 0 {
		return nil
	}
	w.behind += text[:cut]
	w.behind = w.behind[max(0, len(w.behind)-maxBehind):]
	w.held = append(w.held[:0], w.held[cut:]...)
	return w.print(without(text[:cut], hits))
}

// search finds the secrets of a text that follows what was written, and up to
// where it may be written.
func (w *writer) search(text string, more bool) (hits []span, cut int) {
	v := w.redactor.known()
	if v == nil {
		return nil, len(text)
	}
	f := search{values: v, more: more}.scan(w.behind+text, layers, true)
	for _, hit := range f.hits {
		if hit.to > len(w.behind) {
			hits = append(hits, span{max(0, hit.from-len(w.behind)), hit.to - len(w.behind)})
		}
	}
	return merged(hits), max(0, f.open-len(w.behind))
}

// wholeLines moves a cut to the beginning of its line, and out of every hit.
func wholeLines(text string, hits []span, cut int) (before []span, at int) {
	if cut < len(text) {
		cut = strings.LastIndexByte(text[:cut], '\n') + 1
	}
	for i := len(hits) - 1; i >= 0; i-- {
		if hits[i].to <= cut {
			return hits[:i+1], cut
		}
		if hits[i].from < cut {
			cut = strings.LastIndexByte(text[:hits[i].from], '\n') + 1
		}
	}
	return nil, cut
}

// within moves a cut through a line without an end out of every hit, at most
// to where a secret may begin: the rest of that hit is no part of it.
func within(hits []span, cut, open int) (before []span, at int) {
	for i, hit := range hits {
		if hit.from >= cut {
			return hits[:i], cut
		}
		if hit.to > cut {
			cut = min(hit.to, open)
			hits[i].to = cut
		}
	}
	return hits, cut
}

var (
	keyBegins = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	keyEnds   = regexp.MustCompile(`-----END [A-Z ]*PRIVATE KEY-----`)
)

// print writes what has no secrets any more but those of a known shape. What
// is left of a private key that began in an earlier part is left out.
func (w *writer) print(text string) error {
	if w.key > 0 {
		end := keyEnds.FindStringIndex(text)
		if end == nil {
			w.key -= len(text)
			return nil
		}
		w.key, text = 0, text[end[1]:]
	}
	if begins := keyBegins.FindAllStringIndex(text, -1); len(begins) > 0 && !keyEnds.MatchString(text[begins[len(begins)-1][1]:]) {
		w.key = maxKey
	}
	text = shapeless(text)
	_, err := io.WriteString(w.to, Block(text, 4*len(text)+maxHeld))
	return err
}
