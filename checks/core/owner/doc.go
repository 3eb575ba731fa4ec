// Package owner holds the one rule of whose files may tell opsdeck what to do.
//
// A file steers when its content decides what opsdeck reads, sends or runs: the
// site file, a runbook, a secret's file, a program, the configuration of a tool
// that loads code named in it. Such a file is taken only from people who could
// do the same without opsdeck:
//
//   - The file and every folder above it, up to /, belong to the user that
//     opsdeck runs as, to root, or to a trusted owner, and others may not write
//     them. Write permission of the group counts as others, unless the group is
//     the owner's private group without other members.
//   - A folder that others may write is accepted only if it is sticky, belongs
//     to root, and the entry below it belongs to the user or to root: /tmp.
//   - A symbolic link on the way belongs to one of the same people, and where it
//     points to is held to the same rule.
//
// Trusted owners are named, one on a line, in /etc/opsdeck/trusted-owners, and
// for a user who is not root also in ~/.config/opsdeck/trusted-owners. Both files
// are themselves held to the rule. No site file can extend it.
//
// POSIX access lists: the kernel shows the mask of a list in the group's bits,
// so an entry that may write makes the file group-writable here, and the
// exemption for a private group is not given to a file with such a list. Access
// lists of other kinds (NFSv4) cannot be seen in the mode.
//
// The package knows nothing of checks, runbooks or site files.
package owner
