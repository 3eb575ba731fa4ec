package clean

import (
	"bytes"
	"io"
)

const (
	// maxHeld is how long a line may become before it is written without its end.
	maxHeld = 64 << 10

	// overlap is what is held back of such a line: longer than any secret, so
	// that one that the cut goes through is found with what comes next.
	overlap = 4 << 10
)

// NewWriter redacts and cleans what is written to it, by whole lines, so that a
// secret is found wherever the writes divide it. Close writes a last line that
// has no end.
func NewWriter(to io.Writer, r *Redactor) io.WriteCloser { return &writer{to: to, redactor: r} }

type writer struct {
	to       io.Writer
	redactor *Redactor
	held     []byte // the beginning of a line
}

// Write takes everything; what is no whole line yet waits for its end.
func (w *writer) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	end := bytes.LastIndexByte(w.held, '\n') + 1
	switch {
	case end > 0:
	case len(w.held) > maxHeld:
		w.held = []byte(w.redactor.Redact(string(w.held)))
		end = max(0, len(w.held)-overlap)
	default:
		return len(p), nil
	}
	return len(p), w.flush(end)
}

func (w *writer) flush(end int) error {
	text := w.redactor.Redact(string(w.held[:end]))
	w.held = append(w.held[:0], w.held[end:]...)
	_, err := io.WriteString(w.to, Block(text, 4*len(text)+maxHeld))
	return err
}

// Close writes what has no end of line.
func (w *writer) Close() error {
	if len(w.held) == 0 {
		return nil
	}
	return w.flush(len(w.held))
}
