package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
)

// SocketIn is the socket of a state directory.
func SocketIn(dir string) string { return filepath.Join(dir, "supervisor.sock") }

// ErrServed says that the state directory has a supervisor already.
var ErrServed = errors.New("another supervisor serves this state directory")

// listen takes the state directory for this supervisor and opens its socket.
// The lock and not the socket's file says who serves: a file can be left over.
func listen(o Options) (*net.UnixListener, func(), error) {
	lock, err := os.OpenFile(filepath.Join(o.Dir, "supervisor.lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("locking the state directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close() //nolint:errcheck // it holds nothing
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrServed
		}
		return nil, nil, fmt.Errorf("locking the state directory: %w", err)
	}
	socket := o.Socket
	if socket == "" {
		socket = SocketIn(o.Dir)
	}
	listener, err := bind(socket, o.Group)
	if err != nil {
		lock.Close() //nolint:errcheck // nothing was begun under it
		return nil, nil, err
	}
	return listener, func() {
		os.Remove(socket) //nolint:errcheck // the next supervisor removes what is left
		lock.Close()      //nolint:errcheck // the kernel frees it
	}, nil
}

// Serves reports whether a supervisor serves the state directory now.
func Serves(dir string) bool {
	lock, err := os.OpenFile(filepath.Join(dir, "supervisor.lock"), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer lock.Close() //nolint:errcheck // nothing was written
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// bind makes the socket. Its path may be longer than an address can be, so it
// is reached through its open folder.
func bind(socket string, group int) (*net.UnixListener, error) {
	dir, short, err := through(socket)
	if err != nil {
		return nil, fmt.Errorf("opening the socket's folder: %w", err)
	}
	defer dir.Close()
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the socket of a supervisor that is no more: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("opening the socket %s: %w", socket, err)
	}
	listener.SetUnlinkOnClose(false)
	mode := fs.FileMode(0o600)
	if group >= 0 {
		mode = 0o660
		if err := os.Chown(socket, -1, group); err != nil {
			return nil, errors.Join(fmt.Errorf("giving the socket to group %d: %w", group, err), listener.Close())
		}
	}
	if err := os.Chmod(socket, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the socket to others: %w", err), listener.Close())
	}
	return listener, nil
}

// through is a short way to a path: its folder, opened, and the name in it.
func through(path string) (*os.File, string, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, "", err
	}
	return dir, filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)), nil
}

// peer is who is at the other end. own says that it is our own user, or root.
func peer(conn *net.UnixConn, accepted time.Duration) (who runbooks.Actor, own bool, err error) {
	if who, err = identity.Peer(conn, accepted); err != nil {
		return who, false, err
	}
	own = who.UID == os.Getuid() || who.UID == 0
	who.Claimed = who.Claimed && own
	return who, own, nil
}
