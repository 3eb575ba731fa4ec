package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
)

// openRegular opens a regular file for reading, through symbolic links. It
// never waits: anything that is not a regular file is refused before it is
// opened, and what replaces it meanwhile is opened without blocking.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening log %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, checks.Failed(checks.Other, "log %s is a %s, not a regular file", path, kindOf(info.Mode()))
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening log %w", err)
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = checks.Failed(checks.Other, "log %s is a %s, not a regular file", path, kindOf(info.Mode()))
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// span reads a file from one offset to another and stops when the context
// ends. It reads by offset, so several spans may share one file.
type span struct {
	ctx      context.Context
	file     io.ReaderAt
	pos, end int64
	most     int // bytes of one read; 0: as many as asked for
}

// Read implements io.Reader.
func (s *span) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.pos >= s.end {
		return 0, io.EOF
	}
	if s.most > 0 && len(p) > s.most {
		p = p[:s.most]
	}
	if left := s.end - s.pos; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := s.file.ReadAt(p, s.pos)
	s.pos += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// skipHole moves over a hole of a sparse file to the next data.
func (s *span) skipHole() {
	f, ok := s.file.(*os.File)
	if !ok {
		return
	}
	if data, ok := nextData(f, s.pos); ok && data > s.pos {
		s.pos = min(data, s.end)
	}
}

// checkedReader stops a decompressor when the context ends.
type checkedReader struct {
	ctx context.Context
	src io.Reader
}

func (c checkedReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.src.Read(p)
}

// unzipped reads a gzipped log; members end to end read as one.
func unzipped(ctx context.Context, f io.ReaderAt, size int64) (io.Reader, error) {
	zr, err := gzip.NewReader(&span{ctx: ctx, file: f, end: size})
	if err != nil {
		return nil, err
	}
	return checkedReader{ctx, zr}, nil
}

// headSize is how much of a file's beginning tells it from another and
// betrays UTF-16.
const headSize = 1 << 10

// readHead reads the beginning of a log, unpacked if it is gzipped. A file
// that is too damaged to begin has no head.
func readHead(ctx context.Context, f io.ReaderAt, size int64, zipped bool) []byte {
	var src io.Reader = &span{ctx: ctx, file: f, end: size}
	if zipped {
		unpacked, err := unzipped(ctx, f, size)
		if err != nil {
			return nil
		}
		src = unpacked
	}
	head := make([]byte, headSize)
	n, err := io.ReadFull(src, head)
	if err != nil && n == 0 {
		return nil
	}
	return head[:n]
}

// isUTF16 recognises a byte order mark, or text with a NUL in every pair.
func isUTF16(head []byte) bool {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return true
	}
	var even, odd int
	for i, b := range head {
		if b == 0 && i%2 == 0 {
			even++
		} else if b == 0 {
			odd++
		}
	}
	half := len(head) / 2
	return half >= 16 && (even > half*3/4 && odd < half/8 || odd > half*3/4 && even < half/8)
}
