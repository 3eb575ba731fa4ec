package step

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Output is what was kept of the output from a position on, at most so many
// bytes, and where to go on. Total is how much there was: what was not kept is
// counted when the step has ended. No character is torn while the step writes.
func (f Folder) Output(from int64, most int) (chunk []byte, next, total int64, err error) {
	from = max(0, from)
	in, err := f.open(outputFile, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, from, 0, nil
	}
	if err != nil {
		return nil, from, 0, fmt.Errorf("opening the output: %w", err)
	}
	defer in.Close() //nolint:errcheck // opened for reading
	info, err := in.Stat()
	if err != nil {
		return nil, from, 0, fmt.Errorf("reading the output: %w", err)
	}
	total = info.Size()
	if s, _ := f.finished(); s.State == Finished {
		total = max(total, s.Outcome.Output)
	}
	chunk = make([]byte, min(int64(max(0, most)), max(0, info.Size()-from)))
	n, err := in.ReadAt(chunk, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, from, total, fmt.Errorf("reading the output: %w", err)
	}
	chunk = whole(chunk[:n])
	return chunk, from + int64(len(chunk)), total, nil
}

// whole leaves out a character that is only begun, unless there is nothing
// else: then it is broken.
func whole(chunk []byte) []byte {
	for cut := 1; cut < utf8.UTFMax && cut < len(chunk); cut++ {
		b := chunk[len(chunk)-cut]
		if utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(chunk[len(chunk)-cut:]) {
				return chunk[:len(chunk)-cut]
			}
			break
		}
	}
	return chunk
}

// Live is the output from a position on as Output gives it, cleaned to be
// shown.
func (f Folder) Live(from int64, most int) (text string, next int64, err error) {
	raw, next, _, err := f.Output(from, most)
	if err != nil || len(raw) == 0 {
		return "", next, err
	}
	return clean.Block(string(raw), 2*most), next, nil
}

// Progress is how far the step is, and when it said so; ok is false if it has
// not said so.
func (f Folder) Progress() (p checks.Progress, at time.Time, ok bool) {
	var w progressWire
	if err := f.read(progressFile, &w); err != nil {
		return p, at, false
	}
	return checks.Progress{Done: w.Done, Total: w.Total, What: clean.Line(w.What, 80)}, w.At, true
}

type progressWire struct {
	Done  float64   `json:"done"`
	Total float64   `json:"total"`
	What  string    `json:"what"`
	At    time.Time `json:"at"`
}
