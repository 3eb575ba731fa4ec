package identity

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// Peer is who connected a Unix socket. The user id is the one that the kernel
// kept with the connection. The login is that of the process that connected,
// read while it was proved to be that process: of one that has ended meanwhile,
// whose id may be another's by now, it is unreadable. accepted is SinceBoot at
// the time when the connection was accepted.
//
// An error means that even the user is not known.
func Peer(conn *net.UnixConn, accepted time.Duration) (runbooks.Actor, error) {
	return peer(conn, accepted, heldByKernel, "")
}

// peer is Peer with the way to the peer's process, and with the place where
// processes are looked at.
func peer(
	conn *net.UnixConn, accepted time.Duration, hold func(socket int, cred unix.Ucred) (int, error), in proc,
) (runbooks.Actor, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return runbooks.Actor{}, fmt.Errorf("looking at the peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr, holdErr error
	pidfd := -1
	if err := raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			pidfd, holdErr = hold(int(fd), *cred)
		}
	}); err != nil {
		return runbooks.Actor{}, fmt.Errorf("looking at the peer: %w", err)
	}
	if credErr != nil {
		return runbooks.Actor{}, fmt.Errorf("asking the kernel who the peer is: %w", credErr)
	}
	who := actor(int(cred.Uid))
	who.LoginState, who.Claimed = runbooks.LoginUnreadable, true
	if holdErr != nil {
		who.LoginWhy = holdErr.Error()
		return who, nil
	}
	defer unix.Close(pidfd) //nolint:errcheck // a descriptor of ours that was only asked
	in.prove(pidfd, *cred, accepted, &who)
	return who, nil
}

// prove reads the login of the process that a descriptor holds. The order is
// what makes it proof: alive, the user of the connection, begun before it,
// then the login, and alive still, so that no other process had its id.
func (p proc) prove(pidfd int, cred unix.Ucred, accepted time.Duration, who *runbooks.Actor) {
	pid := int(cred.Pid)
	if err := p.same(pidfd, pid, int(cred.Uid), accepted); err != nil {
		who.LoginWhy = err.Error()
		return
	}
	login, state, why := p.login(strconv.Itoa(pid))
	tty := p.tty(strconv.Itoa(pid))
	if err := alive(pidfd); err != nil {
		who.LoginWhy = err.Error()
		return
	}
	who.Login, who.LoginState, who.LoginWhy, who.TTY = login, state, why, tty
	who.Claimed = state != runbooks.LoginKnown
}

// same is nil if the process is the one that connected, as far as can be seen.
func (p proc) same(pidfd, pid, uid int, accepted time.Duration) error {
	if err := alive(pidfd); err != nil {
		return err
	}
	if now, err := p.effectiveUID(pid); err != nil {
		return fmt.Errorf("reading the user of process %d: %w", pid, err)
	} else if now != uid {
		return fmt.Errorf("process %d acts as user %d, and user %d connected", pid, now, uid)
	}
	if began, err := p.started(pid); err != nil {
		return fmt.Errorf("reading the start of process %d: %w", pid, err)
	} else if began > accepted {
		return fmt.Errorf("process %d began after the connection was accepted", pid)
	}
	return nil
}

// heldByKernel is a descriptor of the process that connected: the kernel has
// kept it with the socket since 6.5. An older one is asked for the process that
// has the id now, which prove tells from another as far as that can be done.
func heldByKernel(socket int, cred unix.Ucred) (int, error) {
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return heldByID(socket, cred)
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENODATA):
		return -1, errEnded
	case err != nil:
		return -1, fmt.Errorf("asking the kernel for the process that connected: %w", err)
	}
	pid, err := pidOf(pidfd)
	switch {
	case err != nil:
		err = fmt.Errorf("asking which process connected: %w", err)
	case pid == -1:
		err = errEnded
	case pid != int(cred.Pid) || pid == 0:
		err = fmt.Errorf("the process that connected cannot be seen from here (id %d, socket %d)", pid, cred.Pid)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(pidfd))
	}
	return pidfd, nil
}

// heldByID is a descriptor of the process that has the peer's id now.
func heldByID(_ int, cred unix.Ucred) (int, error) {
	if cred.Pid <= 0 {
		return -1, errors.New("the process that connected cannot be seen from here")
	}
	pidfd, err := unix.PidfdOpen(int(cred.Pid), 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return -1, errEnded
	case err != nil:
		return -1, fmt.Errorf("holding process %d: %w", cred.Pid, err)
	}
	return pidfd, nil
}
