package command

import (
	"bytes"
	"fmt"
	"testing"
)

// FuzzKept holds the kept part against the whole: for any split of the output
// into writes it is its beginning and its end.
func FuzzKept(f *testing.F) {
	f.Add(uint32(10), uint16(3))
	f.Add(uint32(2*keep), uint16(4096))
	f.Add(uint32(2*keep+1), uint16(65535))
	f.Add(uint32(5*keep+17), uint16(32768))
	f.Fuzz(func(t *testing.T, size uint32, step uint16) {
		whole := make([]byte, size%(8*keep))
		for i := range whole {
			whole[i] = byte(i*7 + i>>8)
		}
		s := &stream{live: &listener{}}
		for rest := whole; len(rest) > 0; {
			n := min(len(rest), int(step)%len(rest)+1)
			if wrote, err := s.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		want := whole
		if lost := len(whole) - 2*keep; lost > 0 {
			want = fmt.Appendf(bytes.Clone(whole[:keep]), "\n[... %d bytes left out ...]\n", lost)
			want = append(want, whole[len(whole)-keep:]...)
		}
		if got, truncated := s.kept(); !bytes.Equal(got, want) || truncated != (len(whole) > 2*keep) {
			t.Errorf("of %d bytes %d are kept, want %d; truncated %v", len(whole), len(got), len(want), truncated)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b) (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2"))
	f.Add([]byte("1 () Z 0 0 0"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := parseStat(raw); err == nil && (r.pid < 1 || r.state == 0) {
			t.Errorf("%q reads as %+v", raw, r)
		}
	})
}
