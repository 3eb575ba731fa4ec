// Package supervisor is the process that owns what must outlive a terminal:
// one per state directory, the only writer of its journal, the only listener
// on its socket. It runs checks, keeps watches, follows the steps that do what
// actions do, and is gone a minute after the last of it. Decks and headless
// commands are its clients; losing one of them, or it, loses nothing.
//
// It knows runs, journals and steps. It does not know what a site is, nor what
// any module does: the command line gives it both as functions.
//
// Start reading at Serve and at Client.Open; wire.go is what goes between them.
package supervisor
