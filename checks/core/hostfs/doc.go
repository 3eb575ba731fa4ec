// Package hostfs is the one way in which opsdeck reads and changes files of a
// host: bounded reads that never wait, folders that are held while something
// is done in them, and writes that are whole or not there.
//
// A read (Read, Open, Content) takes a regular file only, never waits for a
// pipe or a device, and returns the whole file or an error: a file that is
// larger than the limit is a *TooLargeError. Who wants a part of a file says
// so (Head, Tail) and gets a Part, which knows how much of the file it is.
//
// A Dir is a folder that is held by its descriptor. OpenDir opens one by its
// path and follows only links of root and of the user; Descend goes down from
// it through no link at all and onto no other mount, by openat2 where the
// kernel has it and allows it, and component by component where not. All that
// is done with a name of a Dir is done in the folder that was opened, whatever
// stands under its path by then. Remove and Rename compare the file with the
// ID that a preview saw.
//
// What remains is a race over one name inside the held folder: whoever may
// write in that folder can exchange the entry between the look at its ID and
// the removal of its name, and then an entry of that same folder is removed
// that was not previewed. A held folder that is moved elsewhere meanwhile is
// still the folder that was previewed. Nothing outside of it is touched.
//
// The package knows files and folders. It must not know what they are for, who
// may steer opsdeck by them, or how a check reports an error.
package hostfs
