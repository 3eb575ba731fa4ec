package step

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unicode/utf8"
)

const (
	// keptEnd is how much of the end is kept of output that is over its bound.
	keptEnd = 64 << 10

	// flood is how many times its bound output may be before the deed is
	// ended: nobody wants it, and it burns a core.
	flood = 10

	// maxTail bounds Outcome.Tail.
	maxTail = 4 << 10
)

// output is a file with a bound: what is over it is counted, and its end kept.
type output struct {
	file    *os.File
	most    int64
	total   int64
	kept    int64
	full    bool   // the head takes no more
	end     []byte // the newest bytes that were not kept
	tooMuch func()
}

// newOutput opens the output anew. Whatever lies there is of no step that has
// begun: it is removed, not written through.
func newOutput(f Folder, most int64) (*output, error) {
	if most <= 0 {
		most = defaultOutput
	}
	if err := remove(f.path(outputFile)); err != nil {
		return nil, fmt.Errorf("opening the output: %w", err)
	}
	file, err := os.OpenFile(f.path(outputFile), os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the output: %w", err)
	}
	return &output{file: file, most: most, tooMuch: func() {}}, nil
}

// Write keeps what fits. It never fails: output that cannot be kept must not
// end the action. After a write that failed the head is over, so that no later
// one stands in its place.
func (o *output) Write(p []byte) (int, error) {
	o.total += int64(len(p))
	rest := p
	if !o.full {
		keep := p[:min(int64(len(p)), o.most-o.kept)]
		n, err := o.file.Write(keep)
		o.kept += int64(n)
		o.full = err != nil || o.kept == o.most
		rest = p[n:]
	}
	if rest = rest[max(0, len(rest)-keptEnd):]; len(rest) > 0 {
		if over := len(o.end) + len(rest) - keptEnd; over > 0 {
			o.end = append(o.end[:0], o.end[over:]...)
		}
		o.end = append(o.end, rest...)
	}
	if o.total/flood > o.most {
		o.tooMuch()
	}
	return len(p), nil
}

// finish writes the end that did not fit and says what there is.
func (o *output) finish(out *Outcome) {
	out.Output, out.Tail = o.total, tail(o.end)
	if left := o.total - o.kept - int64(len(o.end)); left > 0 {
		fmt.Fprintf(o.file, "\n[%d bytes left out]\n", left) //nolint:errcheck // Truncated tells
		out.Truncated = true
	}
	if _, err := o.file.Write(o.end); err != nil {
		out.Truncated = true
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(o.file, 0, 1<<62)); err == nil {
		out.OutputHash = hex.EncodeToString(hash.Sum(nil))
	}
	if len(o.end) == 0 {
		out.Tail = o.last()
	}
	err := errors.Join(o.file.Sync(), o.file.Close())
	_ = err // the hash is of what was written; a file that does not match it was damaged
}

// last is the end of the file.
func (o *output) last() string {
	raw := make([]byte, maxTail+1) // one more, to see where a line ends
	n, err := o.file.ReadAt(raw, max(0, o.kept-int64(len(raw))))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return tail(raw[:n])
}

// tail is the last lines, or the end of the last line if that is too long.
func tail(end []byte) string {
	if len(end) <= maxTail {
		return string(end)
	}
	from := len(end) - maxTail
	if cut := bytes.IndexByte(end[from-1:len(end)-1], '\n'); cut >= 0 {
		return string(end[from+cut:])
	}
	for from < len(end) && !utf8.RuneStart(end[from]) {
		from++
	}
	return string(end[from:])
}
