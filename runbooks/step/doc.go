// Package step is one process per action: a deed that lives on when the
// terminal, the deck and the supervisor die, and whose outcome is in a file.
//
// An action gets a folder. In it lie the intent, written before anything is
// begun; the process's card (pid, start time, boot id); its output, a file and
// not a pipe, so that nobody's death kills it; how far it is; and the result,
// renamed into place when all is over. Whoever comes later reads from the
// folder what became of it: not started, running, finished, or gone.
//
// Of one folder a deed is begun at most once. The process holds a lock on the
// folder for as long as it lives, and writes its card before it begins; with a
// card or a result there, or the note that the step was buried, no other
// begins.
//
// The package knows nothing of journals, sockets, sites or screens. Read
// folder.go for what lies in the folder; process.go for the process's side;
// spawn.go, look.go, live.go and cancel.go for the other.
package step
