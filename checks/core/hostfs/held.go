package hostfs

import "os"

// Held opens a folder of which the caller has a descriptor, one of O_PATH too,
// for listing it and for changing its mode. No path is walked, so it is that very
// folder; path is for messages. What is not a folder is an error.
func Held(fd int, path string) (*os.File, error) {
	got, err := openat(fd, ".", folder, 0)
	if err != nil {
		return nil, failed("open", path, err)
	}
	return os.NewFile(uintptr(got), path), nil
}
