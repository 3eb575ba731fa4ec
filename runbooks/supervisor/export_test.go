package supervisor

import "bytes"

// ReadFrame reads one frame as a supervisor does.
func ReadFrame(raw []byte) error {
	_, err := newReader(bytes.NewReader(raw), maxRequest).next()
	return err
}
