package logs

import (
	"os"

	"golang.org/x/sys/unix"
)

// nextData is the offset of the first data at or after pos; false if the file
// system cannot tell. A file that ends in a hole has none: its size is given.
func nextData(f *os.File, pos int64) (int64, bool) {
	at, err := unix.Seek(int(f.Fd()), pos, unix.SEEK_DATA)
	if err == unix.ENXIO {
		info, statErr := f.Stat()
		if statErr != nil {
			return 0, false
		}
		return info.Size(), true
	}
	return at, err == nil
}
