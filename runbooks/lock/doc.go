// Package lock keeps two actions on one host from changing one target at the
// same time, whatever site, state directory or, where the host is set up for it,
// user they belong to. Across hosts the target itself must guard: a database by
// an advisory lock.
//
// A lock is an flock(2) on a file whose name is the hash of the target's. The
// kernel gives it to one process and takes it back when that process ends,
// however it ends; the file stays and means nothing by itself. It is never
// removed, and a file that was removed or replaced while it was being locked is
// not accepted, so that no two processes hold two files of one name.
//
// The files lie in /run/opsdeck/lock, if root has made that folder for the group
// opsdeck (see Find); no other user can open them, and so none can take a lock
// or write into one. Members of the group can: they may act at the same targets.
// The same targets are locked in a folder of the user's own as well, because a
// process that began before the shared one could be used locks there. Without
// the shared one it is the user's own alone, and then other users of the host
// are not excluded.
//
// The action's process holds the descriptor and its commands do not inherit it:
// a daemon that a command leaves behind would hold the target for as long as it
// runs. When the process is killed, commands of it may go on without the lock
// until the supervisor has found and ended them.
//
// Who holds a lock is the kernel's answer: the process by /proc/locks, its user
// by /proc. What the holder has written into the file, person, run and item, is
// shown as its claim.
package lock
