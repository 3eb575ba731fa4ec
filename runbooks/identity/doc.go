// Package identity finds out who is behind a process: the user, and the login
// that the kernel's audit keeps, which survives sudo and su. Two signatures by
// two people rest on it, so what it cannot prove it does not say.
//
// It must not know what a run is, nor what an identity may do: runbooks.Actor
// and its Differs decide that.
//
// Start reading at Peer.
package identity
